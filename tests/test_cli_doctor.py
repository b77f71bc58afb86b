"""``doctor`` over a simulated account, with the real SDK over HTTP: finds what is wrong, and is content otherwise."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
from freezegun import freeze_time

from scheduler.remote_override import OVERRIDE_TAG
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.calls import Call, Fault, failing
from scheduler.simulated.cloud import RIGHTS
from scheduler.simulated.clusters import SimulatedCluster
from tests.cli_runner import SIMULATED, Ended, check_golden, isolate, run

NOW = datetime(2026, 11, 23, 5, tzinfo=timezone.utc)
PROJECT = "0123456789abcdef0123456789abcdef"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
TEST = "8b7e21aa-5c1d-11ef-8f3e-0255ac100b0c"
HIBERNATE = "    control_plane: hibernate\n"
TEXT = f"""\
version: 1
timezone: Asia/Bangkok
defaults:
  region: ap-southeast-2
  project_id: "{PROJECT}"
  windows:
    - hours: Mon-Fri 08:00-20:00
clusters:
  - name: test
    cluster_id: {TEST}
  - name: old
    cluster_id: c05d6b94-7e2f-11ef-a1c4-0255ac10fe21
    enabled: false
  - name: dev
    cluster_id: {DEV}
"""


class Scene:
    """A clean account: the clusters dev and test with two nodes each in a pool, and a file."""

    def __init__(self, cloud: SimulatedCloud, endpoint: str, file: Path) -> None:
        self.cloud = cloud
        self.endpoint = endpoint
        self.file = file
        self.dev = self.add("dev", DEV)
        self.test = self.add("test", TEST)
        self.write()

    def add(self, name: str, cluster_id: str) -> SimulatedCluster:
        cluster = self.cloud.clusters.add(name, project_id=PROJECT, cluster_id=cluster_id)
        pool = self.cloud.clusters.add_pool(cluster, "default")
        for number in (1, 2):
            self.cloud.clusters.add_node(cluster, f"{name}-{number}", pool=pool)
        return cluster

    def write(self, dev: str = "", file: str = "") -> None:
        """Write the file with further settings of dev, and of the file."""
        self.file.write_text(f"{TEXT}{dev}{file}", encoding="utf-8")

    def server(self, number: int) -> Any:
        return self.cloud.server(self.dev.nodes[number - 1].server_id or "")

    def doctor(self, *arguments: str) -> Ended:
        endpoints = ("--endpoint", self.endpoint, "--cce-endpoint", self.endpoint)
        self.cloud.clear_ledger()
        with freeze_time(self.cloud.now):
            return run("doctor", "--file", str(self.file), *endpoints, *arguments)

    def findings(self, *arguments: str) -> Dict[str, List[Tuple[str, str, str]]]:
        """Return the findings of every cluster, and check that nothing was written."""
        shown = self.doctor("--json", *arguments).json
        assert {record.method for record in self.cloud.ledger} <= {"GET"}
        return {c["name"]: [(f["verdict"], f["check"], f["message"]) for f in c["findings"]] for c in shown["clusters"]}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    isolate(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    cloud = SimulatedCloud(NOW)
    with serve(cloud) as endpoint:
        yield Scene(cloud, endpoint, tmp_path / "schedules.yaml")


class TestCleanAccount:
    @pytest.mark.parametrize("settings", ["", HIBERNATE, "    members: nodes\n"])
    def test_passes(self, scene: Scene, settings: str) -> None:
        scene.write(settings)
        ended = scene.doctor("--json")
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.json["summary"] == {"ok": 2, "warning": 0, "refused": 0}
        assert (ended.json["file"], ended.json["skipped"]) == ([], ["old"])
        assert {one["error"] for one in ended.json["rights"]} == {None}

    def test_is_read_with_few_calls(self, scene: Scene) -> None:
        scene.doctor()
        assert sorted(record.path.rpartition("/")[2] for record in scene.cloud.ledger) == [
            *("clusters", "detail", "nodepools", "nodepools", "nodes", "nodes")
        ]

    def test_names_the_rights_that_only_acting_shows(self, scene: Scene) -> None:
        scene.write(HIBERNATE, "remote_overrides: true\n")
        assert scene.doctor("--json").json["not_tried"] == [
            *("ecs:cloudServers:start", "ecs:cloudServers:stop", "cce:cluster:start", "cce:cluster:stop"),
            "cce:tag:operate",
        ]

    def test_of_the_simulated_cloud_passes(self, scene: Scene) -> None:
        ended = run("doctor", "--simulated", "--file", str(scene.file))
        assert (ended.code, ended.stderr) == (0, SIMULATED)
        assert ended.stdout.endswith(
            "\nRights: none was tried, since the cloud is simulated and your keys were not used\n\n"
            "Clusters: 2 ok, 0 warning, 0 refused.\n"
        )
        assert "worked in" not in ended.stdout

    def test_of_the_simulated_cloud_claims_no_right(self, scene: Scene) -> None:
        shown = run("doctor", "--simulated", "--file", str(scene.file), "--json").json
        assert (shown["rights"], shown["simulated"]) == ([], True)
        shown = scene.doctor("--json").json
        assert (len(shown["rights"]), shown["simulated"]) == (4, False)

    def test_looks_at_a_cluster_that_is_not_enabled_if_it_is_named(self, scene: Scene) -> None:
        ended = scene.doctor("--cluster", "old", "--json")
        assert ended.code == 1
        assert [(c["name"], c["verdict"]) for c in ended.json["clusters"]] == [("old", "refused")]


def lock(scene: Scene) -> None:
    scene.server(1).locked = True


def fail(scene: Scene) -> None:
    scene.cloud.set_status(scene.server(1), "ERROR")


def charge(scene: Scene) -> None:
    scene.server(1).charging_mode = "1"


def local_disks(scene: Scene) -> None:
    scene.server(1).flavor = "ir3.large.4"


def untag(scene: Scene) -> None:
    scene.server(1).tags = ()


def untag_all(scene: Scene) -> None:
    scene.server(1).tags = scene.server(2).tags = ()


def stray(scene: Scene) -> None:
    scene.cloud.add_server("stray", project_id=PROJECT, cluster_id=DEV)


def stray_while_one_is_made(scene: Scene) -> None:
    stray(scene)
    scene.cloud.clusters.add_node(scene.dev, "dev-3", has_server=False)


def empty(scene: Scene) -> None:
    for node in list(scene.dev.nodes):
        scene.cloud.remove(node.server_id or "")
    scene.dev.nodes.clear()


def autoscale(scene: Scene) -> None:
    scene.cloud.clusters.add_pool(scene.dev, "workers", is_autoscaled=True)


def autoscale_and_fail(scene: Scene) -> None:
    autoscale(scene)
    fail(scene)


def autoscale_prepaid(scene: Scene) -> None:
    autoscale(scene)
    scene.dev.is_prepaid = True


def call(name: str) -> Callable[[Scene], None]:
    def rename(scene: Scene) -> None:
        scene.dev.name = name

    return rename


def phase(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.cloud.clusters.set_phase(scene.dev, text)


def override(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.dev.tags.update({OVERRIDE_TAG: text})


def vanish(scene: Scene) -> None:
    scene.cloud.clusters.remove(scene.dev)


def prepay(scene: Scene) -> None:
    scene.dev.is_prepaid = True


ACCEPT = "    autoscaled_pools: accept\n"
TAIL = "function:\n  every: 15m\n"


@pytest.mark.parametrize(
    ("change", "settings", "expected"),
    [
        pytest.param(vanish, ("", ""), ("refused", "cluster", f"CCE knows no cluster {DEV}"), id="missing cluster"),
        pytest.param(untag, ("", ""), ("warning", "members", "1 node without the tag CCE-Cluster-ID"), id="no tag"),
        pytest.param(untag_all, ("", ""), ("warning", "members", "no server carries the tag CCE-Cl"), id="no tags"),
        pytest.param(stray, ("", ""), ("refused", "members", "1 server with the tag CCE-Cluster-ID that"), id="stray"),
        pytest.param(
            stray_while_one_is_made, ("", ""), ("warning", "members", "1 server with the tag"), id="one is being made"
        ),
        pytest.param(empty, ("", ""), ("warning", "members", "it has no servers, by tag or by"), id="no servers"),
        pytest.param(autoscale, ("", ""), ("refused", "pools", "autoscaled node pools: workers: "), id="autoscaled"),
        pytest.param(
            autoscale,
            ("    exclude: {node_pools: [Workers]}\n", ""),
            ("refused", "pools", "autoscaled node pools: workers: "),
            id="autoscaled and excluded by another name",
        ),
        pytest.param(
            autoscale, (HIBERNATE, TAIL), ("refused", "pools", "every 15m, too late to hibernate"), id="seldom"
        ),
        pytest.param(
            autoscale_prepaid, (HIBERNATE, ""), ("refused", "pools", "whether the cluster can hib"), id="cannot sleep"
        ),
        pytest.param(
            autoscale_and_fail,
            (HIBERNATE, ""),
            (
                "refused",
                "pools",
                "and dev-1 (status ERROR) will keep the control plane up: turn their autoscaling off, exclude",
            ),
            id="kept up by a broken server",
        ),
        pytest.param(charge, ("", ""), ("warning", "charging", "1 server left running, yearly/monthly"), id="prepaid"),
        pytest.param(
            charge, ("    stop_prepaid: true\n", ""), ("warning", "charging", "1 server yearly/monthly"), id="stopped"
        ),
        pytest.param(
            local_disks,
            ("", ""),
            ("warning", "charging", "1 server stopped for nothing: dev-1 (billed when stopped: ultra-h"),
            id="disks",
        ),
        pytest.param(
            call("production"),
            ("", ""),
            ("warning", "cluster", 'CCE calls this cluster "production": check cluster_id'),
            id="another name",
        ),
        pytest.param(lock, ("", ""), ("warning", "servers", "1 server locked, so never touched: dev-1"), id="locked"),
        pytest.param(fail, ("", ""), ("warning", "servers", "needs a person: dev-1 (ERROR)"), id="error"),
        pytest.param(
            lambda _: None,
            ('    exclude: {servers: ["bastion-*"]}\n', ""),
            ("warning", "exclusions", "exclude.servers matches nothing: bastion-*"),
            id="server that is not there",
        ),
        pytest.param(
            lambda _: None,
            ("    exclude: {tags: [keep]}\n", ""),
            ("warning", "exclusions", "exclude.tags matches nothing: keep"),
            id="tag that is not there",
        ),
        pytest.param(
            lambda _: None,
            ("    exclude: {node_pools: [ingress, default]}\n", ""),
            ("warning", "exclusions", "exclude.node_pools matches nothing: ingress"),
            id="pool that is not there",
        ),
        pytest.param(
            lambda _: None,
            ("    exclude: {dates: [2026-11-20, 2026-12-05]}\n", ""),
            ("warning", "exclusions", "exclude.dates that are past: 2026-11-20: remove them"),
            id="date that is past",
        ),
        pytest.param(
            phase("Hibernation"), ("", ""), ("warning", "phase", "is Hibernation, and no run wakes it"), id="asleep"
        ),
        pytest.param(phase("Upgrading"), ("", ""), ("warning", "phase", "Upgrading, which passes"), id="passing"),
        pytest.param(phase("Unavailable"), ("", ""), ("warning", "phase", "is Unavailable: look"), id="unavailable"),
        pytest.param(
            phase("Unavailable"), (HIBERNATE, ""), ("refused", "phase", "can neither hibernate nor"), id="unusable"
        ),
        pytest.param(prepay, (HIBERNATE, ""), ("warning", "control_plane", "it is yearly/monthly"), id="never sleeps"),
        pytest.param(lock, (HIBERNATE, ""), ("warning", "control_plane", "dev-1 (locked)"), id="kept up"),
        pytest.param(
            override("running@soon"),
            ("", "remote_overrides: true\n"),
            ("refused", "override", "`cce-scheduler override --clear dev` removes the tag"),
            id="garbled override",
        ),
        pytest.param(
            override("running@2026-11-23T15:00:00Z"), ("", ""), ("warning", "override", "no run obeys it"), id="unheard"
        ),
    ],
)
def test_finds(
    scene: Scene, change: Callable[[Scene], None], settings: Tuple[str, str], expected: Tuple[str, str, str]
) -> None:
    change(scene)
    scene.write(*settings)
    found = scene.findings()
    verdict, check, message = expected
    assert [f[2] for f in found["dev"] if f[:2] == (verdict, check) and message in f[2]], found["dev"]
    assert found["test"] == []
    assert scene.doctor().code == ("refused" in {f[0] for f in found["dev"]})


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        pytest.param(autoscale, (ACCEPT, ""), id="autoscaled and accepted"),
        pytest.param(autoscale, (HIBERNATE, ""), id="autoscaled and hibernated right after"),
        pytest.param(phase("Hibernation"), (HIBERNATE, ""), id="asleep as it should be"),
        *(
            pytest.param(call(name), ("", ""), id=f"a name like {name}")
            for name in ("DEV", "d_e-v", "team-dev", "Team_Dev", "d", "")
        ),
        pytest.param(
            stray, ("    exclude: {servers: [stray]}\n", ""), id="a server that is no node, and never touched"
        ),
        pytest.param(stray, ("    members: nodes\n", ""), id="a tag that is not looked at"),
        pytest.param(
            override("running@2026-11-23T15:00:00Z"), ("", "remote_overrides: true\n"), id="an override that is obeyed"
        ),
        pytest.param(
            override("running@2026-11-20T15:00:00Z"), ("", "remote_overrides: true\n"), id="an override that ended"
        ),
    ],
)
def test_is_content_with(scene: Scene, change: Callable[[Scene], None], settings: Tuple[str, str]) -> None:
    change(scene)
    scene.write(*settings)
    assert scene.findings() == {"test": [], "dev": []}


def test_an_exclusion_that_matches_in_another_cluster_is_fine(scene: Scene) -> None:
    text = TEXT.replace("defaults:\n", 'defaults:\n  exclude: {servers: ["dev-1"], tags: [keep]}\n')
    scene.file.write_text(text, encoding="utf-8")
    nothing = ("warning", "exclusions", "exclude.tags matches nothing: keep")
    assert scene.findings() == {"test": [nothing], "dev": [nothing]}


def test_what_exclusions_match_in_the_simulated_cloud_says_nothing(scene: Scene) -> None:
    text = TEXT.replace("defaults:\n", 'defaults:\n  exclude: {servers: ["bastion-*"], tags: [keep]}\n')
    scene.file.write_text(text, encoding="utf-8")
    assert "matches nothing" not in run("doctor", "--simulated", "--file", str(scene.file)).stdout


class TestAsleep:
    def test_what_a_sleeping_control_plane_does_not_tell_is_no_missing_right(self, scene: Scene) -> None:
        scene.cloud.clusters.answers_asleep = False
        scene.write(HIBERNATE)
        scene.cloud.clusters.set_phase(scene.dev, "Hibernation")
        found = scene.findings()["dev"]
        assert [f[:2] for f in found] == [("warning", "members")]
        assert {one["error"] for one in scene.doctor("--json").json["rights"]} == {None}


class TestRights:
    @pytest.mark.parametrize(
        ("right", "settings", "verdict"),
        [
            pytest.param("list", "", "refused", id="servers"),
            pytest.param("cce:cluster:list", "", "warning", id="clusters"),
            pytest.param("cce:cluster:list", HIBERNATE, "refused", id="clusters that hibernate"),
            pytest.param("cce:node:list", "", "warning", id="nodes"),
            pytest.param("cce:node:list", "    members: nodes\n", "refused", id="nodes that are members"),
            pytest.param("cce:nodepool:list", "", "refused", id="pools"),
            pytest.param("cce:nodepool:list", ACCEPT, "warning", id="pools that may be autoscaled"),
        ],
    )
    def test_that_are_missing_are_refused_if_the_file_needs_them(
        self, scene: Scene, right: str, settings: str, verdict: str
    ) -> None:
        scene.write(settings)
        scene.cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, may=[one for one in RIGHTS if one != right])
        shown = scene.doctor("--json").json
        (dev,) = [c for c in shown["clusters"] if c["name"] == "dev"]
        assert [(f["verdict"], f["check"]) for f in dev["findings"] if f["check"] == "rights"] == [(verdict, "rights")]
        (failed,) = [one for one in shown["rights"] if one["error"]]
        assert failed["action"].endswith(right)
        assert failed["error"]["status_code"] == 403

    def test_wrong_keys_are_tried_once(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "hunter2")
        ended = scene.doctor()
        assert ended.code == 1
        assert len(scene.cloud.ledger) == 1
        assert "hunter2" not in ended.stdout + ended.stderr

    def test_a_network_that_fails_is_refused(self, scene: Scene) -> None:
        scene.cloud.faults = _busy
        assert {c["verdict"] for c in scene.doctor("--json").json["clusters"]} == {"refused"}

    def test_an_unknown_region_is_refused(self, scene: Scene) -> None:
        scene.file.write_text(TEXT.replace("ap-southeast-2", "nowhere"), encoding="utf-8")
        ended = run("doctor", "--file", str(scene.file))
        assert ended.code == 1
        assert 'unknown region "nowhere"' in " ".join(ended.stdout.split())


def _busy(call: Call) -> "Fault | None":
    return failing(500, "Ecs.0000") if "cloudservers" in call.path else None


class TestFile:
    @pytest.mark.parametrize("limit", [pytest.param(4, id="at the limit"), pytest.param(None, id="no limit")])
    def test_is_content_with_a_limit_that_stops_keep(self, scene: Scene, limit: "int | None") -> None:
        scene.write("", f"limits:\n  max_stops_per_run: {limit}\n" if limit else "")
        assert scene.doctor("--json").json["file"] == []

    def test_says_which_stop_the_limit_would_refuse(self, scene: Scene) -> None:
        scene.write("", "limits:\n  max_stops_per_run: 3\n")
        (found,) = scene.doctor("--json").json["file"]
        assert found["message"] == (
            "limits.max_stops_per_run: the run of Mon 2026-11-23 20:00 Asia/Bangkok (and 4 more within a week) would "
            "stop 4 servers (test, dev), 3 are allowed, so it would stop none: raise the limit"
        )

    def test_counts_the_stops_of_one_run_together(self, scene: Scene) -> None:
        """A stop at 20:02 is done by the run of 20:05, and so is one at 20:04."""
        for minute, expected in (("20:04", 1), ("20:06", 0)):
            dev = f'    windows: [{{hours: "Mon-Fri 08:00-{minute}"}}]\n'
            text = TEXT.replace("08:00-20:00", "08:00-20:02")
            scene.file.write_text(f"{text}{dev}limits: {{max_stops_per_run: 3}}\n", encoding="utf-8")
            assert len(scene.doctor("--json").json["file"]) == expected

    def test_tells_the_traps_of_clocks(self, scene: Scene) -> None:
        zone = TEXT.replace("Asia/Bangkok", "Europe/Berlin").replace("08:00-20:00", "02:30-20:00")
        scene.file.write_text(zone.replace("Mon-Fri", "daily"), encoding="utf-8")
        shown = scene.doctor("--json").json
        assert {f["check"] for f in shown["file"]} == {"caution"}
        assert any("clocks in Europe/Berlin skip 02:00-03:00 on 2027-03-28" in f["message"] for f in shown["file"])
        assert shown["summary"] == {"ok": 2, "warning": 0, "refused": 0}

    def test_is_shown_for_a_person(self, scene: Scene) -> None:
        lock(scene)
        autoscale(scene)
        scene.write("", "limits:\n  max_stops_per_run: 2\n")
        scene.file.rename("dev.yaml")
        scene.file = Path("dev.yaml")
        ended = scene.doctor()
        assert (ended.code, ended.stderr) == (1, "")
        check_golden("doctor", ended.stdout)
