"""The long search for input that a reader cannot take, on all cores: ``make fuzz``.

Each batch has its own seed, printed with what it finds, so that one can be run again: ``--target api --seed 17
--batches 1``.
"""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Dict, List, NamedTuple, Optional

from tests.fuzz.hunt import HangError, hunt
from tests.fuzz.targets import TARGETS

_BATCH = 1_000


class Batch(NamedTuple):
    """What one seed found; ``tried`` is how many inputs it took."""

    target: str
    seed: int
    tried: int
    found: Optional[str]


def main() -> int:
    """Search, report, and return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", choices=[target.name for target in TARGETS], help="only this one")
    parser.add_argument("--batches", type=int, help=f"batches of {_BATCH} for each target, instead of its own number")
    parser.add_argument("--seed", type=int, default=1, help="the seed of each target's first batch")
    options = parser.parse_args()
    chosen = [target for target in TARGETS if options.target in (None, target.name)]
    tried: Dict[str, int] = Counter()
    found: List[Batch] = []
    began = time.monotonic()
    _say(f"seed {options.seed}, {os.cpu_count()} cores\n")
    with ProcessPoolExecutor() as pool:
        batches = [
            pool.submit(run_batch, target.name, seed)
            for target in chosen
            for seed in range(options.seed, options.seed + (options.batches or target.batches))
        ]
        for done in as_completed(batches):
            batch = done.result()
            tried[batch.target] += batch.tried
            if batch.found is not None:
                found.append(batch)
                _say(f"{batch.target}, seed {batch.seed}:\n{batch.found}\n")
    for target in chosen:
        _say(
            f"{target.name:16}{tried[target.name]:>9,} inputs, {sum(b.target == target.name for b in found)} failures\n"
        )
    _say(f"{'all':16}{sum(tried.values()):>9,} inputs, {len(found)} failures, {time.monotonic() - began:.0f} s\n")
    return 1 if found else 0


def run_batch(name: str, seed: int) -> Batch:
    """Try the inputs of one seed on one target, up to the first that fails."""
    target = next(target for target in TARGETS if target.name == name)
    try:
        return Batch(name, seed, hunt(target, _BATCH, seed=seed), None)
    except (Exception, HangError) as e:  # noqa: BLE001 - whatever it is, it is what was searched for
        import traceback

        return Batch(name, seed, 0, "".join(traceback.format_exception(type(e), e, e.__traceback__)[-12:]))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
