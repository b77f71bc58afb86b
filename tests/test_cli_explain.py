"""``explain``: the chain on the terminal and for machines, and the servers' decisions."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

from scheduler.remote_override import OVERRIDE_TAG
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from tests.cli_runner import GOLDEN, SIMULATED, check_golden, isolate, run

NIGHT = "2026-11-23T21:00:00+07:00"


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("explain", ("dev", "--file", "year-end.yaml", "--at", "2026-12-26T10:00:00+07:00")),
        ("explain-enforce", ("hands-off", "--file", "year-end.yaml", "--at", "2026-12-26T23:00:00+07:00")),
        ("explain-servers", ("test", "--at", NIGHT, "--servers", "--simulated")),
        ("explain-disabled", ("old", "--at", NIGHT)),
    ],
)
def test_shows_the_chain(name: str, arguments: "tuple[str, ...]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run("explain", *arguments)
    assert (ended.code, ended.stderr) == (0, SIMULATED if "--simulated" in arguments else "")
    assert max(len(text) for text in ended.stdout.splitlines()) <= 80
    check_golden(name, ended.stdout)


def test_gives_machines_the_chain_and_the_servers() -> None:
    ended = run("explain", "dev", "--at", NIGHT, "--servers", "--simulated", "--json")
    assert (ended.code, ended.stderr) == (0, SIMULATED)
    evaluated = run("evaluate", "--cluster", "dev", "--at", NIGHT, "--json").json[0]
    assert {key: ended.json[key] for key in evaluated} == evaluated
    assert ended.json["steps"][0] == {
        "kind": "window",
        "index": 0,
        "asks": "stopped",
        "decides": False,
        "text": "mon-fri 08:00-20:00 Asia/Bangkok",
        "newest_start": "2026-11-23T08:00:00+07:00",
        "newest_stop": "2026-11-23T20:00:00+07:00",
        "next_start": "2026-11-24T08:00:00+07:00",
        "next_stop": "2026-11-24T20:00:00+07:00",
        "skipped_start": None,
    }
    assert [step["kind"] for step in ended.json["steps"] if step["decides"]] == ["windows"]
    assert [(s["server_name"], s["decision"]) for s in ended.json["servers"]] == [
        ("dev-node-3", "stop SOFT"),
        ("dev-node-2", "stop SOFT"),
        ("bastion-1", "hold"),
        ("dev-node-1", "hold"),
    ]
    assert ended.json["error"] is None


def test_an_unknown_cluster_is_a_known_failure() -> None:
    assert run("explain", "dve").stderr == 'error: no cluster "dve" in the file: did you mean "dev"?\n'


def test_a_cloud_is_chosen_only_where_one_is_asked() -> None:
    ended = run("explain", "dev", "--simulated")
    assert (ended.code, ended.stdout) == (64, "")
    assert "which only --servers asks" in ended.stderr


def test_a_cloud_that_fails_is_told_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "a")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "s")
    ended = run("explain", "dev", "--servers", "--endpoint", "http://127.0.0.1:1", "--at", NIGHT)
    assert ended.code == 1
    assert "! error: the cloud was not reached" in ended.stdout


def test_with_its_servers_the_chain_has_the_override_of_the_clusters_tag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cloud = SimulatedCloud(datetime(2026, 11, 23, 14, tzinfo=timezone.utc))
    dev = cloud.clusters.add(
        "dev", project_id="0123456789abcdef0123456789abcdef", cluster_id="3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
    )
    cloud.clusters.add_node(dev, "dev-1")
    dev.tags[OVERRIDE_TAG] = "running@2026-11-23T20:00:00Z"
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    file = tmp_path / "s.yaml"
    text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
    file.write_text(f"{text}remote_overrides: true\n", encoding="utf-8")
    with serve(cloud) as url:
        asked = ("explain", "dev", "--file", str(file), "--at", NIGHT, "--json", "--servers")
        found = run(*asked, "--endpoint", url, "--cce-endpoint", url).json
    assert (found["state"], found["rule"]["kind"]) == ("running", "override")
    assert [(s["server_name"], s["decision"]) for s in found["servers"]] == [("dev-1", "hold")]
