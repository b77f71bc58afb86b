"""The commands in README and docs are run, and what they print is what stands there. UPDATE_GOLDEN=1 rewrites it.

What needs an account is run by other tests, and a page shows their golden file: its name stands behind ``text``.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cli_runner import GOLDEN, run

_ROOT = Path(__file__).parent.parent
_CONSOLE = re.compile(r"^```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)^```", re.MULTILINE | re.DOTALL)
_GOLDEN = re.compile(r"^```text (?P<name>[a-z-]+)\n.*?^```", re.MULTILINE | re.DOTALL)
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in _PAGES])
def test_the_commands_on_a_page_print_what_stands_there(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    text = page.read_text(encoding="utf-8")

    def rerun(found: "re.Match[str]") -> str:
        program, *arguments = shlex.split(found["command"])
        assert program == "cce-scheduler"
        return f"```console\n$ {found['command']}\n{run(*arguments).stdout}```"

    def reread(found: "re.Match[str]") -> str:
        golden = (GOLDEN / f"{found['name']}.txt").read_text(encoding="utf-8")
        return f"```text {found['name']}\n{golden}```"

    fresh = _GOLDEN.sub(reread, _CONSOLE.sub(rerun, text))
    if os.environ.get("UPDATE_GOLDEN"):
        page.write_text(fresh, encoding="utf-8")
    assert fresh == text


def test_readme_shows_commands_at_all() -> None:
    assert len(_CONSOLE.findall(_PAGES[0].read_text(encoding="utf-8"))) > 1


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in _PAGES])
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists()
