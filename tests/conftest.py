"""What every test is given: commands that wait for nobody."""

from datetime import datetime, timedelta, timezone
from typing import Iterator, List

import pytest

try:
    from scheduler.cli import access
except ModuleNotFoundError:  # the function's half of the suite also runs without the command line's libraries
    access = None  # type: ignore[assignment]


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
