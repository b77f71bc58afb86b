"""What README and docs show is so: commands print what stands there, files can be used, tables are complete.

UPDATE_GOLDEN=1 rewrites what commands print. A page of docs is a folder of its own: a block of YAML with a title is a
file of that name in it, beside the schedules file of this repository.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

import pytest

from scheduler.caution import find_cautions
from scheduler.config import parse_checked
from scheduler.errors import ConfigError
from scheduler.evaluate import state_at
from scheduler.handler import handle
from scheduler.model import HoldKind, State
from scheduler.public_holidays import HolidayCalendar, HolidayLock, write_lock
from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, serve
from tests.cli_runner import GOLDEN, run
from tests.scenes import DEV, TIMER, Context

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
SITE = DOCS / "site" / "mkdocs.yml"
BLOCK = re.compile(r"^ *```(?P<language>\w+)(?P<about>[^\n]*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)^```", re.MULTILINE | re.DOTALL)
OF_GOLDEN = re.compile(r'^```text title="(?P<name>[a-z-]+)"\n.*?^```', re.MULTILINE | re.DOTALL)
"""What other tests show to be so: its name is that of a golden file."""
LOG = re.compile(r"(^```json\n).*?(^```$)", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([\w-]+\.(?:yaml|json))"')
NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
NIGHT = datetime(2026, 11, 23, 14, tzinfo=timezone.utc)
LOCK = write_lock(
    HolidayLock("holidays 0.83", {"TH": HolidayCalendar(date(2025, 1, 1), date(2029, 12, 31), {"2026-12-10": "A day"})})
)
REFUSED = "mistake"
"""How the name of a file begins that a page shows as one that is refused."""
A_CLUSTER = "clusters: [{name: dev, cluster_id: 3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b, state: running}]\n"
HELD = ("server_id", "server_name", "status", "reason")
"""Fields of a hold, which the sample of a result leaves out."""
SHELL_OPERATORS = {"|", ">", "&&", ";", "||"}

each_page = pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])


class Block(NamedTuple):
    """A block of code on a page; ``title`` is empty where it has none."""

    language: str
    title: str
    body: str


def blocks(page: Path) -> Iterator[Block]:
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        title = TITLE.search(found["about"])
        yield Block(found["language"], title[1] if title else "", found["body"])


def lay_out(page: Path, folder: Path) -> None:
    """Write the files of a page into a folder, as a reader of it would."""
    (folder / "schedules.yaml").write_bytes((ROOT / "schedules.yaml").read_bytes())
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.body, encoding="utf-8")


def shell_lines(page: Path) -> Iterator[List[str]]:
    """Yield the commands of a page's blocks of shell, as words."""
    for block in blocks(page):
        if block.language == "sh":
            for line in block.body.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                end = next((at for at, word in enumerate(words) if word in SHELL_OPERATORS), len(words))
                yield words[:end]


def is_taken(words: Sequence[str]) -> bool:
    """Whether the program has such a command with such options; their values are not looked at."""
    return run(*words, "--help").code in (None, 0)


def bangkok(day: int, hour: int) -> datetime:
    """Return an hour of December 2026 in Bangkok."""
    return datetime(2026, 12, day, hour, tzinfo=timezone(timedelta(hours=7)))


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next of the same level or a higher one."""
    level = len(heading) - len(heading.lstrip("#"))
    text = page.read_text(encoding="utf-8")
    assert text.count(f"\n{heading}\n") == 1, heading
    return re.split(rf"^#{{1,{level}}} ", text.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> List[str]:
    """Return the first cell of each row of a table, its head left out."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows[2:]]


@each_page
def test_the_commands_on_a_page_print_what_stands_there(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    text = page.read_text(encoding="utf-8")

    def rerun(found: "re.Match[str]") -> str:
        command, _, lines = found["command"].partition(" | head -n ")
        program, *arguments = shlex.split(command)
        assert program == "cce-scheduler"
        ended = run(*arguments)
        shown = (ended.stdout + (ended.stderr if ended.code else "")).splitlines(keepends=True)
        return f"```console\n$ {found['command']}\n{''.join(shown[: int(lines) if lines else None])}```"

    def reread(found: "re.Match[str]") -> str:
        golden = (GOLDEN / found["name"]).with_suffix(".txt").read_text(encoding="utf-8")
        return '```text title="{}"\n{}```'.format(found["name"], golden)

    fresh = OF_GOLDEN.sub(reread, CONSOLE.sub(rerun, text))
    if os.environ.get("UPDATE_GOLDEN"):
        page.write_text(fresh, encoding="utf-8")
        text = fresh
    assert fresh == text


@each_page
def test_every_block_of_a_console_is_run(page: Path) -> None:
    assert len(CONSOLE.findall(page.read_text(encoding="utf-8"))) == sum(b.language == "console" for b in blocks(page))


@each_page
def test_every_command_of_a_shell_is_one_that_the_program_takes(page: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in shell_lines(page):
        if words[:1] == ["cce-scheduler"]:
            assert is_taken(words[1:]), words
        if words[:1] == ["make"]:
            assert words[1] in targets


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["plan", "--simulated", "--at", "2026-11-23T21:00:00+07:00"], True, id="as it is"),
        pytest.param(["plam"], False, id="a command that is not there"),
        pytest.param(["plan", "--everything"], False, id="an option that is not there"),
    ],
)
def test_a_command_line_is_read_as_the_program_reads_it(words: List[str], expected: bool) -> None:  # noqa: FBT001
    assert is_taken(words) is expected


@each_page
def test_every_file_on_a_page_can_be_used(page: Path) -> None:
    """A part of a file is completed; each has nothing that is likely to be a mistake."""
    for block in blocks(page):
        if block.language != "yaml":
            continue
        text = block.body
        text = text if re.search(r"^version:", text, re.MULTILINE) else f"version: 1\n{text}"
        text = text if re.search(r"^clusters:", text, re.MULTILINE) else f"{text}{A_CLUSTER}"
        if block.title.startswith(REFUSED):
            with pytest.raises(ConfigError):
                parse_checked(text.encode(), page.name, lambda: LOCK)
            continue
        checked = parse_checked(text.encode(), page.name, lambda: LOCK)
        if "\nclusters:" in block.body and "# warned about" not in block.body:
            assert [str(found) for found in find_cautions(checked, NOW)] == [], block.title


def test_the_recipe_for_holidays_runs_on_the_one_that_is_worked_and_on_no_other_date() -> None:
    (text,) = (block.body for block in blocks(DOCS / "recipes.md") if block.title == "holidays.yaml")
    dates = {"2026-12-07": "Another day", "2026-12-10": "Constitution Day"}
    lock = write_lock(
        HolidayLock("holidays 0.83", {"TH": HolidayCalendar(date(2025, 1, 1), date(2029, 12, 31), dates)})
    )
    (cluster,) = parse_checked(text.encode(), "holidays.yaml", lambda: lock).schedules.clusters
    days = [7, 8, 9, 10, 11]
    hours = {day: [h for h in range(24) if state_at(cluster, bangkok(day, h)) is State.RUNNING] for day in days}
    assert hours == {7: [], **{day: list(range(8, 20)) for day in days[1:]}}


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text) + re.findall(
        r'(?:src|srcset)="(?!https?:)([^"]+)"', text
    ):
        assert (page.parent / target).exists(), target


def test_every_kind_of_hold_is_explained() -> None:
    cells = first_cells(section(DOCS / "operating.md", "## Holds"))
    assert cells == [f"`{kind.value}`" for kind in HoldKind]


def run_by_night(folder: Path) -> Tuple[Dict[str, Any], Context]:
    """Run the function with the file of the first page, on a node to stop and one to leave alone."""
    (file,) = (block.body for block in blocks(DOCS / "getting-started.md") if block.title == "first.yaml")
    file = file.replace("0123456789abcdef0123456789abcdef", SIMULATED_PROJECT)
    (folder / "schedules.yaml").write_text(file, encoding="utf-8")
    cloud = SimulatedCloud(NIGHT)
    for name in ("dev-node-1", "bastion-1"):
        cloud.add_server(name, cluster_id=DEV)
    with serve(cloud) as endpoint:
        context = Context({"ak": SIMULATED_AK, "sk": SIMULATED_SK, "endpoint": endpoint})
        environ = {"RUNTIME_CODE_ROOT": str(folder)}
        result = handle(TIMER, context, now=NIGHT, environ=environ, monotonic=lambda: 0.0, sleep=lambda _: None)
    return result, context


def fields(value: Any, path: str = "") -> Set[str]:
    """Return the paths of every field in a value, those of the entries of lists together."""
    if isinstance(value, dict):
        inner = {f"{path}{name}": part for name, part in value.items()}
        return set(inner).union(*(fields(part, f"{name}.") for name, part in inner.items()))
    return set().union(*(fields(part, path) for part in value)) if isinstance(value, list) else set()


def test_the_log_shown_is_one_and_every_field_of_it_is_explained(tmp_path: Path) -> None:
    page = DOCS / "operating.md"
    text = page.read_text(encoding="utf-8")
    _, context = run_by_night(tmp_path)
    shown = "".join(f"{line}\n" for line in context.texts)
    fresh = LOG.sub(lambda found: found[1] + shown + found[2], text, count=1)
    if os.environ.get("UPDATE_GOLDEN"):
        page.write_text(fresh, encoding="utf-8")
        text = fresh
    assert fresh == text
    for line in context.lines:
        cells = first_cells(section(page, f"### `{line['event']}`"))
        assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(line) - {"event"}


def test_the_result_shown_has_the_fields_of_one(tmp_path: Path) -> None:
    body = re.search(r"```json\n(.*?)```", section(DOCS / "function.md", "## Result"), re.DOTALL)
    result, _ = run_by_night(tmp_path)
    assert body is not None
    assert fields(json.loads(body[1])) == fields(result) - {f"data.clusters.held.{name}" for name in HELD}


def test_every_setting_is_explained() -> None:
    sources = "".join(
        (ROOT / "scheduler" / f"{name}.py").read_text(encoding="utf-8") for name in ("settings", "handler")
    )
    asked = set(re.findall(r'(?:lookup\(|_one_of\(lookup, )"([a-z]\w+)"', sources))
    cells = first_cells(section(DOCS / "function.md", "## Settings"))
    assert asked == {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_message_that_is_explained_is_one_of_the_program() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scheduler").rglob("*.py"))
    flat = re.sub(r'"\s*\n\s*f?"', "", sources)
    page = DOCS / "operating.md"
    failures, left = (first_cells(section(page, f"## {heading}")) for heading in ("Failures", "Left to the next run"))
    messages = [quoted for cell in failures for quoted in re.findall(r"`([^`]+)`", cell) if "LINE" not in quoted]
    assert len(messages) >= len(failures) - 1
    parts = [part.strip() for message in [*messages, *left] for part in message.split("…")]
    assert [part for part in parts if part not in flat] == []


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(SITE), "-d", str(tmp_path)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(PAGES) - 1
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "```" not in text, f"a block of {page} is not read as one"
        assert re.findall(r'<(?:script|img|source|iframe)[^>]+(?:src|srcset)="?(?:https?:)?//', text) == []
        assert re.findall(r'<link(?![^>]+rel="?canonical)[^>]+href="?(?:https?:)?//', text) == []


def test_every_page_has_its_place_on_the_site() -> None:
    nav = SITE.read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r"(\S+\.md)$", nav, re.MULTILINE)) == sorted(page.name for page in DOCS.glob("*.md"))
