"""``calendar --against``: what differs between two versions of a file."""

import re
from pathlib import Path

import pytest

from tests.cli_runner import GOLDEN, check_golden, isolate, run

DAYS = ("--from", "2026-11-23", "--days", "2")


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


@pytest.fixture
def edited(tmp_path: Path) -> str:
    """Start earlier, stop the demo, drop `old` and add `new`."""
    file = tmp_path / "edited.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    text = text.replace('"0 8 * * mon-fri"', '"0 7 * * mon-fri"').replace("state: running", "state: stopped")
    file.write_text(text.replace("name: old", "name: new"), encoding="utf-8")
    return str(file)


def test_shows_what_an_edit_changes(edited: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run("calendar", "--file", edited, "--against", "schedules.yaml", *DAYS)
    assert (ended.code, ended.stderr) == (0, "")
    check_golden("against", ended.stdout)


def test_says_that_nothing_changes() -> None:
    ended = run("calendar", "--against", "schedules.yaml", *DAYS)
    assert ended.code == 0
    assert ended.stdout.endswith("\n\nNo state changes in this time.\n")


def test_a_name_that_means_another_cluster_is_named(tmp_path: Path) -> None:
    file = tmp_path / "swapped.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    ids = re.findall(r"cluster_id: (\S+?)[,\s]", text)[:2]
    file.write_text(re.sub("|".join(ids), lambda found: ids[ids[0] == found[0]], text), encoding="utf-8")
    ended = run("calendar", "--file", str(file), "--against", "schedules.yaml", *DAYS)
    assert ended.stdout.splitlines()[2:] == [
        f"! dev means another cluster: cluster_id {ids[1]} (was {ids[0]})",
        f"! test means another cluster: cluster_id {ids[0]} (was {ids[1]})",
        "",
        "No state changes in this time.",
    ]
    ended = run("calendar", "--file", str(file), "--against", "schedules.yaml", *DAYS, "--json")
    assert ended.json["retargeted"][0] == {
        "cluster": "dev",
        "changed": {"cluster_id": {"was": ids[0], "becomes": ids[1]}},
    }


def test_gives_machines_every_change(edited: str) -> None:
    ended = run("calendar", "--file", edited, "--against", "schedules.yaml", *DAYS, "--json")
    assert (ended.code, ended.stderr) == (0, "")
    assert (ended.json["added"], ended.json["removed"]) == (["new"], ["old"])
    assert ended.json["beginnings"] == [{"cluster": "demo", "was": "running", "becomes": "stopped"}]
    assert len(ended.json["changes"]) == 4
    assert ended.json["changes"][0] == {
        "cluster": "dev",
        "change": "moves",
        "at": "2026-11-23T07:00:00+07:00",
        "was_at": "2026-11-23T08:00:00+07:00",
        "from": "stopped",
        "to": "running",
        "reason": "window 1 (mon-fri 07:00-20:00 Asia/Bangkok), until Mon 20:00",
    }


def test_clusters_of_either_file_can_be_named(edited: str) -> None:
    asked = ("calendar", "--file", edited, "--against", "schedules.yaml", *DAYS, "--json", "--cluster")
    assert run(*asked, "old").json["removed"] == ["old"]
    assert {change["cluster"] for change in run(*asked, "dev").json["changes"]} == {"dev"}
    ended = run(*asked, "nwe")
    assert (ended.code, ended.stderr) == (1, 'error: no cluster "nwe" in the file: did you mean "new"?\n')


def test_the_other_file_is_checked_too() -> None:
    ended = run("calendar", "--against", "seven-mistakes.yaml")
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("seven-mistakes.yaml:2:11: timezone: unknown zone")


@pytest.mark.parametrize("option", ["--ics", "--html"])
def test_a_difference_writes_no_file(option: str) -> None:
    ended = run("calendar", "--against", "schedules.yaml", option, "a.file")
    assert (ended.code, ended.stdout) == (64, "")
    assert "it writes no file" in ended.stderr
