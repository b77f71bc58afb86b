"""``simulate`` and the rehearsal behind it: the real function over HTTP at accelerated time."""

import json
import re
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, List, Tuple
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time

from scheduler.cli.picture import Strip, draw, legend, local_hours
from scheduler.config import load_config
from scheduler.model import CLUSTER_TAG, Exclude, Function, Membership, Schedules
from scheduler.simulated.chaos import Kind
from scheduler.simulated.rehearsal import Progress, Result, Script, build_scene, rehearse
from tests.cli_runner import GOLDEN, check_golden, isolate, run
from tests.scenes import DEV

MONDAY = datetime(2026, 11, 22, 17, tzinfo=timezone.utc)
"""Monday 2026-11-23 00:00 in Bangkok."""
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _in_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


@pytest.fixture(scope="module")
def schedules() -> Schedules:
    return load_config(GOLDEN / "schedules.yaml")


@pytest.fixture(scope="module")
def result(schedules: Schedules) -> Result:
    """A day with a run every quarter of an hour, and two nodes for each cluster."""
    script = Script(MONDAY, MONDAY + DAY, timedelta(minutes=15), nodes=2)
    return rehearse(schedules, GOLDEN / "schedules.yaml", script)


class TestScene:
    def test_every_enabled_cluster_has_nodes_and_one_server_that_it_excludes(self, schedules: Schedules) -> None:
        scene = build_scene(schedules, MONDAY, nodes=2)
        names = {name: [s.name for s in servers] for name, servers in scene.nodes.items()}
        assert names == {
            "dev": ["dev-node-1", "dev-node-2"],
            "test": ["test-node-1", "test-node-2"],
            "batch": ["batch-node-1", "batch-node-2"],
            "demo": ["demo-node-1", "demo-node-2"],
        }
        excluded = {name: [s.name for s in servers] for name, servers in scene.excluded.items()}
        assert excluded == {"dev": ["bastion-1"], "test": ["test-owner-platform"], "batch": [], "demo": []}
        assert "owner=platform" in scene.excluded["test"][0].tags
        dev = schedules.clusters[0]
        for server in (*scene.nodes["dev"], *scene.excluded["dev"]):
            assert f"{CLUSTER_TAG}={dev.cluster_id}" in server.tags
            assert server.project_id == dev.project_id

    @pytest.mark.parametrize("pattern", ["bastion-*", "db?", "exact", "n[ab]c", "[x-z]*", "a*b*c"])
    def test_a_server_is_named_after_the_glob_that_excludes_it(self, schedules: Schedules, pattern: str) -> None:
        cluster = schedules.clusters[0]._replace(exclude=Exclude(servers=(pattern,)))
        scene = build_scene(Schedules((cluster,)), MONDAY)
        assert fnmatchcase(scene.excluded["dev"][0].name, pattern)

    def test_every_enabled_cluster_has_a_control_plane_with_its_nodes(self, schedules: Schedules) -> None:
        scene = build_scene(schedules, MONDAY, nodes=2)
        assert {c.name: len(c.nodes) for c in scene.cloud.clusters} == {"dev": 3, "test": 3, "batch": 2, "demo": 2}
        dev = scene.control_planes["dev"]
        assert (dev.cluster_id, dev.project_id) == (schedules.clusters[0].cluster_id, schedules.clusters[0].project_id)
        servers = {server.server_id for server in (*scene.nodes["dev"], *scene.excluded["dev"])}
        assert {node.server_id for node in dev.nodes} == servers

    def test_a_pool_that_is_excluded_has_a_node_that_is(self, schedules: Schedules) -> None:
        cluster = schedules.clusters[0]._replace(exclude=Exclude(node_pools=("Ingress GPU",)))
        scene = build_scene(Schedules((cluster,)), MONDAY, nodes=1)
        assert [server.name for server in scene.excluded["dev"]] == ["dev-ingress-gpu-1"]
        nodes = {node.name: node.pool.name if node.pool else None for node in scene.control_planes["dev"].nodes}
        assert nodes == {"dev-node-1": "simulated", "dev-ingress-gpu-1": "Ingress GPU"}

    def test_members_that_are_found_by_nodes_have_no_tags(self, schedules: Schedules) -> None:
        cluster = schedules.clusters[0]._replace(membership=Membership.NODES)
        scene = build_scene(Schedules((cluster,)), MONDAY)
        assert {server.tags for server in scene.nodes["dev"]} == {()}
        assert len(scene.control_planes["dev"].nodes) == 4

    def test_the_same_seed_gives_the_same_ids(self, schedules: Schedules) -> None:
        ids = [build_scene(schedules, MONDAY, seed=seed).nodes["dev"][0].server_id for seed in ("a", "a", "b")]
        assert ids[0] == ids[1] != ids[2]


class TestRehearsal:
    def test_counts_runs_and_calls(self, result: Result) -> None:
        assert (result.runs, result.listings, result.failures) == (96, 96, {})
        # Soft stops of dev and batch and hard ones of test at midnight and at 20:00, starts at 08:00 and 22:00.
        assert (result.start_calls, result.stop_calls) == (2, 4)

    def test_counts_what_became_of_each_cluster(self, result: Result) -> None:
        counts = {c.cluster.name: (c.nodes, c.excluded, c.starts, c.stops) for c in result.clusters}
        assert counts == {
            "dev": (2, ("bastion-1",), 2, 4),
            "test": (2, ("test-owner-platform",), 2, 4),
            "batch": (2, (), 2, 2),
            "demo": (2, (), 0, 0),
        }

    def test_server_hours_are_those_of_the_schedule_and_the_stops(self, result: Result) -> None:
        hours = {c.cluster.name: (c.on_s, c.always_on_s) for c in result.clusters}
        stop_s, day_s = 30, 86400
        assert hours["dev"] == (2 * (12 * 3600 + 2 * stop_s) + day_s, 3 * day_s)
        assert hours["batch"] == (2 * (2 * 3600 + stop_s), 2 * day_s)
        assert hours["demo"] == (2 * day_s, 2 * day_s)

    def test_shares_follow_the_schedule(self, result: Result) -> None:
        shares = {c.cluster.name: [round(share, 1) for share in c.shares] for c in result.clusters}
        assert shares["dev"] == [0.0] * 32 + [1.0] * 48 + [0.0] * 16
        assert shares["demo"] == [1.0] * 96

    def test_every_server_is_held_or_acted_on_in_every_run(self, result: Result) -> None:
        acted = sum(c.starts + c.stops for c in result.clusters)
        assert sum(result.holds.values()) + acted == 96 * 10
        assert result.holds['excluded by server "bastion-*"'] == 96

    def test_tells_how_far_it_has_come(self, schedules: Schedules) -> None:
        seen: List[Progress] = []
        script = Script(MONDAY, MONDAY + timedelta(hours=2), timedelta(hours=1), nodes=1)
        rehearse(schedules, Path("schedules.yaml"), script, seen.append)
        assert [(p.done, p.at) for p in seen] == [(1, MONDAY), (2, MONDAY + timedelta(hours=1))]
        assert all(json.loads(p.log[-1])["event"] == "run" for p in seen)

    def test_a_run_that_fails_is_counted_and_the_next_ones_go_on(self, schedules: Schedules, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        file.write_text(f"{Path('schedules.yaml').read_text()}limits:\n  max_stops_per_run: 1\n", encoding="utf-8")
        script = Script(MONDAY, MONDAY + timedelta(hours=1), timedelta(minutes=30), nodes=1)
        result = rehearse(schedules, file, script)
        assert all("limits.max_stops_per_run" in message for message in result.failures)
        assert (sum(result.failures.values()), result.stop_calls) == (2, 0)
        assert result.holds == {'excluded by server "bastion-*"': 2, 'excluded by tag "owner=platform"': 2} | {
            "already running": 2
        }
        assert {c.cluster.name: c.astray for c in result.clusters} == {
            **{name: (f"{name}-node-1 (ACTIVE)",) for name in ("dev", "test", "batch")},
            "demo": (),
        }

    def test_only_what_was_asked_for_is_counted(self, schedules: Schedules) -> None:
        script = Script(MONDAY, MONDAY + DAY, timedelta(hours=1), nodes=2)
        result = rehearse(schedules, GOLDEN / "schedules.yaml", script, only=["batch"])
        (batch,) = result.clusters
        assert (batch.cluster.name, batch.starts, batch.stops) == ("batch", 2, 2)
        assert (result.start_calls, result.stop_calls, result.listings) == (1, 1, 24)
        assert sum(result.holds.values()) == 24 * 2 - 4

    def test_the_function_has_the_timeout_of_the_file(self, schedules: Schedules) -> None:
        script = Script(MONDAY, MONDAY + timedelta(hours=1), timedelta(hours=1), nodes=1)
        hasty = schedules._replace(function=Function(timeout_s=10))
        (message,) = rehearse(hasty, GOLDEN / "schedules.yaml", script).failures
        assert message.startswith("the function's timeout is 10 s, too short")

    def test_the_function_has_those_settings_of_the_file_that_are_not_about_places(self, schedules: Schedules) -> None:
        seen: List[Progress] = []
        settings = {"dryRun": "true", "logLevel": "ERROR", "endpoint": "https://192.0.2.1", "projectId": "0" * 32}
        script = Script(MONDAY, MONDAY + timedelta(hours=1), timedelta(hours=1), nodes=1)
        dry = schedules._replace(function=Function(settings=settings))
        result = rehearse(dry, GOLDEN / "schedules.yaml", script, seen.append)
        assert (result.is_dry_run, result.failures, result.listings, result.stop_calls) == (True, {}, 1, 0)
        assert [run.log for run in seen] == [()]

    @pytest.mark.parametrize("seed", ["1", "2", "3"])
    def test_comes_to_the_same_end_through_any_faults(self, schedules: Schedules, seed: str) -> None:
        script = Script(MONDAY, MONDAY + DAY, timedelta(minutes=15), nodes=2, seed=seed, faults=0.3)
        first, second = (rehearse(schedules, GOLDEN / "schedules.yaml", script) for _ in range(2))
        assert first == second
        assert sum(first.faults.values()) > 15
        assert first.failures
        hung = Kind.HANGING.value in first.faults  # no `hard_after` in the file: it takes a person
        assert hung or not any(c.astray for c in first.clusters)


class TestPicture:
    def hours(self, zone: str, day: str, hours: int) -> Dict[int, int]:
        start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(zone))
        strip = Strip(start.astimezone(timezone.utc), timedelta(minutes=15), [1.0] * (hours * 4))
        return {found.hour: len(found.shares) for found in local_hours(strip, ZoneInfo(zone))}

    def test_an_hour_that_clocks_skip_has_no_cell(self) -> None:
        assert self.hours("Europe/Berlin", "2026-03-29", 23) == {h: 4 for h in range(24) if h != 2}

    def test_an_hour_that_clocks_repeat_is_one_cell(self) -> None:
        assert self.hours("Europe/Berlin", "2026-10-25", 25) == {h: 8 if h == 2 else 4 for h in range(24)}

    def test_a_gap_of_half_an_hour_makes_a_short_hour(self) -> None:
        assert self.hours("Australia/Lord_Howe", "2026-10-04", 23)[2] == 2

    def test_cells_show_running_stopped_partly_and_unmanaged(self) -> None:
        shares = [1.0, 0.0, 0.5, 0.0, 0.96, 0.04, 0.4, 0.0]
        strip = Strip(MONDAY, timedelta(hours=1), shares, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.6, 0.4])
        _, row = draw(strip, ZoneInfo("Asia/Bangkok"), width=80)
        assert row.plain == f"Mon 2026-11-23  ██··▒▒--██··▒▒▒▒{'  ' * 16}   2.9 h"
        assert legend(unmanaged=True).plain == "█ running   · stopped   ▒ partly   - unmanaged"


class TestCommand:
    def test_draws_what_happened_and_counts_what_is_saved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        ended = run("simulate", "--from", "2026-11-23", "--days", "2", "--every", "1h")
        assert (ended.code, ended.stderr) == (0, "")
        assert max(len(text) for text in ended.stdout.splitlines()) <= 80
        check_golden("simulate", ended.stdout)

    def test_begins_at_the_midnight_before_now_in_the_first_clusters_zone(self) -> None:
        with freeze_time("2026-11-23T18:30:00Z"):
            ended = run("simulate", "--days", "1", "--every", "12h", "--nodes", "1")
        assert ended.stdout.startswith(
            "From Tue 2026-11-24 00:00 to Wed 2026-11-25 00:00 Asia/Bangkok, a run every 12h\n"
        )

    def test_gives_machines_the_hours_of_each_cluster(self) -> None:
        ended = run("simulate", "--from", "2026-11-23", "--days", "1", "--every", "1h", "--cluster", "dev", "--json")
        assert (ended.code, ended.stderr) == (0, "")
        assert (ended.json["runs"], ended.json["failed_runs"], ended.json["api_calls"]["list"]) == (24, 0, 24)
        (dev,) = ended.json["clusters"]
        assert (dev["name"], dev["nodes"], dev["excluded"], len(dev["hours"])) == ("dev", 3, ["bastion-1"], 24)
        assert dev["hours"][8] == {"from": "2026-11-23T08:00:00+07:00", "running": 1.0}
        assert dev["server_hours_on"] + dev["server_hours_saved"] == pytest.approx(dev["server_hours_always_on"])

    @pytest.mark.parametrize(
        ("options", "every_s"), [((), 7200), (("--every", "1h"), 3600)], ids=["the file's", "the option's"]
    )
    def test_runs_as_often_as_the_file_says_unless_told_otherwise(
        self, tmp_path: Path, options: Tuple[str, ...], every_s: int
    ) -> None:
        file = with_function(tmp_path, "every: 2h")
        ended = run("simulate", "--file", file, "--from", "2026-11-23", "--days", "1", "--json", *options)
        assert (ended.json["every_s"], ended.json["runs"]) == (every_s, 86400 // every_s)

    @pytest.mark.parametrize("period", ["90s", "7m", "5h", "2d"])
    def test_takes_no_period_that_no_timer_has(self, period: str) -> None:
        ended = run("simulate", "--every", period)
        assert (ended.code, ended.stdout) == (64, "")
        assert f'"{period}" does not divide an hour or a day evenly in whole minutes or hours' in ended.stderr

    @pytest.mark.parametrize("faults", ["0", "0.3"])
    def test_says_that_a_dry_run_did_nothing(self, tmp_path: Path, faults: str) -> None:
        file = with_function(tmp_path, 'settings: {dryRun: "true"}')
        arguments = ("--from", "2026-11-23", "--days", "1", "--every", "12h", "--faults", faults)
        ended = run("simulate", "--file", file, *arguments)
        assert ended.code == 0
        assert ended.stdout.endswith(
            "Nothing was started or stopped, nor would a deployment do it: function.settings of the file say dryRun.\n"
        )
        assert "as the schedules want" not in ended.stdout
        assert run("simulate", "--file", file, *arguments, "--json").json["dry_run"] is True

    @pytest.mark.parametrize(
        ("width", "last"), [(64, "HOURS OFF  SAVED"), (39, "CLUSTER  SAVED"), (30, "CLUSTER  SAVED")]
    )
    def test_a_narrow_terminal_shows_what_is_saved(
        self, monkeypatch: pytest.MonkeyPatch, width: int, last: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        ended = run("simulate", "--from", "2026-11-23", "--days", "1", "--every", "12h")
        (head,) = [text for text in ended.stdout.splitlines() if text.startswith("CLUSTER")]
        assert head.endswith(last)
        (total,) = [text for text in ended.stdout.splitlines() if text.startswith("total")]
        assert total.endswith(" %")

    def test_says_what_went_wrong_and_where_it_ended(self) -> None:
        arguments = ("--from", "2026-11-23", "--days", "1", "--every", "15m", "--faults", "0.3", "--seed", "1")
        ended = run("simulate", *arguments)
        assert ended.code == 0
        assert re.search(r"^96 runs, [1-9]\d* failed;", ended.stdout, re.M)
        assert re.search(r"^[1-9]\d* faults: \d+ [a-z]", ended.stdout, re.M)
        assert ended.stdout.endswith(" every server is as the schedules want it.\n")

    def test_with_faults_the_end_decides_and_not_the_runs_that_failed(self) -> None:
        for seed in ("1", "2", "3"):
            arguments = ("--from", "2026-11-23", "--days", "1", "--every", "1h", "--faults", "1", "--seed", seed)
            ended = run("simulate", *arguments, "--json")
            assert ended.json["failed_runs"] > 0
            assert sum(ended.json["faults"].values()) >= 24
            assert ended.code == (1 if any(c["astray"] for c in ended.json["clusters"]) else 0)

    def test_a_control_plane_that_follows_the_schedule_has_a_picture_of_its_own(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        text = Path("schedules.yaml").read_text(encoding="utf-8")
        file.write_text(text.replace("  - name: batch\n", "  - name: batch\n    control_plane: hibernate\n"), "utf-8")
        arguments = ("simulate", "--file", str(file), "--from", "2026-11-23", "--days", "1", "--every", "1h")
        lines = run(*arguments).stdout.splitlines()
        assert lines.count("control plane: awake or asleep") == 1
        at = lines.index("control plane: awake or asleep")
        assert lines[at - 3].startswith("batch: 3 nodes")
        assert lines[at + 2].startswith("Mon 2026-11-23  ")
        hours = {c["name"]: c["control_plane_hours"] for c in run(*arguments, "--json").json["clusters"]}
        assert [hours["dev"], len(hours["batch"])] == [None, 24]
        # Stopped at 00:00 and hibernated at 01:00; awake from 22:00 on.
        assert [round(hour["awake"]) for hour in hours["batch"]] == [1, *[0] * 21, 1, 1]
        assert run(*arguments, "--json").json["api_calls"]["control_plane"] == 2

    def test_the_log_tells_each_step_of_two_projects_in_its_order(self, tmp_path: Path) -> None:
        log = tmp_path / "run.log"
        begin = ("--from", "2026-11-23T12:00", "--days", "1", "--log", str(log))
        ended = run("simulate", "--file", "two-projects.yaml", *begin)
        assert ended.code == 0
        check_golden("simulate-two-projects", ended.stdout)
        assert ended.stderr == f"{log} written\n"
        steps: Dict[str, List[Tuple[str, str]]] = {"dev": [], "test": []}
        for text in log.read_text(encoding="utf-8").splitlines():
            at, _, rest = text.partition(" ")
            told = json.loads(rest)
            if told["event"] == "cluster":
                steps[told["name"]].append((f"{datetime.fromisoformat(at):%H:%M}", _step(told)))
        assert steps == {
            "dev": [
                ("13:00", "stopped 3"),
                ("13:05", "hibernate"),
                ("01:00", "awake, 3 waiting for the control plane"),
                ("01:05", "started 3"),
            ],
            "test": [("13:00", "stopped 3"), ("01:00", "started 3")],
        }

    def test_says_which_clusters_are_left_out(self) -> None:
        arguments = ("simulate", "--from", "2026-11-23", "--days", "1", "--every", "1h")
        assert "\nold: not enabled, so nothing is done\n" in run(*arguments).stdout
        assert "not enabled" not in run(*arguments, "--cluster", "dev").stdout
        ended = run(*arguments, "--cluster", "old")
        assert (ended.code, ended.stdout.splitlines()[1:4]) == (0, ["", "old: not enabled, so nothing is done", ""])
        assert not re.search("CLUSTER|as the schedules want", ended.stdout)

    def test_a_run_that_failed_is_1(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        file.write_text(f"{Path('schedules.yaml').read_text()}limits:\n  max_stops_per_run: 1\n", encoding="utf-8")
        ended = run("simulate", "--file", str(file), "--from", "2026-11-23", "--days", "1", "--every", "12h")
        assert ended.code == 1
        assert "! failed 1 time: started 0, stopped 0" in ended.stdout
        after = "After the last run, of Mon 2026-11-23 12:00,"
        assert f"\n{after} 3 are not as the schedules want: batch-node-1 (ACTIVE), " in ended.stdout

    @pytest.mark.parametrize(
        "exclude",
        ["servers: [dev-node-1, dev-node-2]", 'servers: ["*"]', "tags: [CCE-Cluster-ID]", "node_pools: [default]"],
    )
    def test_what_is_excluded_is_as_it_should_be(self, tmp_path: Path, exclude: str) -> None:
        file = tmp_path / "s.yaml"
        file.write_text(
            f"version: 1\nclusters: [{{name: dev, cluster_id: {DEV}, timezone: UTC, state: stopped, "
            f"exclude: {{{exclude}}}}}]\n",
            encoding="utf-8",
        )
        ended = run("simulate", "--file", str(file), "--from", "2026-11-23", "--days", "1", "--every", "1h")
        assert (ended.code, ended.stdout.splitlines()[-1]) == (
            0,
            "After the last run, of Mon 2026-11-23 23:00, every server is as the schedules want it.",
        )


def with_function(folder: Path, text: str) -> str:
    """Write the schedules of the tests with a section ``function``; return the file's name."""
    file = folder / "s.yaml"
    file.write_text(f"{Path('schedules.yaml').read_text(encoding='utf-8')}function: {{{text}}}\n", encoding="utf-8")
    return str(file)


def _step(told: Dict[str, Any]) -> str:
    """Return what a line of the log says that was done, in a word or two."""
    did = [f"{what} {len(told[what])}" for what in ("stopped", "started") if told[what]]
    control_plane = (told["control_plane"] or {}).get("action")
    held = [f"{number} {kind}" for kind, number in told["held"].items() if kind not in ("already", "members")]
    return ", ".join([*did, *([control_plane] if control_plane else []), *held])
