"""The long search for a disagreement between the evaluator and the oracle, on all cores: ``make oracle``.

Each batch has its own seed, printed with a mismatch, so that one can be found again.
"""

import argparse
import multiprocessing
import os
import sys
import time
from itertools import islice
from typing import List, NamedTuple, Tuple

from tests.oracle_cases import search, search_far

_BATCH = 1_000
_FAR = 5
_SHOWN = 20


class Batch(NamedTuple):
    """What one seed found."""

    seed: int
    mismatches: Tuple[str, ...]


def main() -> int:
    """Search, report, and return 1 if there is any mismatch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=200_000, help="how many (schedule, zone, instant) questions")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first batch")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + -(-options.cases // _BATCH))
    found, began = 0, time.monotonic()
    with multiprocessing.Pool() as pool:
        for done, batch in enumerate(pool.imap_unordered(run_batch, seeds), 1):
            for text in batch.mismatches[: max(0, _SHOWN - found)]:
                _say(f"seed {batch.seed}: {text}\n")
            found += len(batch.mismatches)
            asked = done * (_BATCH + _FAR)
            end = "\r" if sys.stdout.isatty() else "\n" if done % 20 == 0 else ""
            if end:
                _say(f"{asked:>9,} cases, {found} mismatches, {time.monotonic() - began:.0f} s{end}")
    _say(f"{len(seeds) * (_BATCH + _FAR):,} cases on {os.cpu_count()} cores: {found} mismatches\n")
    return 1 if found else 0


def run_batch(seed: int) -> Batch:
    """Ask the questions of one seed; a batch that differs everywhere need not tell all of it."""
    found: List[str] = [str(m) for m in islice(search(seed, _BATCH), _SHOWN)]
    found += [str(m) for m in islice(search_far(seed, _FAR), _SHOWN)]
    return Batch(seed, tuple(found))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
