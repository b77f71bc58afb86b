"""README is short, and its figures are those that were measured. What else it shows is held by ``test_docs.py``.

UPDATE_GOLDEN=1 rewrites the figures.
"""

import os
import re
from pathlib import Path
from typing import Dict

from scheduler.cli.exits import ExitCode
from tests.test_cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
FIGURES = re.compile(r"(<!-- begin of the figures -->\n).*?(<!-- end of the figures -->)", re.DOTALL)
QUOTED = {
    "10 servers in 10 clusters, to the floor": "a run that stops 10 servers in 10 clusters, to the floor",
    "10 servers in 10 clusters, to the earlier function": "the same, to the earlier function",
    "1,000 servers in 100 clusters, to the floor": "1,000 servers in 100 clusters, to the floor",
    "100 clusters, none enabled, to the floor": "100 clusters of which none is managed, to the floor",
    "calls, 1,000 servers in 100 clusters": "API calls for 1,000 servers in 100 clusters",
    "peak memory, 10 servers in 10 clusters": "peak memory, 10 servers",
    "the zip": "the zip",
}
"""Rows of the results that README quotes, and how it calls them."""


def measured() -> Dict[str, str]:
    """Return the figures of the last measurement by what they are of; none where nobody has measured."""
    if not RESULTS.exists():
        return {}
    rows = [line.split("|") for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {row[2].strip(): row[3].strip() for row in rows}


def test_the_figures_are_those_that_were_measured() -> None:
    text = README.read_text(encoding="utf-8")
    figures = measured()
    body = "".join(f"| {words} | {figures[what]} |\n" for what, words in QUOTED.items() if what in figures)
    body = f"\n| figure | measured |\n|---|---|\n{body}\n" if body else ""
    assert len(FIGURES.findall(text)) == 1
    fresh = FIGURES.sub(lambda found: f"{found[1]}{body}{found[2]}", text)
    if os.environ.get("UPDATE_GOLDEN"):
        README.write_text(fresh, encoding="utf-8")
        text = fresh
    assert fresh == text


def test_what_is_quoted_is_measured() -> None:
    assert not RESULTS.exists() or set(QUOTED) <= set(measured())


def test_it_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 180


def test_it_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []


def test_it_names_every_exit_code() -> None:
    listed = README.read_text(encoding="utf-8").partition("Exit codes: ")[2].partition("\n\n")[0]
    assert [int(code) for code in re.findall(r"\b\d+\b", listed)] == list(ExitCode)
