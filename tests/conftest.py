"""What every test is given: a fresh evaluator, commands that wait for nobody, and laws that are tried alike every time.

What is tried at random, and for longer, is in `make oracle`, `make fuzz` and `make chaos`.
"""

import sys
from datetime import datetime, timedelta, timezone
from typing import Iterator, List

import pytest
from hypothesis import HealthCheck, settings

from scheduler import evaluate

try:
    from scheduler.cli import access
except ModuleNotFoundError:  # the function's half of the suite also runs without the command line's libraries
    access = None  # type: ignore[assignment]

settings.register_profile(
    "alike",
    derandomize=True,
    database=None,
    deadline=None,
    # A busy machine is slow; and `make mutants` runs the tests over and over in one process.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("alike")


def forget_everything() -> None:
    """Bring the evaluator, and what looks ahead with it, back to where it was when it was imported."""
    evaluate._schedules.clear()
    evaluate._known.clear()
    ours = [module for name, module in list(sys.modules.items()) if name.startswith("scheduler.")]
    for value in [value for module in ours for value in vars(module).values()]:
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def fresh_evaluator() -> None:
    """Let no file of tests find what another has left: a frozen clock's instants are of a type of their own."""
    forget_everything()


@pytest.fixture(autouse=access is not None)
def impatient_clock() -> Iterator[None]:
    """Let the time that a command waits pass at once."""
    waited: List[float] = []
    token = access.CLOCK.set(
        access.CLOCK.get()._replace(
            now=lambda: datetime.now(timezone.utc) + timedelta(seconds=sum(waited)),
            sleep=waited.append,
            chance=lambda: 0.0,
        )
    )
    yield
    access.CLOCK.reset(token)
