"""How problems of a file are quoted: the line, and a mark under the column, in whatever the line holds."""

from pathlib import Path
from typing import List

import pytest
from rich.cells import cell_len

from scheduler.cli.problems import quote_place
from scheduler.errors import Problem
from tests.cli_runner import GOLDEN, isolate, run


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


def quoted(text: str, column: int, width: int = 80, line: int = 7) -> List[str]:
    return list(quote_place(text, Problem("a", line, column, "wrong"), width))


@pytest.mark.parametrize(
    ("text", "column", "shown"),
    [
        pytest.param("  stop: x", 9, ["    7 |   stop: x", "      |         ^"], id="plain"),
        pytest.param("stop", 1, ["    7 | stop", "      | ^"], id="the first column"),
        pytest.param("stop", 5, ["    7 | stop", "      |     ^"], id="behind the end"),
        pytest.param("stop", 99, ["    7 | stop", "      |     ^"], id="far behind the end"),
        pytest.param("", 1, ["    7 | ", "      | ^"], id="an empty line"),
        pytest.param("\tstop: x", 2, ["    7 |     stop: x", "      |     ^"], id="a tab"),
        pytest.param("名前: x", 5, ["    7 | 名前: x", "      |       ^"], id="wide characters"),
        pytest.param("cafe\u0301: x", 6, ["    7 | cafe\u0301: x", "      |     ^"], id="a combining character"),
        pytest.param("a\x1b[2Jb: x", 7, ["    7 | a\\x1b[2Jb: x", "      |          ^"], id="control characters"),
        pytest.param("a\u202eb: x", 3, ["    7 | a\\u202eb: x", "      |        ^"], id="a change of direction"),
        pytest.param("stop: x   ", 7, ["    7 | stop: x", "      |       ^"], id="blanks at the end"),
    ],
)
def test_the_mark_stands_under_the_column(text: str, column: int, shown: List[str]) -> None:
    assert quoted(text, column) == shown


def test_a_long_line_is_cut_around_the_mark() -> None:
    text = "".join(f"{number:03} " for number in range(100_000))
    assert quoted(text, 201, width=40) == [
        "    7 | ... 047 048 049 050 051 052 0...",
        "      |                 ^",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 100, 10_000])
@pytest.mark.parametrize("character", ["x", "\t", "名", "\x1b", "e\u0301"])
def test_a_long_line_fits_and_the_mark_stays_at_its_character(width: int, character: str) -> None:
    text = character * 2000
    for column in (1, 2, 50, 200, 500, 1999, 2000):
        marked = f"{text[: column - 1]}!{text[column:]}"
        line, mark = quoted(marked, column, width)
        assert max(cell_len(line), len(mark)) <= min(width, 100)
        assert cell_len(line[: line.index("!")]) == mark.index("^")


def test_a_line_number_of_many_digits_keeps_its_gutter() -> None:
    assert quoted("x", 1, line=123456) == ["123456 | x", "       | ^"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"version: 1\nname: \x1b]0;pwned\x07x\n", id="controls"),
        pytest.param("version: 1\nname: \u202e\u2066x\n".encode(), id="direction"),
        pytest.param(b"version: 1\nname: \xff\xfe\n", id="not UTF-8"),
        pytest.param(b"version: 1\rname: {\r", id="old line ends"),
        pytest.param("version: 1\u2028name: {\u2028".encode(), id="line separators"),
        pytest.param(b"\xef\xbb\xbfversion: 2\r\n", id="a mark of byte order"),
        pytest.param(b"\x00", id="NUL"),
        pytest.param(b"", id="empty"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "evaluate"])
def test_nothing_in_a_file_steers_the_terminal(content: bytes, command: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(content)
    ended = run(command, "--file", str(file))
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr.replace("\n", "").isprintable()
    assert " | " in ended.stderr


@pytest.mark.parametrize(
    "section",
    [
        pytest.param("function:\n  settings: {ak: hunter2}\n", id="a setting"),
        pytest.param("function:\n  settings:\n    region:\n      [hunter2]\n", id="a setting on lines of its own"),
        pytest.param("secretKey: hunter2\n", id="a key anywhere"),
        pytest.param("security_token: hunter2\n", id="a token"),
        pytest.param("SK: {x: [hunter2\n", id="not YAML"),
    ],
)
def test_a_line_that_may_hold_a_key_is_not_quoted(section: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    file.write_text(f"{text}{section}", encoding="utf-8")
    ended = run("evaluate", "--file", str(file))
    assert ended.code == 1
    assert "hunter2" not in ended.stdout + ended.stderr


def test_every_command_quotes_what_is_wrong() -> None:
    validated, evaluated = (run(c, "--file", "seven-mistakes.yaml") for c in ("validate", "evaluate"))
    assert validated.stderr == f"{evaluated.stderr}seven-mistakes.yaml: 7 problems\n"
    assert evaluated.stderr.count("^") == 7


def test_machine_output_quotes_nothing() -> None:
    ended = run("validate", "--file", "seven-mistakes.yaml", "--json")
    assert "^" not in ended.stdout + ended.stderr


def test_a_terminal_of_eighty_columns_keeps_line_and_mark_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    ended = run("validate", "--file", str(GOLDEN / "seven-mistakes.yaml"))
    marks = [number for number, text in enumerate(ended.stderr.splitlines()) if text.strip(" |") == "^"]
    assert len(marks) == 7
    assert all(" | " in ended.stderr.splitlines()[number - 1] for number in marks)
