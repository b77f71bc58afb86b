"""Problems of a schedules file, each with the line that it is in and a mark below its place.

::

    schedules.yaml:7:15: schedules.office-hours.windows[0].stop: "0 0 31 2 *" never fires: no such day comes
        7 |         stop: "0 0 31 2 *"
          |               ^

A quoted line comes from outside like any other text: what would steer a terminal is written out, and a long line is
cut on either side of the mark. A line that may hold a key is not quoted: keys do not belong in the file, and where
somebody wrote one all the same it stays out of logs. Machine output has none of this.
"""

import re
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Sequence, Union

from rich.cells import cell_len

from scheduler.cli.output import diagnostics, note
from scheduler.describe import printable
from scheduler.document import MAX_BYTES
from scheduler.errors import Problem

_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line in YAML."""
_MAY_HOLD_A_KEY = re.compile(
    r"\b(ak|sk|access_?key\w*|\w*secret\w*|\w*token\w*|\w*passw(or)?d\w*|\w*credential\w*)\b", re.IGNORECASE
)
_SETTINGS = "function.settings"
_WIDEST = 100
_REACH = 400
_TAB = "    "
_CUT = "..."


class _Cells(NamedTuple):
    """What a character of the file is shown as, and how many columns that takes."""

    text: str
    width: int


def show_problems(file: Union[str, Path], problems: Sequence[Problem], *, are_warnings: bool = False) -> None:
    """Write problems, or warnings, to stderr, with the lines that they are in where the file can be read."""
    lines = _read_lines(file)
    word, style = ("warning: ", "yellow") if are_warnings else ("", "red")
    for problem in problems:
        note(f"{problem.place_in(file)}: {word}{problem}", style)
        if 1 <= problem.line <= len(lines) and not _may_hold_a_key(problem, lines[problem.line - 1]):
            note("\n".join(quote_place(lines[problem.line - 1], problem, diagnostics().width)))


def _may_hold_a_key(problem: Problem, text: str) -> bool:
    return problem.path.startswith(_SETTINGS) or _MAY_HOLD_A_KEY.search(text) is not None


def quote_place(text: str, problem: Problem, width: int) -> Iterator[str]:
    """Yield a line of a file for ``width`` columns, and below it a mark under the problem's column."""
    gutter = max(len(str(problem.line)), 5)
    text = text.rstrip()
    place = min(problem.column - 1, len(text))
    begin = max(place - _REACH, 0)  # of a line without end only this much is looked at
    cells = [_Cells(shown, cell_len(shown)) for shown in map(_show, text[begin : place + _REACH])]
    room = min(width, _WIDEST) - gutter - len(" | ")
    first, last = 0, len(cells)
    if len(cells) < len(text) or _width(cells) > room:
        first, last = _cut(cells, place - begin, max(room - 2 * len(_CUT), 1))
    head = _CUT if begin + first else ""
    tail = _CUT if begin + last < len(text) else ""
    mark = len(head) + _width(cells[first : place - begin])
    yield f"{problem.line:{gutter}} | {head}{''.join(cell.text for cell in cells[first:last])}{tail}"
    yield f"{'':{gutter}} | {'':{mark}}^"


def _cut(cells: Sequence[_Cells], place: int, room: int) -> "tuple[int, int]":
    """Return the part around a place that has room: half of it behind the place, more where there is less before."""
    first = last = place
    used = 0
    while last < len(cells) and used + cells[last].width <= (room + 1) // 2:
        used += cells[last].width
        last += 1
    while first > 0 and used + cells[first - 1].width <= room:
        first -= 1
        used += cells[first].width
    while last < len(cells) and used + cells[last].width <= room:
        used += cells[last].width
        last += 1
    return first, last


def _width(cells: Iterable[_Cells]) -> int:
    return sum(cell.width for cell in cells)


def _show(character: str) -> str:
    return _TAB if character == "\t" else printable(character)


def _read_lines(file: Union[str, Path]) -> List[str]:
    """Return the lines of a file as the reader of YAML counts them, none of one that cannot be read."""
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(MAX_BYTES)
    except (OSError, ValueError):
        return []
    return _LINE_END.split(content.decode("utf-8-sig", errors="replace"))
