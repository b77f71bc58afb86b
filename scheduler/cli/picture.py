"""Days as rows and hours as cells: when a cluster runs, drawn in characters.

::

                    00    03    06    09    12    15    18    21
    Mon 2026-11-23  ................########################........  12.0 h

Readable without colour, and in ASCII where the terminal has no block characters. Where 72 columns are too many, an
hour is one character instead of two, and below 48 columns the year and the sums are left out.
"""

from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from rich.text import Text

from scheduler.cli.output import can_write, results

_HOURS = 24
_ALMOST = 0.95
"""A cell counts as running from this share on, and as stopped up to its complement: a stop takes a while."""


class Strip(NamedTuple):
    """What fraction of a cluster runs in each step of time, and what fraction of the step it is ``unmanaged``."""

    start: datetime
    step: timedelta
    shares: Sequence[float]
    unmanaged: Optional[Sequence[float]] = None


class Hour(NamedTuple):
    """One local hour of one day; where clocks are put back it is longer."""

    day: date
    hour: int
    begin: datetime
    shares: Tuple[float, ...]
    unmanaged: Tuple[float, ...]

    @property
    def share(self) -> float:
        """The fraction of the hour that was running."""
        return sum(self.shares) / len(self.shares)

    @property
    def unmanaged_share(self) -> float:
        """The fraction of the hour in which nothing was asked for."""
        return sum(self.unmanaged) / len(self.unmanaged)


class _Symbols(NamedTuple):
    running: str
    stopped: str
    partly: str
    unmanaged: str


_BLOCKS = _Symbols("█", "·", "▒", "-")
_ASCII = _Symbols("#", ".", "+", "-")
_STYLES = _Symbols("green", "dim", "yellow", "dim")


class _Layout(NamedTuple):
    """How a picture fits ``width`` columns: the form of a date, characters of an hour, hours from label to label."""

    width: int
    date: str
    cell: int
    label_every: int
    has_sums: bool


_LAYOUTS = (
    _Layout(72, "%a %Y-%m-%d  ", 2, 3, True),
    _Layout(48, "%a %Y-%m-%d  ", 1, 6, True),
    _Layout(0, "%a %m-%d  ", 1, 6, False),
)


def local_hours(strip: Strip, zone: ZoneInfo) -> Iterator[Hour]:
    """Yield the hours of a strip as a zone's clocks show them, in order."""
    hours: Dict[Tuple[date, int], Tuple[datetime, List[Tuple[float, float]]]] = {}
    for number, share in enumerate(strip.shares):
        at = strip.start + number * strip.step
        local = at.astimezone(zone)
        unmanaged = strip.unmanaged[number] if strip.unmanaged else 0.0
        hours.setdefault((local.date(), local.hour), (at, []))[1].append((share, unmanaged))
    for (day, hour), (begin, steps) in hours.items():
        yield Hour(day, hour, begin, tuple(s for s, _ in steps), tuple(u for _, u in steps))


def draw(strip: Strip, zone: ZoneInfo, width: Optional[int] = None) -> Iterator[Text]:
    """Yield the lines of a picture for so many columns, by default those of the terminal."""
    columns = results().width if width is None else width
    layout = next(layout for layout in _LAYOUTS if columns >= layout.width)
    every = layout.label_every
    marks = "".join(f"{hour:02}".ljust(layout.cell * every) for hour in range(0, _HOURS, every)).rstrip()
    yield _row(f"{'':{len(f'{strip.start:{layout.date}}')}}{marks}", "dim")
    symbols = _symbols()
    days: Dict[date, Dict[int, Hour]] = {}
    for hour in local_hours(strip, zone):
        days.setdefault(hour.day, {})[hour.hour] = hour
    for day, hours in days.items():
        row = _row(f"{day:{layout.date}}")
        cells = (_cell(hours[number], symbols) if number in hours else (" ", "") for number in range(_HOURS))
        for (cell, style), same in groupby(cells):
            row.append(cell * layout.cell * len(list(same)), style)
        if layout.has_sums:
            steps = sum(sum(hour.shares) for hour in hours.values())
            row.append(f"  {steps * strip.step / timedelta(hours=1):4.1f} h")
        yield row


def _row(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="crop")


def legend(*, unmanaged: bool = False) -> Text:
    """Return what the cells mean."""
    symbols = _symbols()
    text = f"{symbols.running} running   {symbols.stopped} stopped   {symbols.partly} partly"
    return Text(f"{text}   {symbols.unmanaged} unmanaged" if unmanaged else text, "dim")


def _symbols() -> _Symbols:
    return _BLOCKS if can_write("".join(_BLOCKS)) else _ASCII


def _cell(hour: Hour, symbols: _Symbols) -> Tuple[str, str]:
    share, unmanaged = hour.share, hour.unmanaged_share
    if unmanaged >= _ALMOST:
        place = 3
    elif share >= _ALMOST:
        place = 0
    else:
        place = 1 if share + unmanaged <= 1 - _ALMOST else 2
    return symbols[place], _STYLES[place]
