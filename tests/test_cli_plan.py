"""``plan`` and ``apply``, with the real SDK over HTTP against a simulated cloud."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest
from freezegun import freeze_time

from scheduler.cli.access import Access, Target, find_credentials, open_access
from scheduler.cli.apply import Converged, wait_until_converged
from scheduler.config import load_config
from scheduler.errors import InputError
from scheduler.model import ControlPlane, Power, State, Timing
from scheduler.reconcile import run_once
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, Fault, failing
from scheduler.simulated.clusters import SimulatedCluster
from tests.cli_runner import GOLDEN, SIMULATED, check_golden, heed_interrupts, isolate, run

NIGHT = "2026-11-23T21:00:00+07:00"
NIGHT_AT = datetime(2026, 11, 23, 14, tzinfo=timezone.utc)
PROJECT = "0123456789abcdef0123456789abcdef"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
DEMO = "1b0f3c2d-93aa-11ef-8d7c-0255ac10a001"
ONLY_DEV = ("--cluster", "dev")
PROFILE = f"[basic]\nak = {SIMULATED_AK}\nsk = {SIMULATED_SK}\nproject_id = {PROJECT}\n"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the person's own keys and terminal out of the tests."""
    isolate(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", SIMULATED_AK)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SIMULATED_SK)
    for name in ("SECURITY_TOKEN", "PROJECT_ID", "CREDENTIALS_FILE"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NIGHT_AT)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


def add(cloud: SimulatedCloud, name: str, cluster_id: str = DEV, status: str = "ACTIVE") -> SimulatedServer:
    return cloud.add_server(name, project_id=PROJECT, cluster_id=cluster_id, status=status)


def posts(cloud: SimulatedCloud) -> List[Tuple[object, Tuple[str, ...]]]:
    return [(record.power, record.server_ids) for record in cloud.ledger if record.method == "POST"]


def without_project(tmp_path: Path) -> str:
    file = tmp_path / "s.yaml"
    lines = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(text for text in lines if "project_id:" not in text), encoding="utf-8")
    return str(file)


class TestPlan:
    @pytest.mark.parametrize(
        ("name", "options"), [("plan", []), ("plan-verbose", ["--verbose"])], ids=["short", "verbose"]
    )
    def test_reads_like_a_diff(self, monkeypatch: pytest.MonkeyPatch, name: str, options: List[str]) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        ended = run("plan", "--simulated", "--at", NIGHT, *options)
        assert (ended.code, ended.stderr) == (0, SIMULATED)
        check_golden(name, ended.stdout)

    def test_asks_the_cloud_and_changes_nothing(self, cloud: SimulatedCloud, endpoint: str) -> None:
        node, off = add(cloud, "node-1"), add(cloud, "node-2", status="SHUTOFF")
        ended = run("plan", "--endpoint", endpoint, "--at", NIGHT, "--json", *ONLY_DEV)
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.json["summary"] == {"start": 0, "stop": 1, "hold": 1, "hibernate": 0, "awake": 0, "errors": 0}
        planned = ended.json["clusters"][0]
        assert planned["stop"] == [{"server_id": node.server_id, "server_name": "node-1", "type": "SOFT"}]
        assert planned["hold"][0]["server_id"] == off.server_id
        assert {record.method for record in cloud.ledger} == {"GET"}

    @pytest.mark.parametrize(("status", "code"), [("ACTIVE", 2), ("SHUTOFF", 0)])
    def test_tells_by_its_exit_code_that_changes_are_planned(
        self, cloud: SimulatedCloud, endpoint: str, status: str, code: int
    ) -> None:
        add(cloud, "node-1", status=status)
        ended = run("plan", "--endpoint", endpoint, "--at", NIGHT, "--detailed-exitcode", *ONLY_DEV)
        assert ended.code == code

    def test_shows_a_cluster_that_fails_beside_those_that_do_not(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
        file.write_text(text.replace("name: dev\n", "name: dev\n    region: nowhere\n"), encoding="utf-8")
        ended = run("plan", "--file", str(file), "--at", NIGHT, *ONLY_DEV)
        assert (ended.code, ended.stderr) == (1, "")
        assert '  ! error: unknown region "nowhere": correct it, or set the endpoint\n' in ended.stdout
        assert ended.stdout.endswith("Plan: 0 to start, 0 to stop, 0 held, 1 failed.\n")

    def test_warns_of_a_cluster_without_servers(self, cloud: SimulatedCloud, endpoint: str) -> None:
        cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
        endpoints = ("--endpoint", endpoint, "--cce-endpoint", endpoint)
        ended = run("plan", *endpoints, "--at", NIGHT, *ONLY_DEV)
        assert ended.code == 0
        warning = f"  ! warning: no server carries the tag CCE-Cluster-ID={DEV}, and CCE lists no node of it: check"
        assert warning in ended.stdout

    def test_says_that_a_guard_refuses_the_stops(self, cloud: SimulatedCloud, endpoint: str, tmp_path: Path) -> None:
        add(cloud, "node-1")
        add(cloud, "node-2")
        file = tmp_path / "s.yaml"
        text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
        file.write_text(f"{text}limits:\n  max_stops_per_run: 1\n", encoding="utf-8")
        asked = ("--file", str(file), "--endpoint", endpoint, *ONLY_DEV)
        ended = run("plan", "--at", NIGHT, *asked)
        assert ended.code == 0
        assert ended.stdout.endswith(
            "! every stop is refused: limits.max_stops_per_run: this run would stop 2 servers, 1 are allowed, so it "
            "stops none: raise the limit if that many is right\n"
            "Plan: 0 to start, 0 to stop, 2 refused, 0 held, 0 failed.\n"
        )
        assert run("plan", "--at", NIGHT, "--detailed-exitcode", *asked).code == 0
        with freeze_time(NIGHT_AT):
            assert run("plan", *asked) == (1, ended.stdout, "")
            ended = run("apply", *asked)
        assert ended.code == 1
        assert "! every stop is refused" in ended.stdout
        assert "  (SOFT, refused)\n" in ended.stdout
        assert ended.stdout.endswith("Applied: 0 started, 0 stopped, 2 refused, 0 held, 0 failed.\n")
        assert not posts(cloud)

    def test_wrong_keys_are_a_failure_that_names_them(
        self, cloud: SimulatedCloud, endpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "hunter2")
        ended = run("plan", "--endpoint", endpoint, "--at", NIGHT, *ONLY_DEV)
        assert ended.code == 1
        assert "! error: APIGW.0301 Incorrect IAM authentication information" in ended.stdout
        assert "hunter2" not in ended.stdout + ended.stderr
        assert len(cloud.ledger) == 1

    def test_takes_region_and_project_from_options_and_environment(
        self, cloud: SimulatedCloud, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(cloud, "node-1")
        asked = ("plan", "--file", without_project(tmp_path), "--endpoint", endpoint, "--at", NIGHT, *ONLY_DEV)
        ended = run(*asked)
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("error: no project id for dev: ")
        monkeypatch.setenv("HUAWEICLOUD_SDK_PROJECT_ID", PROJECT)
        assert "1 to stop" in run(*asked).stdout


class TestExclusionsThatMatchNothing:
    """A misspelt exclusion keeps nothing from being stopped, so a person is told before it is."""

    @staticmethod
    def with_exclusions(tmp_path: Path, dev: str, test: str = "{}") -> Tuple[str, ...]:
        file = tmp_path / "s.yaml"
        file.write_text(
            "version: 1\n"
            f"defaults: {{region: ap-southeast-2, project_id: {PROJECT}, state: stopped}}\n"
            "clusters:\n"
            f"  - {{name: dev, cluster_id: {DEV}, exclude: {dev}}}\n"
            f"  - {{name: test, cluster_id: {DEMO}, exclude: {test}}}\n",
            encoding="utf-8",
        )
        return ("--file", str(file))

    @staticmethod
    def told(output: str) -> List[str]:
        return [text for text in output.splitlines() if text.lstrip().startswith("?")]

    @pytest.fixture
    def endpoints(self, cloud: SimulatedCloud, endpoint: str) -> Tuple[str, ...]:
        """Return the options for a cloud with a node and a bastion of dev, and a node of test."""
        cluster = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV)
        for name, pool in (("node-1", "workers"), ("bastion-1", "ingress")):
            tags = ("keep=1",) if name == "bastion-1" else ()
            cloud.clusters.add_node(cluster, name, pool=cloud.clusters.add_pool(cluster, pool), tags=tags)
        other = cloud.clusters.add("test", project_id=PROJECT, cluster_id=DEMO)
        cloud.clusters.add_node(other, "test-1", pool=cloud.clusters.add_pool(other, "workers"))
        return ("--endpoint", endpoint, "--cce-endpoint", endpoint)

    @pytest.mark.parametrize(
        ("exclude", "message"),
        [
            pytest.param('{servers: ["bastoin-*"]}', 'exclude.servers: "bastoin-*" matches no server', id="typo"),
            pytest.param('{servers: ["Bastion-*"]}', 'exclude.servers: "Bastion-*" matches no server', id="case"),
            pytest.param('{servers: ["test-1"]}', 'exclude.servers: "test-1" matches no server', id="of another"),
            pytest.param("{tags: [keep=2]}", 'exclude.tags: "keep=2" matches no server', id="tag"),
            pytest.param(
                "{node_pools: [nosuchpool]}", 'exclude.node_pools: "nosuchpool" matches no node pool', id="pool"
            ),
        ],
    )
    def test_are_told_by_plan_and_apply(
        self, cloud: SimulatedCloud, endpoints: Tuple[str, ...], tmp_path: Path, exclude: str, message: str
    ) -> None:
        asked = (*self.with_exclusions(tmp_path, exclude), *endpoints)
        expected = [f"  ? {message} of this cluster"]
        ended = run("plan", *asked)
        assert (ended.code, self.told(ended.stdout)) == (0, expected)
        assert run("plan", *asked, "--json").json["clusters"][0]["warnings"] == []
        with freeze_time(NIGHT_AT):
            assert self.told(run("apply", *asked).stdout) == expected
        assert len(posts(cloud)[0][1]) == 3

    @pytest.mark.parametrize(
        "exclude",
        [
            '{servers: ["bastion-*"], tags: [keep], node_pools: [ingress]}',
            '{servers: ["bastion-[0-9]"], tags: [keep=1]}',
            "{tags: [keep]}",
            "{node_pools: [ingress]}",
            '{dates: ["2020-12-05"]}',
        ],
    )
    def test_are_not_those_that_match(self, endpoints: Tuple[str, ...], tmp_path: Path, exclude: str) -> None:
        assert self.told(run("plan", *self.with_exclusions(tmp_path, exclude), *endpoints).stdout) == []

    def test_are_not_those_that_match_in_another_cluster(self, endpoints: Tuple[str, ...], tmp_path: Path) -> None:
        both = '{servers: ["bastion-*"]}'
        assert self.told(run("plan", *self.with_exclusions(tmp_path, both, both), *endpoints).stdout) == []

    def test_are_not_looked_for_in_a_cluster_that_is_not_managed(
        self, endpoints: Tuple[str, ...], tmp_path: Path
    ) -> None:
        asked = self.with_exclusions(tmp_path, '{servers: ["bastoin-*"]}, enabled: false')
        assert self.told(run("plan", *asked, *endpoints).stdout) == []

    def test_are_not_told_of_a_cloud_that_is_made_up(self, tmp_path: Path) -> None:
        asked = self.with_exclusions(tmp_path, "{servers: [a], tags: [keep]}")
        assert self.told(run("plan", *asked, "--simulated").stdout) == []


class TestCredentials:
    def test_are_taken_from_the_environment(self) -> None:
        environ = {"HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "s", "HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}
        credentials, project_id = find_credentials({**environ, "HUAWEICLOUD_SDK_PROJECT_ID": "p"})
        assert (credentials.ak, credentials.sk, credentials.security_token, project_id) == ("a", "s", "t", "p")

    def test_are_taken_from_the_profile_file(
        self, cloud: SimulatedCloud, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HUAWEICLOUD_SDK_AK")
        monkeypatch.delenv("HUAWEICLOUD_SDK_SK")
        (tmp_path / ".huaweicloud").mkdir()
        (tmp_path / ".huaweicloud" / "credentials").write_text(PROFILE, encoding="utf-8")
        add(cloud, "node-1")
        asked = ("--file", without_project(tmp_path), "--endpoint", endpoint, "--at", NIGHT, *ONLY_DEV)
        ended = run("plan", *asked)
        assert (ended.code, ended.stderr) == (0, "")
        assert "1 to stop" in ended.stdout

    @pytest.mark.parametrize(
        ("profile", "message"),
        [
            pytest.param(None, "credentials' does not exist)", id="no file"),
            pytest.param("sk = hunter2\n", "not an INI file with a section [basic])", id="no section"),
            pytest.param("[global]\nsk = hunter2\n", "credential type 'basic' does not exist", id="other section"),
            pytest.param("[basic]\nsk = hunter2\n", "does not exist in credentials file", id="no ak"),
            pytest.param("[basic]\nidp_id = i\nid_token_file = f\n", "file has no ak and sk)", id="idp"),
        ],
    )
    def test_that_are_missing_are_a_clear_failure(self, profile: "str | None", message: str, tmp_path: Path) -> None:
        if profile is not None:
            (tmp_path / ".huaweicloud").mkdir()
            (tmp_path / ".huaweicloud" / "credentials").write_text(profile, encoding="utf-8")
        with pytest.raises(InputError) as raised:
            find_credentials({})
        text = str(raised.value)
        assert text.startswith("no credentials: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write a profile (")
        assert message in text
        assert "hunter2" not in text

    @pytest.mark.parametrize("name", ["AK", "SK"])
    def test_that_are_half_given_are_not_completed_from_elsewhere(self, name: str) -> None:
        with pytest.raises(InputError, match="incomplete: set both HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"):
            find_credentials({f"HUAWEICLOUD_SDK_{name}": "x"})


class TestPauses:
    """What the API asks for with ``Retry-After``, a person sees, and waits for no longer than a minute in all."""

    @pytest.mark.parametrize(
        ("asked_s", "calls", "told"),
        [
            pytest.param("1800", 1, [], id="too long: not waited for"),
            pytest.param("40", 2, ["the cloud asks for a pause: waiting 40 s"], id="once, and not again"),
            pytest.param("30", 3, ["the cloud asks for a pause: waiting 30 s"] * 2, id="a minute in all"),
            pytest.param("2", 3, [], id="short: not worth a word"),
        ],
    )
    def test_are_told_and_bounded(
        self, cloud: SimulatedCloud, endpoint: str, asked_s: str, calls: int, told: List[str]
    ) -> None:
        cloud.faults = lambda _: failing(429, "APIGW.0308", headers={"Retry-After": asked_s})
        ended = run("plan", "--endpoint", endpoint, *ONLY_DEV, "--at", NIGHT)
        assert (ended.code, ended.stderr.splitlines()) == (1, told)
        assert f"; the API asks to wait {asked_s} s" in " ".join(ended.stdout.split())
        assert len(cloud.ledger) == calls

    def test_of_one_command_add_up(self, cloud: SimulatedCloud, endpoint: str, tmp_path: Path) -> None:
        second = failing(429, "APIGW.0308", headers={"Retry-After": "40"})
        answered: List[Call] = []

        def every_other(call: Call) -> "Fault | None":
            answered.append(call)
            return second if len(answered) % 2 else None

        cloud.faults = every_other
        file = tmp_path / "s.yaml"
        text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
        file.write_text(f"{text}remote_overrides: true\n", encoding="utf-8")
        options = ("--endpoint", endpoint, "--cce-endpoint", endpoint)
        ended = run("plan", "--file", str(file), *options, *ONLY_DEV, "--at", NIGHT)
        assert ended.stderr.count("waiting 40 s") == 1
        assert "; the API asks to wait 40 s" in " ".join(ended.stdout.split())


class TestApply:
    def test_does_one_run_and_the_next_has_nothing_to_do(self, cloud: SimulatedCloud, endpoint: str) -> None:
        node = add(cloud, "node-1")
        with freeze_time(NIGHT_AT):
            first = run("apply", "--endpoint", endpoint, "--cluster", "dev")
            cloud.advance_to(NIGHT_AT + timedelta(minutes=5))
            second = run("apply", "--endpoint", endpoint, "--cluster", "dev", "--json")
        assert (first.code, first.stderr) == (0, "")
        assert f"  - stop   node-1  {node.server_id}  (SOFT)\n" in first.stdout
        assert first.stdout.endswith("Applied: 0 started, 1 stopped, 0 held, 0 failed.\n")
        assert (second.code, second.json["status"], second.json["action"]) == (0, "success", "converge")
        assert second.json["data"]["server_list"] == []
        assert posts(cloud) == [(Power.STOP_SOFT, (node.server_id,))]

    def test_a_run_that_failed_is_1_and_shows_which_servers(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1")
        cloud.faults = refuse_posts
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--endpoint", endpoint, "--cluster", "dev", "--wait")
        assert (ended.code, ended.stderr) == (1, "")
        assert "    ! failed: EPS.0003 A scripted fault.: grant ecs:cloudServers:list" in ended.stdout
        assert ended.stdout.endswith("Applied: 0 started, 0 stopped, 0 held, 1 failed.\n")

    def test_waits_until_every_server_is_as_desired(self) -> None:
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--simulated", "--wait")
        assert ended.code == 0
        assert ended.stdout.endswith("Applied: 1 started, 6 stopped, 7 held, 0 failed.\n")
        assert ended.stderr.startswith(SIMULATED)
        assert ended.stderr.splitlines()[1] == "5 of 12 servers as desired"
        assert ended.stderr.splitlines()[-1] == "12 of 12 servers as desired"

    def test_says_in_machine_output_that_it_converged(self) -> None:
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--simulated", "--wait", "--json")
        assert (ended.code, ended.json["converged"]) == (0, True)
        assert ended.stderr.startswith(SIMULATED)

    def test_gives_up_and_names_what_is_missing(self) -> None:
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--simulated", "--wait", "--timeout", "10s")
        assert ended.code == 1
        assert ended.stderr.splitlines()[-1] == (
            "gave up after 10s: 5 of 12 servers are as desired; not yet: dev-node-3 (ACTIVE, powering-off), "
            "dev-node-2 (ACTIVE, powering-off), test-node-3 (ACTIVE, powering-off), "
            "test-node-2 (ACTIVE, powering-off), batch-node-3 (ACTIVE, powering-off) and 2 more"
        )

    def test_a_person_may_stop_more_than_the_limit(self, cloud: SimulatedCloud, endpoint: str, tmp_path: Path) -> None:
        for name in ("node-1", "node-2"):
            add(cloud, name)
        file = tmp_path / "s.yaml"
        text = (GOLDEN / "schedules.yaml").read_text(encoding="utf-8")
        file.write_text(f"{text}limits:\n  max_stops_per_run: 1\n", encoding="utf-8")
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--file", str(file), "--endpoint", endpoint, *ONLY_DEV, "--allow-many-stops")
        assert (ended.code, ended.stderr) == (0, "! limits.max_stops_per_run: 1 does not count for this run\n")
        assert ended.stdout.endswith("Applied: 0 started, 2 stopped, 0 held, 0 failed.\n")

    def test_says_nothing_of_a_limit_that_there_is_not(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1")
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--endpoint", endpoint, *ONLY_DEV, "--allow-many-stops")
        assert (ended.code, ended.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("options", "code"), [pytest.param((), 1, id="one run"), pytest.param(("--wait",), 0, id="waiting")]
    )
    def test_what_is_late_fails_a_run_unless_it_is_waited_for(
        self, cloud: SimulatedCloud, endpoint: str, options: Tuple[str, ...], code: int
    ) -> None:
        cloud.stop_s = 0
        cloud.add_server("late", project_id=PROJECT, cluster_id=DEV, created=NIGHT_AT - timedelta(days=1))
        with freeze_time(NIGHT_AT):
            ended = run("apply", "--endpoint", endpoint, *ONLY_DEV, *options)
        assert ended.code == code


class TestWait:
    """The waiting itself, with time that is handed in."""

    def wait(
        self,
        cloud: SimulatedCloud,
        endpoint: str,
        sleep: Callable[[float], object],
        timeout_s: float = 60,
        **settings: Any,
    ) -> Tuple[Converged, List[Tuple[int, int]]]:
        schedules = load_config("schedules.yaml")
        schedules = schedules._replace(clusters=(schedules.clusters[0]._replace(**settings),))
        environ = {"HUAWEICLOUD_SDK_AK": SIMULATED_AK, "HUAWEICLOUD_SDK_SK": SIMULATED_SK}
        seen: List[Tuple[int, int]] = []

        target = Target(None, endpoint, False, endpoint)
        with open_access(schedules, target, environ=environ, now=NIGHT_AT) as access:
            timed = access._replace(clock=access.clock._replace(sleep=sleep, now=lambda: cloud.now))
            run = run_once(timed.schedules, NIGHT_AT, timed.connect, timed.clock)
            return wait_until_converged(run, timed, timeout_s, lambda *counts: seen.append(counts)), seen

    def test_ends_when_the_last_server_is_off(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1")
        add(cloud, "node-2", status="SHUTOFF")
        ended, seen = self.wait(cloud, endpoint, lambda s: cloud.advance_to(cloud.now + timedelta(seconds=s)))
        assert ended.is_done
        assert (seen[0], seen[-1], len(seen)) == ((1, 2), (2, 2), 7)
        assert len(posts(cloud)) == 1

    def test_survives_a_listing_that_fails_for_a_while(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1")

        def sleep(seconds: float) -> None:
            cloud.advance_to(cloud.now + timedelta(seconds=seconds))
            cloud.faults = busy if cloud.now - NIGHT_AT < timedelta(seconds=40) else None

        ended, seen = self.wait(cloud, endpoint, sleep)
        assert ended.is_done
        assert (0, 0) in seen

    def test_ends_at_once_when_no_listing_will_succeed(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1")

        def sleep(seconds: float) -> None:
            cloud.advance_to(cloud.now + timedelta(seconds=seconds))
            cloud.faults = forbid

        ended, seen = self.wait(cloud, endpoint, sleep)
        assert not ended.is_done
        assert ended.error is not None
        assert len(seen) == 2

    def test_gives_up_on_a_stop_that_hangs(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1").soft_stop_hangs = True
        ended, _ = self.wait(cloud, endpoint, lambda s: cloud.advance_to(cloud.now + timedelta(seconds=s)))
        assert ended.missing == ("node-1 (ACTIVE, powering-off)",)
        assert cloud.now - NIGHT_AT == timedelta(seconds=60)

    def hibernate(
        self, cloud: SimulatedCloud, endpoint: str, state: State, **attributes: Any
    ) -> Tuple[Converged, SimulatedCluster]:
        """Wait for a cluster with a node, whose state is the other one so far."""
        asleep = state is State.RUNNING
        found = cloud.clusters.add("dev", project_id=PROJECT, cluster_id=DEV, **attributes)
        server = add(cloud, "node-1", status="SHUTOFF" if asleep else "ACTIVE")
        cloud.clusters.add_node(found, "node-1", server=server)
        if asleep:
            cloud.clusters.set_phase(found, "Hibernation")
        ended, _ = self.wait(
            cloud,
            endpoint,
            lambda s: cloud.advance_to(cloud.now + timedelta(seconds=s)),
            600,
            timing=Timing("UTC", state),
            control_plane=ControlPlane.HIBERNATE,
        )
        return ended, found

    def test_starts_servers_once_their_control_plane_is_awake(self, cloud: SimulatedCloud, endpoint: str) -> None:
        ended, found = self.hibernate(cloud, endpoint, State.RUNNING)
        assert ended.is_done
        assert (ended.ready, ended.total, found.phase) == (1, 1, "Available")
        assert [server.status for server in cloud.servers] == ["ACTIVE"]
        assert [power for power, _ in posts(cloud)] == [None, Power.START]
        assert [len(one.outcomes) for one in ended.further] == [1]

    def test_hibernates_once_the_servers_are_off(self, cloud: SimulatedCloud, endpoint: str) -> None:
        ended, found = self.hibernate(cloud, endpoint, State.STOPPED)
        assert ended.is_done
        assert (ended.ready, ended.total, found.phase) == (1, 1, "Hibernation")
        assert [power for power, _ in posts(cloud)] == [Power.STOP_SOFT, None]

    def test_names_a_control_plane_that_does_not_come(self, cloud: SimulatedCloud, endpoint: str) -> None:
        ended, _ = self.hibernate(cloud, endpoint, State.RUNNING, fails_into="Unavailable")
        assert ended.missing == ("node-1 (SHUTOFF)", "the control plane of dev (Unavailable)")
        assert (ended.ready, ended.total, ended.further) == (0, 1, ())

    def test_does_not_wait_for_a_control_plane_that_is_kept_up(self, cloud: SimulatedCloud, endpoint: str) -> None:
        ended, found = self.hibernate(cloud, endpoint, State.STOPPED, is_prepaid=True)
        assert (ended.is_done, found.phase) == (True, "Available")

    def test_an_interrupt_says_that_the_cloud_goes_on(self, cloud: SimulatedCloud, endpoint: str) -> None:
        add(cloud, "node-1", DEMO, status="SHUTOFF")  # time stands still in this cloud: it starts for ever
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "scheduler", "apply", "--wait", "--cluster", "demo", "--endpoint", endpoint],
            preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=GOLDEN,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        assert process.stderr is not None
        assert process.stderr.readline() == b"0 of 1 server as desired\n"
        process.send_signal(signal.SIGINT)
        try:
            stdout, stderr = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 130
        assert b"Applied: 1 started" in stdout
        assert stderr.decode().splitlines() == [
            "what was started or stopped goes on in the cloud; `cce-scheduler plan` shows how it stands",
            "interrupted",
        ]


def refuse_posts(call: Call) -> "Fault | None":
    return failing(403, "EPS.0003") if call.method == "POST" else None


def busy(_: Call) -> Fault:
    return failing(503, "APIGW.0201")


def forbid(_: Call) -> Fault:
    return failing(403, "EPS.0003")


def test_the_simulated_cloud_takes_neither_keys_nor_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HUAWEICLOUD_SDK_AK")
    monkeypatch.delenv("HUAWEICLOUD_SDK_SK")
    ended = run("plan", "--simulated", "--file", without_project(tmp_path), "--at", NIGHT)
    assert ended.code == 0


def test_time_passes_in_the_simulated_cloud_only_while_a_command_waits() -> None:
    with open_access(load_config("schedules.yaml"), Target(None, None, True), environ={}, now=NIGHT_AT) as access:
        assert isinstance(access, Access)
        assert access.clock.now() == NIGHT_AT
        access.clock.sleep(7)
        assert access.clock.now() == NIGHT_AT + timedelta(seconds=7)
