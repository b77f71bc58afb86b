"""Trying many inputs on one target, each under a watchdog."""

import contextlib
import faulthandler
import signal
import sys
import warnings
from typing import Any, Callable, ContextManager, Iterator, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

_HANG_S = 120.0
"""No input takes a second; one that takes this long will never end. Not a measure of speed."""

Check = Callable[[Any], None]
"""Gives one input to a reader, and raises where what must hold does not."""


class Target(NamedTuple):
    """A reader of input from outside: the inputs for it, and what must hold for every one of them.

    ``open`` yields the check, and closes what that needs; ``batches`` is the share of a long search.
    """

    name: str
    inputs: SearchStrategy[Any]
    open: Callable[[], ContextManager[Check]]
    batches: int


class HangError(BaseException):
    """An input that a reader does not come back from; not an `Exception`, so that nothing swallows it."""


def hunt(target: Target, number: int, *, seed: int, hang_s: float = _HANG_S) -> int:
    """Try up to ``number`` inputs, the same for the same seed, and return how many were tried."""
    tried = 0

    with target.open() as check:

        @seeded(seed)
        @settings(
            max_examples=number,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(target.inputs)
        def try_one(found: Any) -> None:
            nonlocal tried
            tried += 1
            with _watched(found, hang_s):
                check(found)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the SDK warns of values of another type than it documents
            try_one()
    return tried


@contextlib.contextmanager
def _watched(found: object, hang_s: float) -> Iterator[None]:
    """Raise `HangError` where the body does not end; end the process where even that cannot be raised, inside C."""

    def bark(*_: object) -> None:
        raise HangError(f"no end after {hang_s:.0f} s with the input {found!r}")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, hang_s)
    faulthandler.dump_traceback_later(2 * _HANG_S, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
