"""The function, called as the platform calls it, over HTTP against a simulated cloud."""

import base64
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import pytest

from scheduler.errors import InputError
from scheduler.handler import Request, RunFailedError, handle, handler, read_credentials, read_event
from scheduler.localtime import parse_at
from scheduler.model import Power
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, SimulatedServer, serve
from scheduler.simulated.calls import Call, failing, html
from tests.scenes import (
    BATCH,
    CLOCK,
    DEV,
    NOW,
    OTHER_PROJECT,
    PROJECT,
    REGION,
    TEST,
    TIMER,
    Context,
    failing_at,
    listings,
    posts,
    statuses,
)

FILE = f"""\
version: 1
schedules:
  office-hours:
    windows: [{{start: "0 8 * * *", stop: "0 11 * * *"}}]
clusters:
  - {{name: dev, cluster_id: {DEV}, schedule: office-hours}}
  - {{name: test, cluster_id: {TEST}, state: running}}
  - {{name: off, cluster_id: {BATCH}, state: stopped, enabled: false}}
"""
SECRETS = ("planted-access-key", "planted-secret-key", "planted-token")


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return the directory of the function's code, with a schedules file in it."""
    (tmp_path / "schedules.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def nodes(cloud: SimulatedCloud) -> Dict[str, SimulatedServer]:
    """Return a node of dev that is to stop, and one of test that is to start."""
    return {
        "dev": cloud.add_server("dev-1", cluster_id=DEV),
        "test": cloud.add_server("test-1", cluster_id=TEST, status="SHUTOFF"),
    }


class Function:
    """The function as it is deployed: its settings, its code, and the clock of its machine."""

    def __init__(self, endpoint: str, code: Path) -> None:
        self.user_data = {
            "ak": SIMULATED_AK,
            "sk": SIMULATED_SK,
            "region": REGION,
            "projectId": PROJECT,
            "endpoint": endpoint,
            "cceEndpoint": endpoint,
        }
        self.environ = {"RUNTIME_CODE_ROOT": str(code)}
        self.context = Context()
        self.agency: Tuple[Optional[str], Optional[str], Optional[str]] = (None, None, None)
        self.project_id: Optional[str] = None
        self.monotonic: Callable[[], float] = lambda: 1000.0

    def __call__(self, event: object = None, now: datetime = NOW, **user_data: str) -> Dict[str, Any]:
        self.context = Context({**self.user_data, **user_data}, agency=self.agency, project_id=self.project_id)
        return self.handle(event, now)

    def handle(self, event: object, now: datetime = NOW) -> Dict[str, Any]:
        return handle(event, self.context, now=now, environ=self.environ, monotonic=self.monotonic, sleep=CLOCK.sleep)

    def without(self, *keys: str) -> "Function":
        for key in keys:
            del self.user_data[key]
        return self


@pytest.fixture
def function(endpoint: str, code: Path) -> Function:
    return Function(endpoint, code)


@pytest.fixture
def one_shot(endpoint: str, tmp_path: Path) -> Function:
    """Return the function without a schedules file."""
    return Function(endpoint, tmp_path)


def cluster(result: Mapping[str, Any], name: str) -> Dict[str, Any]:
    (found,) = [c for c in result["data"]["clusters"] if c["name"] == name]
    assert isinstance(found, dict)
    return found


def shown(server: SimulatedServer, **more: str) -> Dict[str, str]:
    return {"server_id": server.server_id, "server_name": server.name, **more}


def refused(function: Function, event: object = None, **user_data: str) -> str:
    """Return the message of a run that could not begin."""
    result = function(event, NOW, **user_data)
    assert result["status"] == "error"
    assert result["data"]["server_list"] == []
    assert isinstance(result["message"], str)
    return result["message"]


class TestRun:
    @pytest.mark.parametrize("event", [TIMER, None, "", {}], ids=["TIMER", "missing", "empty text", "empty object"])
    def test_converges(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer], event: object
    ) -> None:
        result = function(event)
        assert (result["status"], result["action"]) == ("success", "converge")
        assert result["message"] == "started 1, stopped 1, held 0"
        assert (result["data"]["at"], result["data"]["dry_run"]) == ("2026-12-01T12:00:00+00:00", False)
        assert cluster(result, "dev")["stopped"] == [shown(nodes["dev"], type="SOFT")]
        assert cluster(result, "test")["started"] == [shown(nodes["test"])]
        assert cluster(result, "off")["state"] == "unmanaged"
        assert result["data"]["server_list"] == [shown(nodes["dev"]), shown(nodes["test"])]
        assert len(posts(cloud)) == 2
        assert json.loads(json.dumps(result)) == result

    def test_the_same_call_again_changes_nothing_and_sends_no_post(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        function(TIMER)
        cloud.clear_ledger()
        for minutes in (0, 5):
            cloud.advance_to(NOW + timedelta(minutes=minutes))
            result = function(TIMER, now=cloud.now)
            assert (result["status"], result["data"]["server_list"]) == ("success", [])
        assert not posts(cloud)
        assert statuses(cloud) == {nodes["dev"].name: "SHUTOFF", nodes["test"].name: "ACTIVE"}

    def test_is_called_by_the_platform_with_an_event_and_a_context(
        self, cloud: SimulatedCloud, endpoint: str, code: Path, nodes: Dict[str, SimulatedServer]
    ) -> None:
        """Everything else it finds itself: the time, the environment, the deadline."""
        now_or_later = FILE.replace("schedule: office-hours", "state: stopped")
        (code / "own.yaml").write_text(now_or_later, encoding="utf-8")
        user_data = {**Function(endpoint, code).user_data, "schedulesPath": str(code / "own.yaml")}
        result = handler({}, Context(user_data))
        assert result["message"] == "started 1, stopped 1, held 0"
        assert abs(parse_at(result["data"]["at"]) - datetime.now(timezone.utc)) < timedelta(minutes=1)
        assert {server_id for _, ids in posts(cloud) for server_id in ids} == {s.server_id for s in nodes.values()}

    def test_a_dry_run_tells_and_does_not_do(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        for result in (function({"dry_run": True}), function(dryRun="true"), function(TIMER, dryRun="true")):
            assert result["data"]["dry_run"] is True
            assert cluster(result, "dev")["stopped"] == [shown(nodes["dev"], type="SOFT")]
            assert result["data"]["server_list"] == []
        assert not posts(cloud)

    def test_the_file_wins_over_the_settings_of_region_and_project(
        self, function: Function, cloud: SimulatedCloud, code: Path
    ) -> None:
        elsewhere = cloud.add_server(cluster_id=DEV, project_id=OTHER_PROJECT)
        (code / "schedules.yaml").write_text(
            f"version: 1\nclusters: [{{name: dev, cluster_id: {DEV}, state: stopped, project_id: {OTHER_PROJECT}}}]\n",
            encoding="utf-8",
        )
        function(TIMER)
        assert posts(cloud) == [(Power.STOP_SOFT, (elsewhere.server_id,))]

    def test_a_file_with_a_problem_changes_nothing(self, function: Function, cloud: SimulatedCloud, code: Path) -> None:
        (code / "schedules.yaml").write_text(FILE.replace("state: running", "state: runing"), encoding="utf-8")
        message = refused(function)
        assert message.startswith(f"{code / 'schedules.yaml'}:7:")
        assert "clusters[1].state" in message
        assert not cloud.ledger

    def test_a_missing_file_is_named(self, function: Function, cloud: SimulatedCloud, tmp_path: Path) -> None:
        message = refused(function, schedulesPath="other.yaml")
        assert message.startswith(f"{tmp_path / 'other.yaml'}: cannot be read")
        assert not cloud.ledger


class TestByHand:
    def test_plans_for_another_time(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        result = function({"action": "plan", "at": "2026-12-02T15:30:00+07:00"})
        assert (result["status"], result["action"]) == ("success", "plan")
        assert result["message"] == "would start 1, would stop 0, held 1"
        assert result["data"]["at"] == "2026-12-02T08:30:00+00:00"
        assert cluster(result, "dev")["state"] == "running"
        assert cluster(result, "test")["started"] == [shown(nodes["test"])]
        assert {r.method for r in cloud.ledger} == {"GET"}

    def test_a_start_of_a_sleeping_cluster_says_that_it_was_woken_and_must_be_asked_for_again(
        self, function: Function, cloud: SimulatedCloud, code: Path
    ) -> None:
        file = code / "schedules.yaml"
        file.write_text(FILE.replace("name: test,", "name: test, control_plane: hibernate,"), encoding="utf-8")
        asleep = cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST, phase="Hibernation")
        server = cloud.server(cloud.clusters.add_node(asleep, "test-1").server_id or "")
        cloud.set_status(server, "SHUTOFF")
        by_hand = {"action": "start", "clusters": ["test"]}
        assert function(by_hand)["message"].startswith(
            "started 0, stopped 0, held 1, woke 1; test waits for its control plane: ask again once it is awake; "
        )
        cloud.advance_to(NOW + timedelta(minutes=10))
        assert function(by_hand, cloud.now)["message"].startswith("started 1, stopped 0, held 0; the schedule of test ")

    def test_converges_only_the_clusters_that_are_named(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        result = function({"action": "converge", "clusters": ["dev"]})
        assert [c["name"] for c in result["data"]["clusters"]] == ["dev"]
        assert posts(cloud) == [(Power.STOP_SOFT, (nodes["dev"].server_id,))]

    @pytest.mark.parametrize(
        ("event", "message"),
        [
            pytest.param(
                {"action": "stop", "clusters": ["test"]},
                "started 0, stopped 1, held 0; the next run undoes it for test: state: running; "
                "write an override to keep it",
                id="stop against a constant state",
            ),
            pytest.param(
                {"action": "start", "clusters": ["dev"]},
                "started 1, stopped 0, held 0; the next run undoes it for dev: ",
                id="start outside the window",
            ),
            pytest.param(
                {"action": "stop", "clusters": ["dev"]},
                "started 0, stopped 1, held 0; dev stays so until 2026-12-02T08:00:00+00:00",
                id="stop as the schedule says",
            ),
            pytest.param(
                {"action": "start", "clusters": ["test"]},
                "started 1, stopped 0, held 0; the schedule of test does not undo it within 14 days",
                id="start as a constant state says",
            ),
            pytest.param(
                {"action": "stop", "clusters": ["off"]},
                "started 0, stopped 0, held 0; off is not managed (enabled: false)",
                id="stop what is not managed",
            ),
        ],
    )
    def test_starts_and_stops_by_name_and_says_until_when_it_lasts(
        self, function: Function, cloud: SimulatedCloud, event: Dict[str, Any], message: str
    ) -> None:
        status = "SHUTOFF" if event["action"] == "start" else "ACTIVE"
        servers = {c: cloud.add_server(cluster_id=c, status=status).server_id for c in (DEV, TEST, BATCH)}
        result = function(event)
        assert result["message"].startswith(message)
        assert result["action"] == event["action"]
        named = {"dev": DEV, "test": TEST}.get(event["clusters"][0])
        assert [ids for _, ids in posts(cloud)] == ([(servers[named],)] if named else [])

    @pytest.mark.parametrize(
        ("timing", "action", "time", "lasts"),
        [
            pytest.param(
                'windows: [{stop: "0 20 * * *"}]',
                "stop",
                "20:10",
                "the schedule of dev does not undo it within 14 days",
                id="one stop",
            ),
            pytest.param(
                'windows: [{stop: "0 20 * * *"}]',
                "start",
                "12:00",
                "dev stays so until 2026-12-01T20:00:00+00:00",
                id="unmanaged until a stop",
            ),
            pytest.param(
                'enforce: 1h, windows: [{start: "0 8 * * *", stop: "0 20 * * *"}]',
                "start",
                "08:30",
                "dev stays so until 2026-12-01T20:00:00+00:00",
                id="enforced for an hour",
            ),
            pytest.param(
                'enforce: 1h, windows: [{start: "0 8 * * *", stop: "0 20 * * *"}]',
                "stop",
                "10:00",
                "dev stays so until 2026-12-02T08:00:00+00:00",
                id="past a stop that changes nothing",
            ),
            pytest.param(
                'windows: [{start: "0 10 15 12 *", stop: "0 20 15 12 *"}]',
                "stop",
                "10:00",
                "dev stays so until 2026-12-15T10:00:00+00:00",
                id="in a fortnight",
            ),
            pytest.param(
                'windows: [{start: "1 10 15 12 *", stop: "0 20 15 12 *"}]',
                "stop",
                "10:00",
                "the schedule of dev does not undo it within 14 days",
                id="later than a fortnight",
            ),
            pytest.param(
                'enforce: 5m, windows: [{stop: "*/10 * * * *"}, {start: "0 10 14 12 *"}]',
                "stop",
                "10:00",
                "dev stays so until 2026-12-14T10:00:00+00:00",
                id="past thousands of transitions",
            ),
        ],
    )
    def test_lasts_until_the_schedule_wants_the_opposite(
        self, function: Function, timing: str, action: str, time: str, lasts: str
    ) -> None:
        text = f"version: 1\nclusters: [{{name: dev, cluster_id: {DEV}, timezone: UTC, {timing}}}]\n"
        Path(function.environ["RUNTIME_CODE_ROOT"], "schedules.yaml").write_text(text, encoding="utf-8")
        result = function({"action": action, "clusters": ["dev"]}, parse_at(f"2026-12-01T{time}:00Z"))
        assert result["message"].endswith(f"; {lasts}")

    @pytest.mark.parametrize(
        ("action", "cluster", "message"),
        [
            pytest.param("stop", "dev", "dev stays so until 2026-12-02T08:00:00+00:00, unless", id="stop, for a time"),
            pytest.param("start", "dev", "the next run undoes it for dev, unless", id="start, undone"),
            pytest.param("start", "test", "does not undo it within 14 days, unless", id="start, for good"),
            pytest.param("stop", "test", "the next run undoes it for test, unless", id="stop, undone"),
        ],
    )
    def test_names_the_override_tag_where_it_may_say_otherwise(
        self, function: Function, code: Path, action: str, cluster: str, message: str
    ) -> None:
        (code / "schedules.yaml").write_text(f"{FILE}remote_overrides: true\n", encoding="utf-8")
        result = function({"action": action, "clusters": [cluster]})
        assert f"{message} its override tag says otherwise" in result["message"]

    @pytest.mark.parametrize(("action", "status"), [("stop", "ACTIVE"), ("start", "SHUTOFF")])
    def test_is_not_late_for_what_nobody_asked_before(
        self, function: Function, cloud: SimulatedCloud, action: str, status: str
    ) -> None:
        """Servers have been as they are for a month; only now they should not be."""
        server = cloud.add_server(cluster_id=TEST, status=status, created=NOW - timedelta(days=30))
        result = function({"action": action, "clusters": ["test"]})
        assert (result["status"], result["data"]["server_list"]) == ("success", [shown(server)])

    @pytest.mark.parametrize(("action", "override"), [("start", "stopped"), ("stop", "running")])
    def test_wins_over_the_override_of_a_tag(
        self, function: Function, cloud: SimulatedCloud, code: Path, action: str, override: str
    ) -> None:
        """What a person asks for by name is done, and never its opposite."""
        (code / "schedules.yaml").write_text(f"{FILE}remote_overrides: true\n", encoding="utf-8")
        tags = {"cce-scheduler-override": f"{override}@2026-12-01T20:00:00Z"}
        cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST, tags=tags)
        cloud.add_server(cluster_id=TEST)
        cloud.add_server(cluster_id=TEST, status="SHUTOFF")
        assert function({"action": action, "clusters": ["test"]})["status"] == "success"
        assert [power for power, _ in posts(cloud)] == [Power.START if action == "start" else Power.STOP_SOFT]

    def test_obeys_holds_and_limits(self, function: Function, cloud: SimulatedCloud, code: Path) -> None:
        (code / "schedules.yaml").write_text(f"{FILE}limits: {{max_stops_per_run: 1}}\n", encoding="utf-8")
        cloud.add_server(cluster_id=TEST, tags=["cce-scheduler=off"])
        cloud.add_server(cluster_id=TEST, locked=True)
        one = cloud.add_server(cluster_id=TEST)
        event = {"action": "stop", "clusters": ["test"]}
        assert function(event)["status"] == "success"
        assert posts(cloud) == [(Power.STOP_SOFT, (one.server_id,))]
        cloud.clear_ledger()
        for _ in range(2):
            cloud.add_server(cluster_id=TEST)
        result = function(event)
        assert result["status"] == "error"
        assert "max_stops_per_run: this run would stop 2 servers, 1 are allowed" in result["message"]
        assert not posts(cloud)


class TestEvent:
    @pytest.mark.parametrize(
        ("event", "message"),
        [
            pytest.param([], 'the event is list: send an object such as {"action": "plan"}', id="list"),
            pytest.param("plan", 'the event is str: send an object such as {"action": "plan"}', id="text"),
            pytest.param(5, 'the event is int: send an object such as {"action": "plan"}', id="number"),
            pytest.param(b"{}", 'the event is bytes: send an object such as {"action": "plan"}', id="bytes"),
            pytest.param({"acton": "plan"}, 'event: unknown key "acton": did you mean "action"?', id="unknown key"),
            pytest.param({1: 2}, 'event: unknown key "1"', id="key that is no text"),
            pytest.param(
                {"trigger_type": "APIG"}, 'event: unknown key "trigger_type"', id="an event of another trigger"
            ),
            pytest.param(
                {"action": "stopp"}, 'event.action: "stopp" is not known: did you mean "stop"?', id="unknown action"
            ),
            pytest.param({"action": None}, 'event.action: "None" is not known', id="null action"),
            pytest.param({"action": ["stop"]}, "event.action: \"['stop']\" is not known", id="list of actions"),
            pytest.param(
                {"action": "stop"},
                'event.clusters: name the clusters to stop, such as ["dev"]',
                id="stop without clusters",
            ),
            pytest.param(
                {"action": "start", "clusters": None},
                'event.clusters: name the clusters to start, such as ["dev"]',
                id="start without clusters",
            ),
            pytest.param(
                {"clusters": "dev"}, 'event.clusters: write a list of cluster names, such as ["dev"]', id="one text"
            ),
            pytest.param(
                {"clusters": []}, 'event.clusters: write a list of cluster names, such as ["dev"]', id="empty list"
            ),
            pytest.param(
                {"clusters": ["dev", 5]}, 'event.clusters: write a list of cluster names, such as ["dev"]', id="number"
            ),
            pytest.param(
                {"clusters": ["dve"]}, 'no cluster "dve" in the file: did you mean "dev"?', id="unknown cluster"
            ),
            pytest.param(
                {"dry_run": "yes"}, "event.dry_run: 'yes' is not a boolean: write true or false", id="dry_run text"
            ),
            pytest.param({"dry_run": 1}, "event.dry_run: 1 is not a boolean: write true or false", id="dry_run number"),
            pytest.param(
                {"at": "2026-12-01T08:00:00+07:00"},
                'event.at: only {"action": "plan"} can look at another time',
                id="at without plan",
            ),
            pytest.param(
                {"action": "plan", "at": "2026-12-01T08:00:00"},
                'at: "2026-12-01T08:00:00" is not an instant: write one with its offset, '
                "such as 2026-11-23T08:00:00+07:00",
                id="at without offset",
            ),
            pytest.param({"action": "plan", "at": "soon"}, 'at: "soon" is not an instant: write one', id="at text"),
            pytest.param({"action": "plan", "at": 5}, 'at: "5" is not an instant: write one', id="at number"),
        ],
    )
    @pytest.mark.usefixtures("nodes")
    def test_that_cannot_be_understood_is_an_error_and_does_nothing(
        self, function: Function, cloud: SimulatedCloud, event: object, message: str
    ) -> None:
        assert refused(function, event).startswith(message)
        assert not cloud.ledger

    @pytest.mark.parametrize(
        ("event", "setting", "action", "data"),
        [
            pytest.param({"at": "soon"}, "", "converge", ["clusters", "server_list"], id="none"),
            pytest.param({"action": "plan", "at": "soon"}, "", "plan", ["clusters", "server_list"], id="event's"),
            pytest.param({"action": "stop"}, "start", "stop", ["clusters", "server_list"], id="event's, not setting's"),
            pytest.param({"action": "stopp"}, "start", "converge", ["clusters", "server_list"], id="unknown, set"),
            pytest.param({"action": ["stop"]}, "", "converge", ["clusters", "server_list"], id="list"),
            pytest.param([], "", "converge", ["clusters", "server_list"], id="no object"),
            pytest.param({"clusters": ["dev"]}, "stop", "stop", ["server_list"], id="one-shot"),
            pytest.param("x", "start", "start", ["server_list"], id="one-shot, no object"),
            pytest.param({}, "halt", "converge", ["server_list"], id="one-shot, unknown"),
        ],
    )
    def test_that_fails_at_once_gives_the_action_that_is_known(
        self, function: Function, event: object, setting: str, action: str, data: List[str]
    ) -> None:
        result = function(event, action=setting)
        assert (result["status"], result["action"], sorted(result["data"])) == ("error", action, data)
        assert [line["action"] for line in function.context.lines] == [action]

    def test_of_a_timer_is_taken_whatever_else_the_platform_says(self) -> None:
        assert read_event({"trigger_type": "TIMER", "user_event": "{}", "region": "x"}) == Request(fired="None")

    @pytest.mark.parametrize(
        ("key", "value"),
        [("action", "plan"), ("clusters", ["dev"]), ("dry_run", True), ("at", "2026-12-01T12:00:00Z")],
    )
    @pytest.mark.usefixtures("nodes")
    def test_of_a_timer_asks_for_nothing_else(
        self, function: Function, cloud: SimulatedCloud, key: str, value: object
    ) -> None:
        """Whoever adds it wants something else than the run that a timer begins."""
        with pytest.raises(RunFailedError) as raised:
            function({"trigger_type": "TIMER", key: value})
        message = f"event.{key}: a timer's event only converges: leave out trigger_type to ask by hand"
        assert str(raised.value) == message
        assert not cloud.ledger

    def test_says_what_is_asked_for(self) -> None:
        event = {"action": "plan", "clusters": ["a"], "dry_run": True, "at": "2026-12-01T12:00:00Z"}
        assert read_event(event) == Request("plan", ("a",), dry_run=True, at=NOW, is_explicit=True)

    @pytest.mark.parametrize("text", ["1999-12-31T00:00:00Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
    def test_at_a_time_out_of_reach_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="is out of range: write a year from 2000 to 2099"):
            parse_at(text)


class TestSettings:
    @pytest.mark.usefixtures("nodes")
    def test_are_asked_for_with_exactly_one_argument(self, function: Function) -> None:
        with pytest.raises(TypeError):
            Context().getUserData("region", None)  # type: ignore[call-arg]
        assert function()["status"] == "success"

    @pytest.mark.usefixtures("nodes")
    def test_of_the_function_win_over_the_environment(self, function: Function, cloud: SimulatedCloud) -> None:
        function.environ.update(endpoint="https://127.0.0.1:1", projectId="other", ak="other", sk="other")
        assert function()["message"] == "started 1, stopped 1, held 0"
        assert {record.path.split("/")[2] for record in cloud.ledger} == {PROJECT}

    @pytest.mark.usefixtures("nodes")
    def test_that_the_function_lacks_are_taken_from_the_environment(self, function: Function) -> None:
        function.environ.update(function.user_data)
        function.user_data = {"ak": "", "projectId": ""}  # empty is absent
        assert function()["message"] == "started 1, stopped 1, held 0"

    @pytest.mark.parametrize("where", ["context", "environment"])
    @pytest.mark.usefixtures("nodes")
    def test_a_missing_project_is_the_function_s_own(self, function: Function, where: str) -> None:
        function.without("projectId")
        if where == "context":
            function.project_id = PROJECT
        else:
            function.environ["RUNTIME_PROJECT_ID"] = PROJECT
        assert function()["message"] == "started 1, stopped 1, held 0"

    @pytest.mark.parametrize(
        ("missing", "message"),
        [
            ("region", "no region for dev, test: write `region:`"),
            ("projectId", "no project id for dev, test: write `project_id:`"),
        ],
    )
    def test_a_missing_place_is_an_error(
        self, function: Function, cloud: SimulatedCloud, missing: str, message: str
    ) -> None:
        assert refused(function.without(missing)) == f"{message} under `defaults:` or set it in the settings"
        assert not cloud.ledger

    def test_the_schedules_file_lies_beside_the_code_unless_its_path_is_absolute(
        self, function: Function, cloud: SimulatedCloud, tmp_path: Path
    ) -> None:
        for number, path in enumerate(("sub/other.yaml", str(tmp_path / "elsewhere" / "s.yaml"))):
            file = tmp_path / path
            file.parent.mkdir()
            cluster_id = f"{number}-{DEV}"
            file.write_text(
                f"version: 1\nclusters: [{{name: c{number}, cluster_id: {cluster_id}, state: stopped}}]\n",
                encoding="utf-8",
            )
            cloud.add_server(cluster_id=cluster_id)
            assert [c["name"] for c in function(schedulesPath=path)["data"]["clusters"]] == [f"c{number}"]

    def test_a_timeout_of_3_seconds_is_refused_by_name(self, function: Function, cloud: SimulatedCloud) -> None:
        function.environ["RUNTIME_TIMEOUT"] = "3"
        message = (
            "the function's timeout is 3 s, too short for a run: set its execution timeout to 60 s (at least 15 s)"
        )
        assert refused(function) == message
        with pytest.raises(RunFailedError) as raised:
            function(TIMER)
        assert str(raised.value) == message
        assert not cloud.ledger

    @pytest.mark.parametrize(
        ("endpoint", "message"),
        [
            ("https://ecs.example.com/v1", "cannot be used: write https://HOST, without a path"),
            ("http://ecs.example.com", "is not encrypted: write https://ecs.example.com"),
        ],
    )
    def test_an_endpoint_that_cannot_be_used_is_refused(self, function: Function, endpoint: str, message: str) -> None:
        assert refused(function, endpoint=endpoint) == f'endpoint "{endpoint}" {message}'

    def test_an_unknown_region_is_an_error_of_its_clusters(self, function: Function) -> None:
        result = function.without("endpoint")(region="nowhere")
        assert result["status"] == "error"
        message = 'unknown region "nowhere": correct it, or set the endpoint'
        assert [cluster(result, name)["error"] for name in ("dev", "test")] == [{"message": message}] * 2
        assert cluster(result, "off")["error"] is None


class TestCredentials:
    def test_of_the_agency_win_whole(self, function: Function, cloud: SimulatedCloud) -> None:
        cloud.add_credentials("agency-ak", "agency-sk", security_token="agency-token")
        function.agency = ("agency-ak", "agency-sk", "agency-token")
        cloud.add_server(cluster_id=DEV)
        cloud.add_server(cluster_id=TEST)
        assert function(ak="other", sk="other", securityToken="other")["status"] == "success"

    @pytest.mark.usefixtures("nodes")
    def test_of_the_settings_may_be_temporary_ones(self, function: Function, cloud: SimulatedCloud) -> None:
        cloud.add_credentials("own-ak", "own-sk", security_token="own-token")
        assert function(ak="own-ak", sk="own-sk", securityToken="own-token")["status"] == "success"

    @pytest.mark.parametrize(
        ("agency", "own", "expected"),
        [
            pytest.param(("a", "s", "t"), ("x", "y", "z"), ("a", "s", "t"), id="agency"),
            pytest.param(("a", "s", ""), ("x", "y", "z"), ("a", "s", None), id="agency without a token"),
            pytest.param(("a", "s", None), ("x", "y", "z"), ("a", "s", None), id="agency, token missing"),
            pytest.param(("a", "", "t"), ("x", "y", ""), ("x", "y", None), id="incomplete agency is left aside whole"),
            pytest.param((None, None, None), ("x", "y", "z"), ("x", "y", "z"), id="settings"),
        ],
    )
    def test_are_never_mixed(
        self, agency: Tuple[Optional[str], Optional[str], Optional[str]], own: Tuple[str, ...], expected: object
    ) -> None:
        found = read_credentials(Context(agency=agency), dict(zip(("ak", "sk", "securityToken"), own)).get)
        assert (found.ak, found.sk, found.security_token) == expected

    @pytest.mark.parametrize(
        ("agency", "own"),
        [
            pytest.param(("a", None, "t"), {"ak": "", "sk": ""}, id="agency without a secret key"),
            pytest.param((None, None, "t"), {"ak": "", "sk": ""}, id="agency with a token alone"),
            pytest.param((None, None, None), {"sk": ""}, id="no sk"),
            pytest.param((None, None, None), {"ak": ""}, id="no ak"),
        ],
    )
    def test_that_are_incomplete_are_refused(
        self, function: Function, cloud: SimulatedCloud, agency: Any, own: Dict[str, str]
    ) -> None:
        function.agency = agency
        message = "the credentials are incomplete: an access key needs its secret key; check agency, ak and sk"
        assert refused(function, **own) == message
        assert not cloud.ledger

    def test_that_are_missing_are_refused(self, function: Function, cloud: SimulatedCloud) -> None:
        message = "no credentials: give the function an agency, or set both ak and sk"
        assert refused(function, ak="", sk="") == message
        with pytest.raises(RunFailedError, match=message):
            function(TIMER, ak="", sk="")
        assert not cloud.ledger

    def test_are_not_asked_for_when_nothing_is_managed(self, function: Function, code: Path) -> None:
        (code / "schedules.yaml").write_text(
            FILE.replace("state: running", "state: running, enabled: false").replace(
                "schedule: office-hours", "schedule: office-hours, enabled: false"
            ),
            encoding="utf-8",
        )
        assert function(ak="", sk="")["status"] == "success"

    @pytest.mark.usefixtures("nodes")
    def test_may_be_missing_in_a_context_of_another_build(self, function: Function) -> None:
        class Bare:
            def __init__(self, user_data: Mapping[str, str]) -> None:
                self.getUserData = user_data.get

        result = handle(
            {}, Bare(function.user_data), now=NOW, environ=function.environ, monotonic=lambda: 0.0, sleep=CLOCK.sleep
        )
        assert result["status"] == "success"


class TestDeadline:
    @pytest.mark.usefixtures("nodes")
    def test_no_call_is_begun_when_the_time_is_up(self, function: Function, cloud: SimulatedCloud) -> None:
        readings = iter([1000.0])
        function.monotonic = lambda: next(readings, 1000.0 + 60 - 2 - 2.9)
        result = function()
        assert (result["status"], result["data"]["server_list"]) == ("error", [])
        message = "no time is left in this run for another call: the next run goes on"
        assert cluster(result, "dev")["error"] == {"message": message}
        assert message in result["message"]
        assert not cloud.ledger

    @pytest.mark.usefixtures("nodes")
    @pytest.mark.parametrize("timeout_s", [15, 60, 900])
    def test_what_there_was_no_time_for_is_left_to_the_next_run(
        self, function: Function, cloud: SimulatedCloud, timeout_s: int
    ) -> None:
        now_s = [1000.0]

        def slow_listing(call: Call) -> None:
            if call.method == "GET":
                now_s[0] += timeout_s - 4

        cloud.faults = slow_listing
        function.environ["RUNTIME_TIMEOUT"] = str(timeout_s)
        function.monotonic = lambda: now_s[0]
        assert function(TIMER)["message"] == "started 0, stopped 0, held 0, left 2 to the next run"
        (dev, test, run) = function.context.lines
        assert [left["reason"] for line in (dev, test) for left in line["left"]] == ["no time was left in the run"] * 2
        assert run["status"] == "success"
        assert (len(listings(cloud)), posts(cloud)) == (1, [])
        cloud.faults = None
        assert function(TIMER)["message"] == "started 1, stopped 1, held 0"


class TestFailure:
    def test_of_a_timer_s_run_is_raised_after_all_other_work(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        cloud.faults = failing_at(failing(400, "Ecs.0611", "The batch failed."), 1, method="POST")
        with pytest.raises(RunFailedError) as raised:
            function(TIMER)
        # The start and the stop go side by side: either may be the first.
        assert re.search(r"failed: (dev|test): Ecs.0611 The batch failed.: the batch was refused", str(raised.value))
        assert len(posts(cloud)) == 2
        assert sum(server.task_state is not None for server in nodes.values()) == 1
        assert function.context.lines[-1]["status"] == "error"

    def test_by_hand_is_returned(
        self, function: Function, cloud: SimulatedCloud, nodes: Dict[str, SimulatedServer]
    ) -> None:
        cloud.faults = failing_at(failing(403, "EPS.0003", "No right."), method="POST")
        result = function()
        assert (result["status"], result["data"]["server_list"]) == ("error", [])
        assert (result["data"]["error_code"], result["data"]["status_code"]) == ("EPS.0003", 403)
        assert result["data"]["request_id"]
        assert cluster(result, "dev")["error"]["servers"] == [shown(nodes["dev"])]
        assert cluster(result, "dev")["error"]["error_code"] == "EPS.0003"
        assert cluster(result, "dev")["stopped"] == []

    def test_of_a_listing_is_the_error_of_each_of_its_clusters(self, function: Function, cloud: SimulatedCloud) -> None:
        cloud.faults = failing_at(html())
        result = function()
        for name in ("dev", "test"):
            assert "the server listing is not what the API documents" in cluster(result, name)["error"]["message"]
        assert cluster(result, "off")["error"] is None
        assert not posts(cloud)

    def test_of_the_credentials_is_told_once_and_tried_once(self, function: Function, cloud: SimulatedCloud) -> None:
        with pytest.raises(RunFailedError) as raised:
            function(TIMER, sk="wrong")
        assert str(raised.value).count("APIGW.0301") == 1
        assert len(cloud.ledger) == 1

    def test_has_a_text_of_less_than_4_kb(self, function: Function, code: Path) -> None:
        wrong = "".join(f'  - {{name: "ทดสอบ{n}", cluster_id: c{n}, schedule: ไม่มี}}\n' for n in range(500))
        (code / "schedules.yaml").write_text(f"version: 1\nclusters:\n{wrong}", encoding="utf-8")
        with pytest.raises(RunFailedError) as raised:
            function(TIMER)
        assert 3000 < len(str(raised.value).encode()) < 4096
        assert str(raised.value).startswith(f"{code / 'schedules.yaml'}:3:")
        (line,) = function.context.lines
        assert line["status"] == "error"
        assert len(function.context.texts[0].encode()) < 64 * 1024


class TestLog:
    def test_has_a_line_for_each_cluster_that_acted_and_one_for_the_run(
        self, function: Function, nodes: Dict[str, SimulatedServer]
    ) -> None:
        function(TIMER)
        dev, test, run = function.context.lines
        assert (dev["event"], dev["name"], dev["stopped"]) == ("cluster", "dev", [shown(nodes["dev"], type="SOFT")])
        assert (test["event"], test["name"], test["started"]) == ("cluster", "test", [shown(nodes["test"])])
        assert (run["event"], run["status"], run["message"]) == ("run", "success", "started 1, stopped 1, held 0")
        assert function.context.levels == ["INFO", "INFO", "INFO"]

    @pytest.mark.usefixtures("nodes")
    def test_of_a_run_that_had_nothing_to_do_is_one_line(self, function: Function, cloud: SimulatedCloud) -> None:
        function(TIMER)
        cloud.advance_to(NOW + timedelta(minutes=5))
        function(TIMER)
        assert [line["event"] for line in function.context.lines] == ["run"]

    @pytest.mark.parametrize(
        ("level", "levels"),
        [
            ("DEBUG", ["ERROR", "WARNING", "ERROR"]),
            ("INFO", ["ERROR", "WARNING", "ERROR"]),
            ("WARNING", ["ERROR", "WARNING", "ERROR"]),
            ("ERROR", ["ERROR", "ERROR"]),
        ],
    )
    def test_is_filtered_by_level(
        self, function: Function, cloud: SimulatedCloud, level: str, levels: List[str]
    ) -> None:
        cloud.add_server(cluster_id=DEV)  # and none of test: a warning
        cloud.clusters.add("test", project_id=PROJECT, cluster_id=TEST)
        cloud.faults = failing_at(failing(403, "EPS.0003"), method="POST")
        function(logLevel=level)
        assert function.context.levels == levels

    @pytest.mark.parametrize("level", ["INFO", "WARNING", "ERROR"])
    @pytest.mark.usefixtures("nodes")
    def test_of_a_good_run_is_left_out_above_info(self, function: Function, level: str) -> None:
        function(logLevel=level)
        assert function.context.levels == (["INFO"] * 3 if level == "INFO" else [])

    @pytest.mark.parametrize("number", [100, 300])
    @pytest.mark.parametrize("fails", [False, True])
    def test_has_lines_of_less_than_64_kb_that_are_json(
        self,
        function: Function,
        cloud: SimulatedCloud,
        number: int,
        fails: bool,  # noqa: FBT001
    ) -> None:
        for n in range(number):
            cloud.add_server("\N{ROCKET}" * 160 + str(n), cluster_id=DEV)
        if fails:
            cloud.faults = failing_at(failing(403, "EPS.0003"), method="POST")
        function()
        dev = function.context.lines[0]
        assert dev["name"] == "dev"
        assert (dev["error"]["servers"] if fails else dev["stopped"]) == {"count": number}
        assert all(len(text.encode()) < 64 * 1024 for text in function.context.texts)

    def test_names_up_to_a_hundred_servers(self, function: Function, cloud: SimulatedCloud) -> None:
        for _ in range(100):
            cloud.add_server(cluster_id=DEV)
        function()
        assert len(function.context.lines[0]["stopped"]) == 100

    @pytest.mark.parametrize("where", ["agency", "settings"])
    @pytest.mark.parametrize(
        "known", [pytest.param(True, id="right credentials"), pytest.param(False, id="wrong credentials")]
    )
    def test_and_result_hold_no_secret_and_no_user_data(
        self,
        function: Function,
        cloud: SimulatedCloud,
        where: str,
        known: bool,  # noqa: FBT001
    ) -> None:
        ak, sk, token = SECRETS
        cloud.add_credentials(ak if known else "another", sk, security_token=token)
        server = cloud.add_server(cluster_id=DEV, status="ERROR")
        server.fault = {"message": "broken"}
        cloud.add_server(cluster_id=DEV)
        cloud.add_server(cluster_id=TEST)
        cloud.faults = failing_at(failing(500, "Ecs.0000"), method="POST")
        user_data = {"password": "planted-password", "ak": ak, "sk": sk, "securityToken": token}
        if where == "agency":
            function.agency = SECRETS
            user_data = {"password": "planted-password", "ak": "planted-other", "sk": "planted-other"}
        result = function(None, NOW, **user_data)
        assert result["status"] == "error"
        with pytest.raises(RunFailedError) as raised:
            function(TIMER, NOW, **user_data)
        said = json.dumps(result) + str(raised.value) + "".join(function.context.texts)
        assert "planted" not in said
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        user_data_of_servers = base64.b64encode(b"#!/bin/bash\n").decode()
        assert user_data_of_servers[:16] in cloud.servers[0].text()
        assert user_data_of_servers[:16] not in said

    @pytest.mark.usefixtures("nodes")
    def test_is_left_out_where_there_is_no_logger(self, function: Function) -> None:
        class Silent(Context):
            getLogger = None  # type: ignore[assignment]  # noqa: N815

        result = handle(
            {}, Silent(function.user_data), now=NOW, environ=function.environ, monotonic=lambda: 0.0, sleep=CLOCK.sleep
        )
        assert result["status"] == "success"


STOP_DEV = {"action": "stop", "clusterId": DEV, "type": "HARD"}


class TestOneShot:
    def test_stops_and_answers_as_before(self, one_shot: Function, cloud: SimulatedCloud) -> None:
        one, two = (cloud.add_server(f"dev-{n}", cluster_id=DEV) for n in (1, 2))
        cloud.add_server("test-1", cluster_id=TEST)
        result = one_shot(TIMER, NOW, **STOP_DEV)
        assert result == {
            "status": "success",
            "message": "started 0, stopped 2, held 0",
            "action": "stop",
            "data": {"server_list": [shown(two), shown(one)]},
        }
        assert posts(cloud) == [(Power.STOP_HARD, (two.server_id, one.server_id))]
        post = next(record for record in cloud.ledger if record.method == "POST")
        assert isinstance(post.body, dict)
        assert post.body["os-stop"]["type"] == "HARD"

    def test_the_same_call_again_sends_no_post(self, one_shot: Function, cloud: SimulatedCloud) -> None:
        cloud.add_server(cluster_id=DEV)
        one_shot(TIMER, NOW, **STOP_DEV)
        cloud.clear_ledger()
        for minutes in (0, 5):
            cloud.advance_to(NOW + timedelta(minutes=minutes))
            assert one_shot(TIMER, NOW, **STOP_DEV)["data"] == {"server_list": []}
        assert not posts(cloud)

    @pytest.mark.parametrize(("action", "status"), [("stop", "ACTIVE"), ("start", "SHUTOFF")])
    def test_is_not_late_for_what_nobody_asked_before(
        self, one_shot: Function, cloud: SimulatedCloud, action: str, status: str
    ) -> None:
        cloud.add_server(cluster_id=DEV, status=status, created=NOW - timedelta(days=30))
        assert one_shot(TIMER, NOW, action=action, clusterId=DEV)["status"] == "success"

    def test_starts_the_clusters_of_a_list(self, one_shot: Function, cloud: SimulatedCloud) -> None:
        servers = [cloud.add_server(cluster_id=c, status="SHUTOFF") for c in (DEV, TEST, BATCH)]
        result = one_shot(None, NOW, action="start", cluster_ids=f"{DEV}, {TEST}")
        assert result["action"] == "start"
        assert {s["server_id"] for s in result["data"]["server_list"]} == {s.server_id for s in servers[:2]}
        assert [power for power, _ in posts(cloud)] == [Power.START]

    def test_without_an_id_it_means_every_cce_cluster_of_the_project(
        self, one_shot: Function, cloud: SimulatedCloud
    ) -> None:
        members = [cloud.add_server(cluster_id=cluster_id) for cluster_id in (DEV, TEST)]
        cloud.add_server("no node")
        cloud.add_server(cluster_id=BATCH, project_id=OTHER_PROJECT)
        result = one_shot(TIMER, action="stop")
        assert result["message"] == "all CCE clusters of the project: started 0, stopped 2, held 0"
        assert one_shot.context.lines[-1]["message"] == result["message"]
        assert {s["server_id"] for s in result["data"]["server_list"]} == {s.server_id for s in members}
        assert [(power, set(ids)) for power, ids in posts(cloud)] == [(Power.STOP_SOFT, {s.server_id for s in members})]

    @pytest.mark.parametrize("key", ["clusterId", "cluster_ids"])
    @pytest.mark.parametrize("event", [TIMER, None], ids=["TIMER", "by hand"])
    def test_an_id_that_is_present_but_empty_is_an_error(
        self, one_shot: Function, cloud: SimulatedCloud, key: str, event: object
    ) -> None:
        cloud.add_server(cluster_id=DEV)
        message = "setting clusterId: it is set but empty: write a cluster's id, or remove it to mean every CCE cluster"
        if event is None:
            assert refused(one_shot, action="stop", **{key: ""}) == message
        else:
            with pytest.raises(RunFailedError) as raised:
                one_shot(event, NOW, action="stop", **{key: ""})
            assert str(raised.value) == message
        assert not cloud.ledger

    @pytest.mark.parametrize("place", ["user data", "environment"])
    def test_ids_by_a_misspelt_name_stop_nothing(self, one_shot: Function, cloud: SimulatedCloud, place: str) -> None:
        cloud.add_server(cluster_id=DEV)
        settings = one_shot.user_data if place == "user data" else one_shot.environ
        settings["CLUSTER_ID"] = TEST
        with pytest.raises(RunFailedError, match="setting CLUSTER_ID is not known, so nothing was done"):
            one_shot(TIMER, NOW, action="stop")
        assert not cloud.ledger

    @pytest.mark.parametrize("event", [TIMER, None], ids=["TIMER", "by hand"])
    @pytest.mark.usefixtures("nodes")
    def test_beside_a_schedules_file_it_is_an_error(
        self, function: Function, cloud: SimulatedCloud, event: object
    ) -> None:
        message = (
            "setting action=stop and schedules.yaml contradict each other, so nothing was done: remove the setting "
            "to follow the file, or leave the file out (`cce-scheduler package --one-shot`)"
        )
        if event is None:
            assert refused(function, **STOP_DEV) == message
        else:
            with pytest.raises(RunFailedError) as raised:
                function(event, NOW, **STOP_DEV)
            assert str(raised.value) == message
        assert not cloud.ledger

    @pytest.mark.usefixtures("nodes")
    def test_an_action_in_the_event_is_not_the_one_of_the_settings(
        self, function: Function, cloud: SimulatedCloud
    ) -> None:
        assert function({"action": "plan"}, NOW, **STOP_DEV)["message"] == "would start 1, would stop 1, held 0"
        assert not posts(cloud)

    def test_clusters_in_the_event_are_refused_rather_than_ignored(
        self, one_shot: Function, cloud: SimulatedCloud
    ) -> None:
        cloud.add_server(cluster_id=DEV)
        assert refused(one_shot, {"clusters": ["dev"]}, action="stop") == (
            "event.clusters: setting action=stop acts on what setting clusterId names: leave it out"
        )
        assert not cloud.ledger

    @pytest.mark.parametrize(
        ("fired", "message"),
        [
            pytest.param("2026-12-01T11:49:59Z", "is of 2026-12-01T11:49:59Z, over 10 minutes old", id="old"),
            pytest.param("2018-06-01T08:30:00+08:00", "is of 2018-06-01T08:30:00+08:00, over 10", id="very old"),
            pytest.param("2026-12-01T12:00:00", 'no time that can be read: "2026-12-01T12:00:00"', id="no offset"),
            pytest.param("now", 'no time that can be read: "now"', id="not a time"),
            pytest.param(None, 'no time that can be read: "None"', id="missing"),
        ],
    )
    def test_refuses_the_event_of_a_timer_that_may_be_out_of_date(
        self, one_shot: Function, cloud: SimulatedCloud, fired: Optional[str], message: str
    ) -> None:
        cloud.add_server(cluster_id=DEV)
        with pytest.raises(RunFailedError) as raised:
            one_shot({**TIMER, "time": fired}, NOW, **STOP_DEV)
        assert message in str(raised.value)
        assert not cloud.ledger

    @pytest.mark.parametrize("fired", ["2026-12-01T11:50:00Z", "2026-12-01T19:00:30+07:00", "2026-12-01T12:05:00.123Z"])
    def test_takes_the_event_of_a_timer_that_is_a_little_late(
        self, one_shot: Function, cloud: SimulatedCloud, fired: str
    ) -> None:
        cloud.add_server(cluster_id=DEV)
        assert len(one_shot({**TIMER, "time": fired}, NOW, **STOP_DEV)["data"]["server_list"]) == 1

    @pytest.mark.parametrize(
        "scene",
        [
            pytest.param({"tags": ["cce-scheduler=off"]}, id="tagged off"),
            pytest.param({"tags": ["cce-scheduler"]}, id="tagged with the bare key"),
            pytest.param({"locked": True}, id="locked"),
            pytest.param({"frozen": True}, id="frozen"),
            pytest.param({"task_state": "rebooting"}, id="in transition"),
            pytest.param({"task_state": "powering-off"}, id="stopping"),
            pytest.param({"status": "REBUILD"}, id="being rebuilt"),
            pytest.param({"status": "ERROR"}, id="broken"),
            pytest.param({"status": "SHUTOFF"}, id="off"),
        ],
    )
    def test_leaves_alone_what_must_not_or_need_not_be_touched(
        self, one_shot: Function, cloud: SimulatedCloud, scene: Dict[str, Any]
    ) -> None:
        cloud.add_server(cluster_id=DEV, **scene)
        prepaid = cloud.add_server(cluster_id=DEV, charging_mode="1")
        unknown = cloud.add_server(cluster_id=DEV, omit=["metadata"])
        result = one_shot(TIMER, NOW, **STOP_DEV)
        assert result["status"] == "success"
        assert {s["server_id"] for s in result["data"]["server_list"]} == {prepaid.server_id, unknown.server_id}
        assert [set(ids) for _, ids in posts(cloud)] == [{prepaid.server_id, unknown.server_id}]

    def test_a_dry_run_says_so(self, one_shot: Function, cloud: SimulatedCloud) -> None:
        cloud.add_server(cluster_id=DEV)
        for result in (one_shot({"dry_run": True}, NOW, **STOP_DEV), one_shot(TIMER, NOW, dryRun="true", **STOP_DEV)):
            assert result["message"] == "would start 0, would stop 1, held 0"
            assert result["data"] == {"server_list": []}
        assert not posts(cloud)

    def test_a_failure_is_raised_under_a_timer_and_returned_by_hand(
        self, one_shot: Function, cloud: SimulatedCloud
    ) -> None:
        cloud.add_server(cluster_id=DEV)
        cloud.faults = failing_at(failing(403, "EPS.0003", "No right."), method="POST")
        result = one_shot(None, NOW, **STOP_DEV)
        assert (result["status"], set(result["data"])) == (
            "error",
            {"server_list", "error_code", "status_code", "request_id"},
        )
        with pytest.raises(RunFailedError, match=r"EPS\.0003 No right\."):
            one_shot(TIMER, NOW, **STOP_DEV)

    def test_needs_region_and_project(self, one_shot: Function, cloud: SimulatedCloud) -> None:
        message = "no region for all CCE clusters: write `region:` under `defaults:` or set it in the settings"
        assert refused(one_shot.without("region"), action="stop") == message
        assert not cloud.ledger


@pytest.mark.usefixtures("nodes")
def test_a_run_needs_nothing_of_the_machine_s_environment(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("region", "projectId", "action", "clusterId", "dryRun"):
        monkeypatch.setenv(name, "stop")
    assert function()["message"] == "started 1, stopped 1, held 0"


def test_the_default_file_lies_at_the_root_of_the_code(cloud: SimulatedCloud, endpoint: str) -> None:
    """Without the platform's own variable the code's root is that of the package."""
    function = Function(endpoint, Path())
    function.environ = {}
    result = function({"action": "plan"}, datetime(2026, 12, 1, tzinfo=timezone.utc))
    assert [c["name"] for c in result["data"]["clusters"]][:1] == ["dev"]
    assert cloud.ledger
