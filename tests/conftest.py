"""What every test is given: commands that wait for nobody."""

from datetime import datetime, timedelta, timezone
from typing import Iterator, List

import pytest

try:
    from scheduler.cli.access import CLOCK
except ModuleNotFoundError:  # the function's half of the suite also runs without the command line's libraries
    CLOCK = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def impatient_clock() -> Iterator[None]:
    """Let the time that a command waits pass at once."""
    if CLOCK is None:
        yield
        return
    waited: List[float] = []
    token = CLOCK.set(
        CLOCK.get()._replace(
            now=lambda: datetime.now(timezone.utc) + timedelta(seconds=sum(waited)),
            sleep=waited.append,
            chance=lambda: 0.0,
        )
    )
    yield
    CLOCK.reset(token)
