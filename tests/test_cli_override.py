"""``override``, and what the runs make of its tag, with the real SDK over HTTP against a simulated cloud."""

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Dict, Iterator, Sequence

import pytest
from freezegun import freeze_time

from scheduler.handler import RunFailedError, handle
from scheduler.remote_override import OVERRIDE_TAG
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from tests.cli_runner import Ended, check_golden, isolate, run
from tests.scenes import CLOCK, TIMER, Context

EVENING = datetime(2026, 11, 23, 12, 30, tzinfo=timezone.utc)
"""A Monday, 19:30 in Bangkok: half an hour before the stop."""
PROJECT = "0123456789abcdef0123456789abcdef"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
TEST = "8b7e21aa-5c1d-11ef-8f3e-0255ac100b0c"
TEXT = f"""\
version: 1
timezone: Asia/Bangkok
remote_overrides: true
defaults:
  region: ap-southeast-2
  project_id: "{PROJECT}"
  windows:
    - hours: Mon-Fri 08:00-20:00
clusters:
  - name: dev
    cluster_id: {DEV}
  - name: test
    cluster_id: {TEST}
  - name: old
    cluster_id: c05d6b94-7e2f-11ef-a1c4-0255ac10fe21
    enabled: false
"""
GARBLED = [
    pytest.param("stopped", id="no end"),
    pytest.param("stopped@soon", id="no instant"),
    pytest.param("stopped@2026-11-23T23:00:00", id="no offset"),
    pytest.param("halted@2026-11-23T23:00:00Z", id="no state"),
    pytest.param("stopped@2026-12-23T23:00:00Z", id="too far ahead"),
    pytest.param("", id="empty"),
]


class Scene:
    """A file, and a cloud with the clusters dev and test, a node each."""

    def __init__(self, cloud: SimulatedCloud, endpoint: str, file: Path) -> None:
        self.cloud = cloud
        self.endpoint = endpoint
        self.file = file
        self.clusters = {
            name: cloud.clusters.add(name, project_id=PROJECT, cluster_id=cluster_id)
            for name, cluster_id in (("dev", DEV), ("test", TEST))
        }
        for name, cluster in self.clusters.items():
            cloud.clusters.add_node(cluster, f"{name}-1")
        file.write_text(TEXT, encoding="utf-8")

    def override(self, *arguments: str) -> Ended:
        with freeze_time(self.cloud.now):
            return run("override", *arguments, "--file", str(self.file), "--cce-endpoint", self.endpoint)

    def run(self, at: datetime) -> None:
        """Let the timer fire, and the servers obey."""
        self.cloud.advance_to(at)
        endpoints = {"endpoint": self.endpoint, "cceEndpoint": self.endpoint}
        keys = {"ak": SIMULATED_AK, "sk": SIMULATED_SK}
        context = Context({**endpoints, **keys, "schedulesPath": str(self.file)})
        event = {**TIMER, "time": at.isoformat()}
        try:
            handle(event, context, now=at, environ={}, monotonic=time.monotonic, sleep=CLOCK.sleep)
        finally:
            self.cloud.advance_to(at + timedelta(minutes=1))

    def statuses(self) -> Dict[str, str]:
        return {server.name: server.status for server in self.cloud.servers}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    isolate(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    cloud = SimulatedCloud(EVENING)
    with serve(cloud) as endpoint:
        yield Scene(cloud, endpoint, tmp_path / "schedules.yaml")


class TestRuns:
    @pytest.mark.parametrize("by_hand", [pytest.param(False, id="command"), pytest.param(True, id="tag set directly")])
    def test_keep_the_cluster_up_past_its_stop_and_stop_it_after_the_end(
        self,
        scene: Scene,
        by_hand: bool,  # noqa: FBT001
    ) -> None:
        if by_hand:
            scene.clusters["dev"].tags[OVERRIDE_TAG] = "running@2026-11-23T15:30:00Z"
        else:
            assert scene.override("dev", "running", "--for", "3h").code == 0
        for minutes in (30, 35, 175):
            scene.run(EVENING + timedelta(minutes=minutes))
            assert scene.statuses() == {"dev-1": "ACTIVE", "test-1": "SHUTOFF"}
        scene.run(EVENING + timedelta(minutes=180))
        assert scene.statuses() == {"dev-1": "SHUTOFF", "test-1": "SHUTOFF"}
        assert scene.clusters["dev"].tags == {OVERRIDE_TAG: "running@2026-11-23T15:30:00Z"}

    def test_start_again_what_an_override_wants_up(self, scene: Scene) -> None:
        scene.run(EVENING + timedelta(minutes=30))
        assert scene.override("dev", "running", "--for", "1h").code == 0
        scene.run(EVENING + timedelta(minutes=35))
        assert scene.statuses() == {"dev-1": "ACTIVE", "test-1": "SHUTOFF"}

    @pytest.mark.parametrize("text", GARBLED)
    def test_stop_nothing_for_a_tag_that_cannot_be_read(self, scene: Scene, text: str) -> None:
        scene.clusters["dev"].tags[OVERRIDE_TAG] = text
        for minutes in (0, 30, 300):
            with pytest.raises(RunFailedError, match="tag cce-scheduler-override"):
                scene.run(EVENING + timedelta(minutes=minutes))
            assert scene.statuses()["dev-1"] == "ACTIVE"
        assert scene.statuses()["test-1"] == "SHUTOFF"


class TestWriting:
    def test_shows_until_when_and_what_happens_then(self, scene: Scene) -> None:
        ended = scene.override("dev", "running", "--for", "3h")
        assert (ended.code, ended.stderr) == (0, "")
        check_golden("override", ended.stdout)
        assert scene.clusters["dev"].tags == {OVERRIDE_TAG: "running@2026-11-23T15:30:00Z"}
        assert [r.method for r in scene.cloud.ledger] == ["GET", "POST"]

    @pytest.mark.parametrize(
        ("until", "written"),
        [
            pytest.param("2026-11-24T02:00", "2026-11-23T19:00:00Z", id="local"),
            pytest.param("2026-11-24T02:00:00+09:00", "2026-11-23T17:00:00Z", id="offset"),
            pytest.param("2026-11-23T17:00:00Z", "2026-11-23T17:00:00Z", id="utc"),
            pytest.param("2026-11-30T19:30", "2026-11-30T12:30:00Z", id="seven days"),
        ],
    )
    def test_takes_an_end_in_the_zone_of_the_cluster(self, scene: Scene, until: str, written: str) -> None:
        assert scene.override("dev", "unmanaged", "--until", until).code == 0
        assert scene.clusters["dev"].tags == {OVERRIDE_TAG: f"unmanaged@{written}"}

    def test_replaces_the_one_before_and_keeps_other_tags(self, scene: Scene) -> None:
        scene.clusters["dev"].tags.update({OVERRIDE_TAG: "nonsense", "team": "a"})
        ended = scene.override("dev", "stopped", "--for", "1h")
        assert (ended.code, ended.stderr) == (0, "it replaces nonsense\n")
        assert scene.clusters["dev"].tags == {OVERRIDE_TAG: "stopped@2026-11-23T13:30:00Z", "team": "a"}

    def test_tells_machines_what_was_written(self, scene: Scene) -> None:
        assert scene.override("dev", "running", "--for", "3h", "--json").json == {
            "name": "dev",
            "cluster_id": DEV,
            "status": "active",
            "state": "running",
            "until": "2026-11-23T22:30:00+07:00",
            "tag": "running@2026-11-23T15:30:00Z",
            "error": None,
        }

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            pytest.param(("dve", "running", "--for", "1h"), 1, 'no cluster "dve" in the file', id="unknown cluster"),
            pytest.param(("old", "running", "--for", "1h"), 1, "old says `enabled: false`, so no run", id="disabled"),
            pytest.param(("dev", "running", "--for", "8d"), 1, "--for 8d is too long: an override ends", id="long"),
            pytest.param(("dev", "running", "--for", "30s"), 1, "may fall between two runs", id="short"),
            pytest.param(("dev", "running", "--for", "999999d"), 1, "ends within 7d", id="for ever"),
            pytest.param(("dev", "running", "--until", "2026-11-23T19:30"), 1, "is past: write a later", id="now"),
            pytest.param(("dev", "running", "--until", "2026-11-30T19:31"), 1, "is too far ahead", id="far"),
            pytest.param(("dev", "running", "--until", "22:00"), 64, "is not a date and time", id="no date"),
            pytest.param(("dev", "running", "--until", "0001-01-01T00:00+14:00"), 64, "is out of range", id="no year"),
            pytest.param(("dev", "running"), 64, "one of --for and --until", id="no end"),
            pytest.param(("dev", "running", "--for", "1h", "--until", "x"), 64, "one of --for and", id="two ends"),
            pytest.param(("dev", "--for", "1h"), 64, "write CLUSTER, a state, and one of", id="no state"),
            pytest.param(("dev", "halted", "--for", "1h"), 64, '"halted" is not a state: known', id="unknown state"),
            pytest.param(("dev", "--clear", "dev"), 64, "or --list, or --clear CLUSTER", id="two things"),
            pytest.param((), 64, "or --list, or --clear CLUSTER", id="nothing"),
            pytest.param(("dev", "running", "--for", "1h", "--reason", "x"), 64, "has no room for", id="reason"),
        ],
    )
    def test_refuses_what_would_have_no_effect(
        self, scene: Scene, arguments: Sequence[str], code: int, message: str
    ) -> None:
        ended = scene.override(*arguments)
        assert (ended.code, ended.stdout) == (code, "")
        assert message in " ".join(ended.stderr.replace("│", " ").split())
        assert scene.cloud.ledger == ()

    def test_refuses_where_no_run_looks_at_the_tag(self, scene: Scene) -> None:
        scene.file.write_text(TEXT.replace("remote_overrides: true\n", ""), encoding="utf-8")
        ended = scene.override("dev", "running", "--for", "1h")
        assert ended.code == 1
        assert "does not say `remote_overrides: true`, so no run would obey it" in " ".join(ended.stderr.split())
        assert scene.cloud.ledger == ()

    @pytest.mark.parametrize(
        ("moment", "problem"),
        [
            pytest.param("2026-10-25T02:30", "occurs twice in Europe/Berlin", id="twice"),
            pytest.param("2026-03-29T02:30", "does not exist in Europe/Berlin", id="gap"),
        ],
    )
    def test_asks_for_the_offset_of_a_time_that_clocks_change(self, scene: Scene, moment: str, problem: str) -> None:
        scene.file.write_text(TEXT.replace("Asia/Bangkok", "Europe/Berlin"), encoding="utf-8")
        ended = scene.override("dev", "running", "--until", moment)
        assert (ended.code, problem in " ".join(ended.stderr.split())) == (64, True)

    def test_needs_no_region_that_is_known_where_an_endpoint_is_given(self, scene: Scene) -> None:
        scene.file.write_text(TEXT.replace("ap-southeast-2", "xx-private-1"), encoding="utf-8")
        for arguments in (("dev", "running", "--for", "1h"), ("--list",), ("--clear", "dev")):
            ended = scene.override(*arguments)
            assert (ended.code, ended.stderr) == (0, "")

    def test_needs_the_right_to_write_tags(self, scene: Scene) -> None:
        scene.cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=["cce:cluster:list"])
        ended = scene.override("dev", "running", "--for", "1h")
        assert (ended.code, ended.stdout) == (1, "")
        assert "cce:tag:operate" in ended.stderr

    def test_says_that_cce_knows_no_such_cluster(self, scene: Scene) -> None:
        scene.cloud.clusters.remove(scene.clusters["dev"])
        ended = scene.override("dev", "running", "--for", "1h")
        assert (ended.code, ended.stderr.startswith(f"error: CCE knows no cluster {DEV}")) == (1, True)
        assert [r.method for r in scene.cloud.ledger] == ["GET"]


class TestClearing:
    @pytest.mark.parametrize("text", ["running@2026-11-23T15:30:00Z", "running@2026-11-22T15:30:00Z", "nonsense"])
    def test_removes_any_override_and_says_what_the_file_wants(self, scene: Scene, text: str) -> None:
        scene.clusters["dev"].tags.update({OVERRIDE_TAG: text, "team": "a"})
        ended = scene.override("--clear", "dev")
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout.startswith(f"dev: cleared {text}; by the file it is running")
        assert scene.clusters["dev"].tags == {"team": "a"}

    def test_of_none_sends_nothing(self, scene: Scene) -> None:
        ended = scene.override("--clear", "dev")
        assert (ended.code, ended.stdout.startswith("dev: there is no override; ")) == (0, True)
        assert [r.method for r in scene.cloud.ledger] == ["GET"]
        assert scene.override("--clear", "dev", "--json").json["status"] == "none"


class TestList:
    def test_shows_every_enabled_cluster_with_one_call(self, scene: Scene) -> None:
        scene.clusters["dev"].tags[OVERRIDE_TAG] = "running@2026-11-23T15:30:00Z"
        scene.clusters["test"].tags[OVERRIDE_TAG] = "stopped@2026-11-20T15:30:00Z"
        ended = scene.override("--list")
        assert (ended.code, ended.stderr) == (0, "")
        check_golden("override-list", ended.stdout)
        assert [r.method for r in scene.cloud.ledger] == ["GET"]
        assert [one["status"] for one in scene.override("--list", "--json").json] == ["active", "ended"]

    def test_fails_where_one_cannot_be_read(self, scene: Scene) -> None:
        scene.clusters["dev"].tags[OVERRIDE_TAG] = "nonsense"
        ended = scene.override("--list")
        assert ended.code == 1
        assert "! tag cce-scheduler-override: 'nonsense' cannot be read" in " ".join(ended.stdout.split())
        found = scene.override("--list", "--json").json
        assert [(one["status"], one["tag"]) for one in found] == [("unreadable", "nonsense"), ("none", None)]

    def test_fails_where_the_clusters_cannot_be_read(self, scene: Scene) -> None:
        scene.cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=["list"])
        ended = scene.override("--list", "--json")
        assert ended.code == 1
        assert {one["error"]["status_code"] for one in ended.json} == {403}
        assert len(scene.cloud.ledger) == 1

    def test_says_that_no_run_obeys(self, scene: Scene) -> None:
        scene.file.write_text(TEXT.replace("remote_overrides: true\n", ""), encoding="utf-8")
        assert "no run obeys them" in scene.override("--list").stderr
