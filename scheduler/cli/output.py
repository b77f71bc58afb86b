"""What is written where, and how: results to stdout, everything else to stderr.

On a terminal there is colour (unless ``NO_COLOR`` is set) and text is wrapped to its width. In a pipe there is
neither, one line stays one line and has no trailing blanks; with ``COLUMNS`` set it is wrapped to that width.
"""

import json
import os
import sys
from shutil import get_terminal_size
from typing import Any, Iterable, List, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scheduler.describe import printable

_UNLIMITED = 10_000
"""Columns of a pipe."""
_LEAST_WIDTH = 20
"""Columns with which the last column of a table can make do."""


def results() -> Console:
    """Return the console of results."""
    return _console(stderr=False)


def diagnostics() -> Console:
    """Return the console of everything that is not a result."""
    return _console(stderr=True)


def show(*renderables: RenderableType) -> None:
    """Write results."""
    console = results()
    _write(console, renderables)
    console.file.flush()


def note(text: str, style: str = "") -> None:
    """Write a line, or several, for the person and not for a program that reads the results."""
    _write(diagnostics(), [line(part, style=style) for part in text.splitlines()])


def show_json(value: Any) -> None:
    """Write machine output; nothing else may be written to stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def show_bytes(content: bytes) -> None:
    """Write a file to stdout as it is; nothing else may be written there."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def line(text: str, style: str = "", indent: int = 0) -> RenderableType:
    """Return one line; what does not fit is continued below, indented as well."""
    return Padding.indent(Text(printable(text), style), indent)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[RenderableType]], right: Sequence[str] = ()
) -> RenderableType:
    """Return a table whose last column is continued below where it does not fit; ``right`` ones are aligned so.

    Where all the others do not fit either, each row is written as lines, one for each cell.
    """
    cells = [[Text(printable(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows]
    if not _fits(columns, cells):
        return _stack(columns, cells)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name != columns[-1])
    for row in cells:
        made.add_row(*row)
    return made


def _fits(columns: Sequence[str], rows: Sequence[Sequence[RenderableType]]) -> bool:
    """Whether a table has room for its columns; the last one can make do with a few characters."""
    widths = [
        max(cell_len(text) for text in (name, *(_plain(row[number]) for row in rows if number < len(row))))
        for number, name in enumerate(columns)
    ]
    widths[-1] = min(widths[-1], max(_LEAST_WIDTH, cell_len(columns[-1])))
    return sum(widths) + 2 * (len(widths) - 1) <= results().width


def _stack(columns: Sequence[str], rows: Sequence[Sequence[RenderableType]]) -> RenderableType:
    lines: List[RenderableType] = []
    for row in rows:
        texts = ((name, _plain(cell)) for name, cell in zip(columns, row))
        for number, (name, text) in enumerate(texts):
            if text:
                lines.append(line(f"{name}: {text}", indent=2 if number else 0))
    return Group(*lines)


def _plain(cell: RenderableType) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


def fits(made: RenderableType) -> bool:
    """Whether what `table` returned has its columns, since the terminal has room for them."""
    return isinstance(made, Table)


def can_write(text: str) -> bool:
    """Whether stdout has these characters."""
    try:
        text.encode(results().encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def count(number: int, noun: str) -> str:
    """Return ``1 server``, ``2 servers``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not os.environ.get("COLUMNS", "").strip("0"):  # a width of 0 is none: everything would be folded away
        console.width = get_terminal_size().columns if console.is_terminal else _UNLIMITED
    return console


def _write(console: Console, renderables: Iterable[RenderableType]) -> None:
    if console.is_terminal:
        console.print(*renderables, sep="\n")
        return
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    text = "".join(f"{one.rstrip()}\n" for one in captured.get().splitlines())
    console.file.write(text)
