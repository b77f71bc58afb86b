"""What is written where, and how: results to stdout, everything else to stderr.

On a terminal there is colour (unless ``NO_COLOR`` is set) and text is wrapped to its width. In a pipe there is
neither, one line stays one line and has no trailing blanks; with ``COLUMNS`` set it is wrapped to that width.
"""

import json
import os
import sys
from typing import Any, Iterable, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_UNLIMITED = 10_000
"""Columns of a pipe."""


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


def line(text: str, style: str = "", indent: int = 0) -> RenderableType:
    """Return one line; what does not fit is continued below, indented as well."""
    return Padding.indent(Text(printable(text), style), indent)


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]], right: Sequence[str] = ()) -> Table:
    """Return a table whose last column is continued below where it does not fit; ``right`` ones are aligned so."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name != columns[-1])
    for row in rows:
        made.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return made


def fits(made: Table) -> bool:
    """Whether all of a table can be shown, no cell shortened."""
    console = results()
    return console.measure(made, options=console.options.update(width=_UNLIMITED)).maximum <= console.width


def printable(text: str) -> str:
    """Return a text with what would steer a terminal written out: names come from outside."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNLIMITED
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
