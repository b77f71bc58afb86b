"""The long look for a broken law: worlds that go wrong, and runs that are killed in the middle: ``make chaos``.

Each world has its own seed, printed with what it broke, so that one can be found again: ``--seed N --worlds 1``.
"""

import argparse
import multiprocessing
import sys
import time
import traceback
from typing import Callable, List, NamedTuple, Sequence, Tuple

from tests.chaos import Tally, kill, storm

_STEPS = 25
_SHOWN = 10


class Found(NamedTuple):
    """What one seed came to."""

    seed: int
    tally: Tally
    broken: Sequence[str]


def main() -> int:
    """Search, report, and return 1 if any law was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=400, help="how many worlds go wrong, of some 28 runs each")
    parser.add_argument("--kills", type=int, default=50, help="how many runs are killed in the middle")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first world")
    options = parser.parse_args()
    began = time.monotonic()
    storms, broken = _search("storms", run_storm, range(options.seed, options.seed + options.worlds))
    # Not every world gives its run enough to do to die in the middle of it.
    many = range(options.seed, options.seed + 2 * options.kills)
    kills, more = _search("kills", run_kill, many, lambda tally: tally.killed >= options.kills)
    _say(f"storms: {describe(storms)}\n")
    _say(f"kills: {describe(kills)}\n")
    _say(f"{broken + more} worlds broke a law, in {time.monotonic() - began:.0f} s\n")
    return 1 if broken + more else 0


def _search(
    name: str,
    work: "Callable[[int], Found]",
    seeds: Sequence[int],
    is_enough: Callable[[Tally], bool] = lambda _: False,
) -> Tuple[Tally, int]:
    """Try seeds until it is enough; return what they came to, and how many broke a law."""
    total, broken = Tally(), 0
    with multiprocessing.Pool() as pool:
        for done, found in enumerate(pool.imap_unordered(work, seeds), 1):
            total = total.plus(found.tally)
            broken += bool(found.broken)
            if found.broken and broken <= _SHOWN:
                _say(f"{name}, seed {found.seed}: {'; '.join(found.broken[:3])}\n")
            if done % 50 == 0:
                _say(f"{name}: {done} worlds, {total.runs:,} runs, {broken} broke a law\n")
            if is_enough(total):
                break
    return total, broken


def run_storm(seed: int) -> Found:
    """Let one world go wrong."""
    return _guarded(seed, lambda: storm(seed, _STEPS))


def run_kill(seed: int) -> Found:
    """Kill a run in one world."""
    return _guarded(seed, lambda: kill(seed))


def _guarded(seed: int, work: "Callable[[], Tuple[Tally, List[str]]]") -> Found:
    try:
        return Found(seed, *work())
    except Exception:  # noqa: BLE001 - it is told with its seed
        return Found(seed, Tally(), [traceback.format_exc()])


def describe(tally: Tally) -> str:
    """Say what worlds came to."""
    actions = ", ".join(f"{count:,} {action}" for action, count in tally.actions.most_common())
    faults = ", ".join(f"{count:,} {fault}" for fault, count in tally.faults.most_common())
    return (
        f"{tally.runs:,} runs ({tally.failed:,} failed, {tally.killed:,} killed), {tally.calls:,} calls; asked of the "
        f"cloud: {actions or 'nothing'}; converged in the end: {tally.converged:,}; faults: {faults or 'none'}"
    )


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
