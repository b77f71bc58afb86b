"""Every help and the main outputs at 80 and at 140 columns, in narrower terminals, and in a pipe."""

from pathlib import Path
from typing import Iterator, Tuple

import pytest
from freezegun import freeze_time

from tests.cli_runner import SIMULATED, check_golden, isolate, run
from tests.test_cli import COMMANDS

NIGHT = "2026-11-23T21:00:00+07:00"
YEAR_END = ("--file", "year-end.yaml")
OUTPUTS: Tuple[Tuple[str, Tuple[str, ...]], ...] = (
    ("validate", ("validate",)),
    ("evaluate", ("evaluate", "--at", "2026-11-23T08:00:00+07:00", "--at", "2026-11-23T00:59:59Z")),
    ("explain", ("explain", "dev", *YEAR_END, "--at", "2026-12-26T10:00:00+07:00")),
    ("explain-servers", ("explain", "test", "--at", NIGHT, "--servers", "--simulated")),
    ("calendar", ("calendar", *YEAR_END, "--from", "2026-12-24", "--days", "14")),
    (
        "against-prices",
        ("calendar", "--file", "prices.yaml", "--against", "schedules.yaml", "--from", "2026-12-24", "--days", "5"),
    ),
    ("calendar-prices", ("calendar", "--file", "prices.yaml", "--from", "2026-11-23", "--days", "2")),
    ("savings", ("savings", "--file", "prices.yaml", "--simulated", "--from", "2026-12-01")),
    ("plan", ("plan", "--simulated", "--at", NIGHT)),
    ("plan-verbose", ("plan", "--simulated", "--at", NIGHT, "--verbose")),
    ("plan-prices", ("plan", "--file", "prices.yaml", "--simulated", "--at", NIGHT)),
    ("simulate-prices", ("simulate", "--file", "prices.yaml", "--from", "2026-11-23", "--days", "1", "--every", "1h")),
    ("simulate", ("simulate", "--from", "2026-11-23", "--days", "2", "--every", "1h")),
)
named = pytest.mark.parametrize(("name", "arguments"), [pytest.param(*output, id=output[0]) for output in OUTPUTS])


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    isolate(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    with freeze_time("2026-11-23T14:00:00Z"):
        yield


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_is_as_written(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ""
    for width in (80, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        ended = run(*filter(None, (command, "--help")))
        assert (ended.code, ended.stderr) == (0, "")
        assert max(len(text) for text in ended.stdout.splitlines()) <= width
        shown += f"=== {width} columns\n{ended.stdout}\n"
    check_golden(f"help/{command or 'cce-scheduler'}", shown)


@named
@pytest.mark.parametrize("width", [80, 140])
def test_every_output_is_as_written(
    name: str, arguments: Tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ended = run(*arguments)
    assert (ended.code, ended.stderr) == (0, SIMULATED if "--simulated" in arguments else "")
    assert max(len(text) for text in ended.stdout.splitlines()) <= width
    check_golden(name if width == 80 else f"{name}-{width}", ended.stdout)


@named
@pytest.mark.parametrize("width", [40, 50, 60, 72])
def test_nothing_is_cut_in_a_narrow_terminal(
    name: str, arguments: Tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No word is torn apart: all of the wide output are there, but for headings and the unit of the picture's sums."""
    wide = run(*arguments).stdout
    monkeypatch.setenv("COLUMNS", str(width))
    narrow = run(*arguments).stdout
    assert max(len(text) for text in narrow.splitlines()) <= width, name
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    words = {word.rstrip(":") for word in wide.split() if word[:1].isalpha() and not word.isupper()}
    assert words - {word.rstrip(":") for word in narrow.split()} <= {"h"}


@named
def test_a_pipe_gets_plain_text(name: str, arguments: Tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert "\x1b" not in ended.stdout, name
    assert all(text == text.rstrip() for text in ended.stdout.splitlines())
    assert ended.stdout.endswith("\n")
    assert not ended.stdout.endswith("\n\n")
