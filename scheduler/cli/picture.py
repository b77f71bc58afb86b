"""Days as rows and hours as cells: when a cluster runs, drawn in characters.

::

                    00    03    06    09    12    15    18    21
    Mon 2026-11-23  ................########################........  12.0 h

Readable without colour, and in ASCII where the terminal has no block characters.
"""

from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from rich.text import Text

from scheduler.cli.output import can_write

_HOURS = 24
_LABEL_EVERY = 3
_ALMOST = 0.95
"""A cell counts as running from this share on, and as stopped up to its complement: a stop takes a while."""


class Strip(NamedTuple):
    """What fraction of a cluster runs in each step of time; None where it is unmanaged."""

    start: datetime
    step: timedelta
    shares: Sequence[Optional[float]]


class Hour(NamedTuple):
    """One local hour of one day; where clocks are put back it is longer."""

    day: date
    hour: int
    begin: datetime
    shares: Tuple[Optional[float], ...]

    @property
    def share(self) -> Optional[float]:
        """The fraction of the hour that was running, None if most of it was unmanaged."""
        known = [share for share in self.shares if share is not None]
        return sum(known) / len(known) if len(known) * 2 > len(self.shares) else None


class _Symbols(NamedTuple):
    running: str
    stopped: str
    partly: str
    unmanaged: str


_BLOCKS = _Symbols("█", "·", "▒", "-")
_ASCII = _Symbols("#", ".", "+", "-")
_STYLES = _Symbols("green", "dim", "yellow", "dim")


def local_hours(strip: Strip, zone: ZoneInfo) -> Iterator[Hour]:
    """Yield the hours of a strip as a zone's clocks show them, in order."""
    hours: Dict[Tuple[date, int], Tuple[datetime, List[Optional[float]]]] = {}
    for number, share in enumerate(strip.shares):
        at = strip.start + number * strip.step
        local = at.astimezone(zone)
        hours.setdefault((local.date(), local.hour), (at, []))[1].append(share)
    for (day, hour), (begin, shares) in hours.items():
        yield Hour(day, hour, begin, tuple(shares))


def draw(strip: Strip, zone: ZoneInfo) -> Iterator[Text]:
    """Yield the lines of a picture: 72 columns."""
    marks = "".join(f"{hour:02}" if hour % _LABEL_EVERY == 0 else "  " for hour in range(_HOURS))
    yield Text(f"{'':16}{marks.rstrip()}", "dim")
    symbols = _symbols()
    days: Dict[date, Dict[int, Hour]] = {}
    for hour in local_hours(strip, zone):
        days.setdefault(hour.day, {})[hour.hour] = hour
    for day, hours in days.items():
        row = Text(f"{day:%a %Y-%m-%d}  ")
        cells = (_cell(hours[number], symbols) if number in hours else ("  ", "") for number in range(_HOURS))
        for (cell, style), same in groupby(cells):
            row.append(cell * len(list(same)), style)
        steps = sum(share or 0 for hour in hours.values() for share in hour.shares)
        row.append(f"  {steps * strip.step / timedelta(hours=1):4.1f} h")
        yield row


def legend(*, unmanaged: bool = False) -> Text:
    """Return what the cells mean."""
    symbols = _symbols()
    text = f"{symbols.running} running   {symbols.stopped} stopped   {symbols.partly} partly"
    return Text(f"{text}   {symbols.unmanaged} unmanaged" if unmanaged else text, "dim")


def _symbols() -> _Symbols:
    return _BLOCKS if can_write("".join(_BLOCKS)) else _ASCII


def _cell(hour: Hour, symbols: _Symbols) -> Tuple[str, str]:
    share = hour.share
    if share is None:
        place = 3
    elif share >= _ALMOST:
        place = 0
    else:
        place = 1 if share <= 1 - _ALMOST else 2
    return symbols[place] * 2, _STYLES[place]
