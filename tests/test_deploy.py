"""``deploy``, ``status`` and ``undeploy``, with the real SDKs over HTTP against a simulated cloud."""

import io
import json
import re
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Dict, Iterator, List, Optional, Tuple

import pytest

from scheduler.cli.deployment import Zip, ask_person
from scheduler.deploy.function import DESCRIPTION
from scheduler.deploy.sources import ScheduleFiles
from scheduler.errors import InputError
from scheduler.simulated import SIMULATED_PROJECT, SimulatedCloud, serve
from scheduler.simulated.calls import Call, Fault, Record, failing, html, reset
from scheduler.simulated.functions import SimulatedFunction, SimulatedTrigger
from scheduler.simulated.platform import Settings
from tests.cli_runner import Ended, check_golden, run
from tests.deployed import (
    DEMO,
    DEMO_CLUSTER,
    DEV,
    DEV_CLUSTER,
    FUNCTION,
    NOW,
    PROJECT,
    REGION,
    Scene,
    add_setting,
    run_zip,
    short_path,
    write_file,
)
from tests.packaged import CLUSTER, SCHEDULES, TEST_RUNTIME, packaged

HIBERNATING = add_setting(DEV_CLUSTER, "control_plane: hibernate")
CREATED = [
    ("POST", "functions"),
    ("PUT", "functions/URN/async-invoke-config"),
    ("PUT", "functions/URN/config-max-instance"),
    ("POST", "functions/URN/invocations"),
    ("POST", "triggers/URN"),
]
LOOK = [
    ("GET", "functions/URN/config"),
    ("GET", "functions/URN/async-invoke-config"),
    ("GET", "triggers/URN"),
]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    cloud = SimulatedCloud(NOW)
    with serve(cloud) as endpoint:
        yield Scene(cloud, endpoint, tmp_path)


def squeeze(text: str) -> str:
    """Return a text with its columns pushed together."""
    return re.sub(" +", " ", text)


def add_foreign_trigger(scene: Scene, kind: str = "OBS", name: str = "uploads") -> SimulatedTrigger:
    trigger = SimulatedTrigger("foreign", kind, "ACTIVE", {"name": name}, NOW)
    scene.function.triggers.append(trigger)
    return trigger


def fail_once(scene: Scene, method: str, ending: str, fault: Fault) -> None:
    """Let the first call like that fail."""
    left = [fault]

    def faults(call: Call) -> Optional[Fault]:
        return left.pop() if left and call.method == method and call.path.endswith(ending) else None

    scene.cloud.faults = faults


class TestFirstDeployment:
    def test_shows_what_it_makes_and_the_plan_then_makes_it_in_order(self, scene: Scene) -> None:
        scene.add_server("node-1")
        ended = scene.deploy()
        assert ended.code == 0
        assert "cce-scheduler: to be created\n" in ended.stdout
        assert "\n + timer 0 0/5 * * * *, active\n" in squeeze(ended.stdout)
        assert "Plan under " in ended.stdout
        assert "  - stop   node-1" in ended.stdout
        assert "Plan in the cloud\n  dev: stopped, 0 to start, 1 to stop\n" in ended.stdout
        assert scene.person.asked == [
            "Deploy cce-scheduler?",
            "Let the timer run cce-scheduler by 0 0/5 * * * *?",
        ]
        assert not scene.server_changes()
        assert scene.calls(changes_only=True) == CREATED

    def test_sends_the_bodies_that_the_api_documents(self, scene: Scene) -> None:
        scene.write(function=f"{FUNCTION}  settings: {{logLevel: WARNING}}\n  memory: 512\n  timeout: 45\n")
        scene.deploy()
        body = scene.body("POST", "functions")
        code = body.pop("func_code")
        assert set(code) == {"file"}
        assert body == {
            "func_name": "cce-scheduler",
            "package": "default",
            "runtime": "Python3.10",
            "handler": "index.handler",
            "memory_size": 512,
            "timeout": 45,
            "code_type": "zip",
            "code_filename": "function.zip",
            "xrole": "scheduler-agency",
            "user_data": json.dumps({"logLevel": "WARNING", "region": REGION}),
            "description": DESCRIPTION,
            "type": "v2",
            "enable_lts_log": True,
        }
        assert scene.body("PUT", "functions/URN/async-invoke-config") == {
            "max_async_retry_attempts": 0,
            "max_async_event_age_in_seconds": 300,
        }
        assert scene.body("PUT", "functions/URN/config-max-instance") == {"max_instance_num": 1}
        assert scene.body("POST", "functions/URN/invocations") == {"action": "plan"}
        assert scene.body("POST", "triggers/URN") == {
            "trigger_type_code": "TIMER",
            "trigger_status": "ACTIVE",
            "event_data": {
                "name": "cce-scheduler",
                "schedule_type": "Cron",
                "schedule": "0 0/5 * * * *",
                "user_event": "",
            },
        }
        posted = [r for r in scene.cloud.ledger if r.path.endswith("/fgs/functions") and r.method == "POST"]
        assert posted[0].path == f"/v2/{PROJECT}/fgs/functions"

    def test_the_second_one_sends_no_change(self, scene: Scene) -> None:
        scene.deploy()
        ended = scene.deploy()
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout == f"cce-scheduler is as {scene.file} asks: nothing to change\n"
        assert scene.calls() == LOOK
        assert {record.method for record in scene.cloud.ledger} == {"GET"}
        assert scene.person.asked == []

    def test_a_dry_run_changes_nothing_and_asks_nothing(self, scene: Scene) -> None:
        ended = scene.deploy(dry_run=True)
        assert ended.code == 0
        assert "to be created" in ended.stdout
        assert "Plan: 0 to start" in ended.stdout
        assert scene.calls(changes_only=True) == []
        assert scene.person.asked == []

    def test_a_no_leaves_everything_as_it_is(self, scene: Scene) -> None:
        ended = scene.deploy(False)
        assert ended.code == 1
        assert ended.stderr.endswith("\nnothing was changed\n")
        assert scene.calls(changes_only=True) == []

    def test_a_no_to_the_plan_in_the_cloud_sets_no_timer_and_a_later_yes_does(self, scene: Scene) -> None:
        ended = scene.deploy(True, False)
        assert ended.code == 1
        assert ended.stderr.endswith("nothing more is changed; no timer runs the function\n")
        assert scene.function.triggers == []
        assert scene.deploy().code == 0
        assert scene.calls(changes_only=True) == CREATED[-2:]

    def test_yes_asks_nothing(self, scene: Scene) -> None:
        assert scene.deploy(yes=True).code == 0
        assert scene.person.asked == []
        assert [trigger.status for trigger in scene.function.triggers] == ["ACTIVE"]

    def test_a_dry_run_that_fails_in_the_cloud_sets_no_timer(self, scene: Scene) -> None:
        scene.cloud.functions.runner = lambda *_: {"status": "error", "message": "no credentials"}
        ended = scene.deploy()
        assert ended.code == 1
        assert "! done before it failed: function, asynchronous, instances; no timer runs it\n" in ended.stderr
        assert "error: the dry run in the cloud failed: no credentials (an agency that" in ended.stderr
        assert scene.function.triggers == []

    def test_a_function_that_raises_in_the_cloud_sets_no_timer(self, scene: Scene) -> None:
        def broken(_: SimulatedFunction, __: object) -> object:
            raise ImportError("no module named yaml")

        scene.cloud.functions.runner = broken
        ended = scene.deploy()
        assert ended.code == 1
        assert "the dry run in the cloud failed: no module named yaml" in ended.stderr
        assert scene.function.triggers == []


class TestDoctor:
    def test_a_refused_cluster_stops_the_deployment_with_the_reason(self, scene: Scene) -> None:
        cluster = scene.cloud.clusters.find(PROJECT, DEV)
        scene.cloud.clusters.add_pool(cluster, "workers", is_autoscaled=True)
        for dry_run in (False, True):
            ended = scene.deploy(dry_run=dry_run)
            assert ended.code == 1
            assert (
                "error: doctor refuses 1 thing, so nothing is deployed\ndev: autoscaled node pools: workers: the"
                in (ended.stderr)
            )
            assert scene.calls(changes_only=True) == []
            assert scene.person.asked == []
        scene.write(add_setting(DEV_CLUSTER, "autoscaled_pools: accept") + DEMO_CLUSTER)
        assert scene.deploy().code == 0

    def test_a_warning_stops_nothing_and_is_told(self, scene: Scene) -> None:
        ended = scene.deploy()
        assert ended.code == 0
        assert ended.stderr.startswith("! doctor has 2 warnings: see `cce-scheduler doctor`\n")

    def test_a_clean_account_is_not_mentioned(self, scene: Scene) -> None:
        scene.add_server("node-1")
        scene.add_server("demo-1", DEMO)
        assert "doctor" not in scene.deploy().stderr


class TestUpdate:
    def test_an_edited_window_shows_both_plans_and_sends_only_the_code(self, scene: Scene) -> None:
        scene.add_server("node-1")
        scene.deploy()
        scene.write(DEV_CLUSTER.replace("20:00", "23:00") + DEMO_CLUSTER)
        ended = scene.deploy()
        assert ended.code == 0
        before, after = ended.stdout.split("Plan under the deployed file")[1].split("Plan under ")
        assert "- stop   node-1" in before
        assert "Plan: 0 to start, 0 to stop, 1 held" in after
        assert scene.person.asked == ["Deploy cce-scheduler?"]
        assert scene.calls(changes_only=True) == [
            ("PUT", "functions/URN/code"),
            ("POST", "functions/URN/invocations"),
        ]
        sent = scene.body("PUT", "functions/URN/code")
        assert {key: sent[key] for key in ("code_type", "code_filename")} == {
            "code_type": "zip",
            "code_filename": "function.zip",
        }

    def test_an_edited_setting_sends_the_configuration_and_keeps_the_rest(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.settings.update(initializer_handler="index.warm", initializer_timeout=5, xrole="other")
        scene.function.max_instances = 0
        scene.write(function=f"{FUNCTION}  memory: 512\n")
        ended = scene.deploy()
        assert ended.code == 0
        assert "\n ~ memory 256 MB -> 512 MB\n" in squeeze(ended.stdout)
        assert "\n ~ agency other -> scheduler-agency\n" in squeeze(ended.stdout)
        assert "\n ~ instances at most 0 (disabled) -> 1 instance\n" in squeeze(ended.stdout)
        body = scene.body("PUT", "functions/URN/config")
        assert (body["func_name"], body["runtime"], body["memory_size"]) == ("cce-scheduler", "Python3.10", 512)
        assert (body["initializer_handler"], body["initializer_timeout"]) == ("index.warm", 5)
        assert "enable_lts_log" not in body
        assert scene.function.settings["xrole"] == "scheduler-agency"
        assert scene.function.max_instances == 1
        assert scene.deploy().stdout.endswith("nothing to change\n")

    def test_another_period_replaces_the_timer_and_no_other_trigger(self, scene: Scene) -> None:
        scene.deploy()
        other = add_foreign_trigger(scene)
        scene.write(function=f"{FUNCTION}  every: 15m\n")
        ended = scene.deploy()
        assert ended.code == 0
        assert "! warning: the OBS trigger uploads runs it too, and is left as it is\n" in ended.stderr
        assert scene.calls(changes_only=True) == [
            ("PUT", "functions/URN/code"),
            ("PUT", "functions/URN/async-invoke-config"),
            ("POST", "functions/URN/invocations"),
            ("DELETE", "triggers/URN/TIMER/ID"),
            ("POST", "triggers/URN"),
        ]
        assert other in scene.function.triggers
        timers = [trigger.event_data["schedule"] for trigger in scene.function.triggers if trigger.kind == "TIMER"]
        assert timers == ["0 0/15 * * * *"]
        assert scene.function.asynchronous is not None
        assert scene.function.asynchronous["max_async_event_age_in_seconds"] == 900

    def test_a_disabled_timer_is_made_active(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.triggers[0].status = "DISABLED"
        ended = scene.deploy()
        assert "\n ~ timer 0 0/5 * * * *, disabled -> 0 0/5 * * * *, active\n" in squeeze(ended.stdout)
        assert scene.calls(changes_only=True)[-1] == ("PUT", "triggers/URN/TIMER/ID")
        assert scene.body("PUT", "triggers/URN/TIMER/ID") == {"trigger_status": "ACTIVE"}

    def test_a_destination_for_failures_stays(self, scene: Scene) -> None:
        scene.deploy()
        destination = {"on_failure": {"destination": "SMN", "param": "{}"}}
        scene.function.asynchronous = {
            "max_async_retry_attempts": 3,
            "max_async_event_age_in_seconds": 300,
            "destination_config": destination,
        }
        ended = scene.deploy()
        assert "\n ~ asynchronous retries 3 -> 0\n" in squeeze(ended.stdout)
        assert scene.function.asynchronous["destination_config"] == destination
        assert scene.function.asynchronous["max_async_retry_attempts"] == 0

    @pytest.mark.parametrize("clusters", [DEV_CLUSTER, DEV_CLUSTER + DEMO_CLUSTER.replace("}", ", enabled: false}")])
    def test_a_cluster_that_is_left_with_its_servers_off_is_asked_about(self, scene: Scene, clusters: str) -> None:
        scene.add_server("node-1")
        scene.add_server("demo-1", DEMO, status="SHUTOFF")
        scene.deploy()
        scene.write(clusters)
        ended = scene.deploy(False)
        assert ended.code == 1
        assert "! no longer managed: demo: 1 server off, and nothing will start: demo-1\n" in ended.stderr
        assert scene.person.asked == ["Leave demo as it is, for people to start?"]
        assert scene.calls(changes_only=True) == []
        assert scene.deploy(yes=True).code == 0

    def test_a_cluster_that_is_left_running_is_not_asked_about(self, scene: Scene) -> None:
        scene.add_server("demo-1", DEMO)
        scene.deploy()
        scene.write(DEV_CLUSTER)
        scene.deploy()
        assert scene.person.asked == ["Deploy cce-scheduler?"]

    @pytest.mark.parametrize(
        "clusters",
        [
            pytest.param(HIBERNATING.replace(", control_plane: hibernate", "") + DEMO_CLUSTER, id="kept"),
            pytest.param(HIBERNATING.replace("hibernate", "hibernate, enabled: false") + DEMO_CLUSTER, id="disabled"),
            pytest.param(DEMO_CLUSTER, id="removed"),
        ],
    )
    @pytest.mark.parametrize("phase", ["Hibernation", "Hibernating"])
    def test_a_control_plane_that_is_left_asleep_is_asked_about(self, scene: Scene, clusters: str, phase: str) -> None:
        scene.write(HIBERNATING + DEMO_CLUSTER)
        scene.deploy()
        scene.set_phase(DEV, phase)
        scene.write(clusters)
        ended = scene.deploy(False)
        assert ended.code == 1
        left = f"! no longer managed: dev: its control plane is in phase {phase}, and nothing will wake it\n"
        assert left in ended.stderr
        assert scene.person.asked == ["Leave dev as it is, for people to wake?"]
        assert scene.calls(changes_only=True) == []
        assert scene.deploy(yes=True).code == 0

    def test_servers_that_the_schedule_goes_on_with_are_not_asked_about(self, scene: Scene) -> None:
        scene.write(HIBERNATING + DEMO_CLUSTER)
        scene.add_server("node-1", DEV, status="SHUTOFF")
        scene.deploy()
        scene.write(HIBERNATING.replace("hibernate", "keep") + DEMO_CLUSTER)
        scene.deploy()
        assert scene.person.asked == ["Deploy cce-scheduler?"]

    def test_a_control_plane_that_cannot_be_seen_is_asked_about(self, scene: Scene) -> None:
        scene.write(HIBERNATING + DEMO_CLUSTER)
        scene.deploy()
        scene.cloud.faults = lambda call: failing(403, "CCE.01403001") if call.path.endswith("/clusters") else None
        ended = scene.undeploy(True, False)
        assert "! no longer managed: dev: whether it is off is not known (CCE.01403001 " in ended.stderr
        assert scene.person.asked == ["Leave dev as it is, for people to start?", "Remove it?"]

    @pytest.mark.parametrize(
        ("shows_code", "reason"),
        [
            pytest.param(None, "the API does not give the deployed code", id="nothing"),
            pytest.param("http://storage.example/code.zip", "the deployed code cannot be read (ValueError)", id="http"),
            pytest.param("https://127.0.0.1:1/code.zip", "cannot be read (ConnectionError)", id="unreachable"),
        ],
    )
    def test_says_so_where_the_deployed_file_cannot_be_had(
        self, scene: Scene, shows_code: Optional[str], reason: str
    ) -> None:
        scene.deploy()
        scene.cloud.functions.shows_code = shows_code
        scene.write(DEV_CLUSTER)
        ended = scene.deploy()
        assert ended.code == 0
        assert "! the deployed schedules cannot be compared: " in ended.stderr
        assert reason in ended.stderr

    def test_follows_a_link_to_the_deployed_code_without_credentials(self, scene: Scene) -> None:
        scene.deploy()
        headers: List[str] = []
        code = scene.function.code

        class Storage(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers.extend(self.headers)
                self.send_response(200 if self.path == "/code.zip" else 404)
                self.end_headers()
                self.wfile.write(code)

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Storage) as storage:
            thread = Thread(target=storage.serve_forever, args=(0.01,))
            thread.start()
            scene.write(DEV_CLUSTER)
            outputs = []
            for name in ("code.zip", "gone.zip"):
                scene.cloud.functions.shows_code = f"http://127.0.0.1:{storage.server_port}/{name}"
                outputs.append(scene.deploy(dry_run=True))
            storage.shutdown()
            thread.join()
        assert "Plan under the deployed file\n" in outputs[0].stdout
        assert "the deployed code cannot be read (status 404)" in outputs[1].stderr
        assert "Authorization" not in headers

    def test_an_execution_agency_that_is_set_is_the_one_that_counts(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.settings["app_xrole"] = "weak"
        assert "\n ~ agency weak -> scheduler-agency\n" in squeeze(scene.deploy().stdout)
        assert scene.function.settings["app_xrole"] == "scheduler-agency"
        assert scene.deploy().stdout.endswith("nothing to change\n")

    def test_warns_where_the_cloud_shows_another_digest(self, scene: Scene) -> None:
        good = scene.build

        def other_digest(files: ScheduleFiles, runtime: str) -> Zip:
            return good(files, runtime)._replace(digest="0" * 128)

        scene.build = other_digest
        ended = scene.deploy()
        assert ended.code == 0
        assert "! the cloud shows another digest than the zip has" in ended.stderr


class TestBadInput:
    """Each is refused with what is wrong, where, and what to do; and none of them changes anything."""

    def test_holidays_that_are_not_known_any_more(self, scene: Scene) -> None:
        known = {"first": "2020-01-01", "last": "2020-12-31", "dates": {"2020-01-01": "New Year"}}
        lock = {"version": 1, "library": "holidays 0.1", "calendars": {"TH": known}}
        scene.file.with_name("holidays.json").write_text(json.dumps(lock), encoding="utf-8")
        text = write_file(add_setting(DEV_CLUSTER, "exclude: {dates: [th]}"))
        scene.file.write_text(text.replace("clusters:", "calendars: {th: {country: TH}}\nclusters:"), encoding="utf-8")
        ended = scene.deploy()
        assert ended.code == 1
        assert "public holidays are only known until 2020-12-31" in ended.stderr
        assert not scene.cloud.ledger

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            pytest.param("", "schedules.yaml:\n  function:\n    agency: NAME\n", id="no agency"),
            pytest.param(
                f"{FUNCTION}  settings: {{action: stop}}\n",
                "function.settings.action: action is refused: it belongs to the one-shot mode",
                id="action",
            ),
            pytest.param(
                f"{FUNCTION}  settings: {{ak: hunter2}}\n",
                "function.settings.ak: ak is refused: a key must not stand in a file",
                id="key",
            ),
            pytest.param(
                f"{FUNCTION}  every: 7m\n",
                'function.every: "7m" does not divide an hour or a day evenly in whole minutes or hours: write 1m',
                id="period",
            ),
            pytest.param(f"{FUNCTION}  every: 30s\n", "function.every: ", id="short period"),
            pytest.param(f"{FUNCTION}  timeout: 10\n", "function.timeout: 10 is too small: write", id="timeout"),
            pytest.param(f"{FUNCTION}  memory: 300\n", "function.memory: 300 MB is no size of a", id="memory"),
            pytest.param(f"{FUNCTION}  runtime: Python3.8\n", 'function.runtime: "Python3.8" is not', id="runtime"),
            pytest.param(f"{FUNCTION}  name: 9lives\n", 'function.name: "9lives" cannot be used', id="name"),
            pytest.param(
                f"{FUNCTION}  settings: {{dryrun: 'true'}}\n",
                'function.settings.dryrun: unknown setting "dryrun": did you mean "dryRun"?',
                id="unknown setting",
            ),
            pytest.param(
                f"{FUNCTION}  settings: {{dryRun: 'yes'}}\n", 'function.settings.dryRun: "yes" is not', id="value"
            ),
        ],
    )
    def test_of_the_section(self, scene: Scene, function: str, message: str) -> None:
        scene.write(function=function)
        ended = scene.deploy()
        assert (ended.code, ended.stdout) == (1, "")
        assert message in ended.stderr
        assert "hunter2" not in ended.stderr
        assert scene.cloud.ledger == ()

    def test_a_file_that_does_not_validate_sends_nothing(self, scene: Scene) -> None:
        scene.write("  - {name: dev}\n")
        ended = scene.deploy()
        assert ended.code == 1
        assert 'clusters[0]: lacks "cluster_id"' in ended.stderr
        assert scene.cloud.ledger == ()

    def test_an_agency_that_is_refused(self, scene: Scene) -> None:
        scene.cloud.functions.agencies = {"other"}
        ended = scene.deploy()
        assert ended.code == 1
        assert "FSS.1121" in ended.stderr
        assert "the agency is missing or does not trust FunctionGraph: create it in IAM" in ended.stderr
        assert scene.cloud.functions.all == []

    def test_a_region_without_the_runtime(self, scene: Scene) -> None:
        scene.cloud.functions.runtimes = ("Python3.9",)
        ended = scene.deploy()
        assert ended.code == 1
        assert "FSS.1005" in ended.stderr
        assert "write function.runtime: Python3.9, which every region has" in ended.stderr

    def test_another_runtime_than_the_function_was_made_with(self, scene: Scene) -> None:
        scene.deploy()
        scene.write(function=f"{FUNCTION}  runtime: Python3.12\n")
        ended = scene.deploy()
        assert ended.code == 1
        assert "the function cce-scheduler runs on Python3.10, and FunctionGraph cannot change that" in ended.stderr
        assert scene.calls(changes_only=True) == []

    def test_a_function_of_that_name_that_is_not_ours_asks_for_adopt(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.settings["description"] = "the old one"
        scene.function.settings["user_data"] = json.dumps({"action": "stop", "ak": "hunter2"})
        ended = scene.deploy()
        assert ended.code == 1
        assert "add --adopt to make this one ours" in ended.stderr
        assert scene.calls(changes_only=True) == []
        ended = scene.deploy(adopt=True)
        assert ended.code == 0
        assert "\n - settings.ak (not shown)\n" in squeeze(ended.stdout)
        assert "hunter2" not in ended.stdout + ended.stderr
        assert json.loads(str(scene.function.settings["user_data"])) == {"region": REGION}
        assert scene.deploy().stdout.endswith("nothing to change\n")

    def test_the_quota_of_triggers(self, scene: Scene) -> None:
        scene.deploy(True, False)
        for number in range(10):
            add_foreign_trigger(scene, name=f"t{number}")
        ended = scene.deploy()
        assert ended.code == 1
        assert "FSS.1123" in ended.stderr
        assert "the function has as many triggers as it may: delete one that is not needed" in ended.stderr

    @pytest.mark.parametrize(
        ("key", "message"),
        [("region", "function.region: there is none"), ("project_id", "function.project_id: there is none")],
    )
    def test_a_function_without_a_place(self, scene: Scene, key: str, message: str) -> None:
        text = scene.file.read_text(encoding="utf-8")
        old = {"region": f"region: {REGION}, ", "project_id": f", project_id: '{PROJECT}'"}[key]
        assert old in text
        scene.file.write_text(text.replace(old, ""), encoding="utf-8")
        ended = scene.deploy()
        assert ended.code == 1
        assert message in ended.stderr

    def test_an_unknown_region(self, scene: Scene) -> None:
        scene.write(function=f"{FUNCTION}  region: nowhere-1\n")
        options = scene.options()._replace(function_endpoint=None)
        scene.options = lambda **_: options  # type: ignore[method-assign]
        ended = scene.deploy()
        assert ended.code == 1
        assert 'function.region: no FunctionGraph is known in "nowhere-1": correct it' in ended.stderr

    def test_wrong_keys(self, scene: Scene) -> None:
        scene.environ["HUAWEICLOUD_SDK_SK"] = "hunter2"
        ended = scene.deploy()
        assert ended.code == 1
        assert "APIGW.0301" in ended.stderr
        assert ended.stderr.endswith("check the access key and its secret key\n")
        assert "hunter2" not in ended.stderr

    def test_missing_rights(self, scene: Scene) -> None:
        fail_once(scene, "GET", "/config", failing(403, "FSS.0403", "Forbidden"))
        ended = scene.deploy()
        assert ended.code == 1
        assert "grant the rights of docs/security.md to the person who deploys" in ended.stderr

    def test_the_limit_of_calls(self, scene: Scene) -> None:
        fail_once(scene, "GET", "/config", failing(429, "APIGW.0308", "The throttling threshold has been reached"))
        ended = scene.deploy()
        assert ended.code == 1
        assert ended.stderr.startswith("error: APIGW.0308 The throttling threshold has been reached: the platform's ")
        assert "wait a minute, then run the same command again" in ended.stderr

    @pytest.mark.parametrize("status", [500, 503, 408])
    def test_a_change_that_fails_on_their_side_may_have_been_made(self, scene: Scene, status: int) -> None:
        fail_once(scene, "POST", "/functions", failing(status, f"FSS.0{status}"))
        ended = scene.deploy()
        assert ended.code == 1
        assert "whether it was done is not known: run the same command again" in ended.stderr

    @pytest.mark.parametrize("stdin", [io.StringIO(), None], ids=["a pipe", "closed"])
    def test_nobody_to_ask(self, monkeypatch: pytest.MonkeyPatch, stdin: Optional[io.StringIO]) -> None:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(InputError, match=r"nobody can be asked here.*add --yes"):
            ask_person("Deploy?")


class TestBrokenOff:
    """Whatever call is lost, whether the cloud carried it out or not: the next deployment finishes."""

    @pytest.mark.parametrize("carried_out", [False, True], ids=["lost before", "lost after"])
    @pytest.mark.parametrize(
        ("method", "ending"),
        [
            pytest.param("POST", "/functions", id="create"),
            pytest.param("PUT", "/async-invoke-config", id="asynchronous"),
            pytest.param("PUT", "/config-max-instance", id="instances"),
            pytest.param("POST", "/invocations", id="dry run"),
            pytest.param("POST", ":latest", id="timer"),
        ],
    )
    def test_a_second_one_finishes(self, scene: Scene, method: str, ending: str, carried_out: bool) -> None:  # noqa: FBT001
        fail_once(scene, method, ending, reset(carried_out=carried_out))
        ended = scene.deploy()
        assert ended.code == 1
        assert "the same command again" in ended.stderr or "check the endpoint and the network" in ended.stderr
        assert scene.deploy().code == 0
        function = scene.function
        assert function.max_instances == 1
        assert function.asynchronous is not None
        assert [(t.kind, t.status) for t in function.triggers] == [("TIMER", "ACTIVE")]
        assert scene.deploy().stdout.endswith("nothing to change\n")

    def test_between_deleting_and_making_the_timer(self, scene: Scene) -> None:
        scene.deploy()
        scene.write(function=f"{FUNCTION}  every: 10m\n")
        fail_once(scene, "POST", ":latest", failing(500, "FSS.0500"))
        ended = scene.deploy()
        assert ended.code == 1
        assert "\n! done before it failed: code, asynchronous; no timer runs it\nerror: " in ended.stderr
        assert scene.function.triggers == []
        assert scene.deploy().code == 0
        assert [t.event_data["schedule"] for t in scene.function.triggers] == ["0 0/10 * * * *"]

    def test_before_the_timer_that_exists_is_deleted(self, scene: Scene) -> None:
        scene.deploy()
        scene.write(function=f"{FUNCTION}  every: 10m\n")
        fail_once(scene, "DELETE", "", failing(500, "FSS.0500"))
        ended = scene.deploy()
        assert ended.code == 1
        assert "; its timer is active, and runs what is deployed\nerror: " in ended.stderr

    def test_so_that_nobody_can_tell_whether_there_is_a_timer(self, scene: Scene) -> None:
        scene.deploy()
        scene.write(function=f"{FUNCTION}  every: 10m\n")
        gone: List[bool] = []

        def faults(call: Call) -> Optional[Fault]:
            gone.extend([True] if call.method == "DELETE" else [])
            return reset() if gone and call.method != "DELETE" else None

        scene.cloud.faults = faults
        ended = scene.deploy()
        assert ended.code == 1
        assert "; whether a timer runs it is not known: look with `cce-scheduler status`\nerror: " in ended.stderr

    @pytest.mark.parametrize("fault", [html(), failing(503, "FSS.0503"), failing(429, "FSS.0429")])
    def test_an_answer_that_is_none_is_a_failure_with_advice(self, scene: Scene, fault: Fault) -> None:
        fail_once(scene, "GET", "/config", fault)
        ended = scene.deploy()
        assert ended.code == 1
        assert ended.stderr.startswith("error: ")
        assert scene.cloud.functions.all == []


class TestStatus:
    def test_is_well_where_everything_is_equal_and_runs(self, scene: Scene) -> None:
        scene.deploy()
        scene.cloud.advance_to(NOW + timedelta(hours=1))
        scene.fire(2)
        ended = scene.status()
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout == (
            "cce-scheduler in ap-southeast-2\n"
            f"  schedules  as in {scene.file}\n"
            "  timer      0 0/5 * * * *, active\n"
            "  settings   Python3.10, 256 MB, 60 s, agency scheduler-agency\n"
            "  runs       2 runs in the last 15 minutes; the last at 2026-11-23T15:00:00+00:00: SUCCESS\n"
        )
        assert {record.method for record in scene.cloud.ledger} == {"GET"}

    def test_fails_where_there_is_no_function(self, scene: Scene) -> None:
        ended = scene.status()
        assert ended.code == 1
        assert ended.stdout == "there is no function cce-scheduler in ap-southeast-2: `cce-scheduler deploy` makes it\n"
        assert scene.status(as_json=True).json == {
            "name": "cce-scheduler",
            "region": REGION,
            "deployed": False,
            "well": False,
        }

    def test_fails_where_the_file_differs(self, scene: Scene) -> None:
        scene.deploy()
        scene.write(DEV_CLUSTER)
        ended = scene.status()
        assert ended.code == 1
        assert f"  schedules  not as in {scene.file}: deploy it\n" in ended.stdout
        assert "\n ~ code sha512 " in squeeze(ended.stdout)

    def test_fails_where_the_timer_is_off(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.triggers[0].status = "DISABLED"
        ended = scene.status(as_json=True)
        assert ended.code == 1
        assert ended.json["timer"] == {"schedule": "0 0/5 * * * *", "active": False}
        assert [d["what"] for d in ended.json["differences"]] == ["cce-scheduler"]

    def test_fails_where_no_run_was_seen_for_two_periods(self, scene: Scene) -> None:
        scene.deploy()
        assert scene.status().code == 0  # the timer is too young for that
        scene.cloud.advance_to(NOW + timedelta(minutes=16))
        ended = scene.status()
        assert ended.code == 1
        assert "  runs       none in the last 15 minutes, two periods\n" in ended.stdout

    def test_fails_where_the_last_run_failed(self, scene: Scene) -> None:
        scene.deploy()
        fail_once(scene, "GET", "/detail", failing(403, "Ecs.0003", "no right"))
        scene.fire()
        ended = scene.status(as_json=True)
        assert ended.code == 1
        assert ended.json["last_run"]["status"] == "FAIL"
        assert "no right" in ended.json["last_run"]["error"]

    def test_says_what_the_api_does_not_tell(self, scene: Scene) -> None:
        scene.deploy()

        def silent(call: Call) -> Optional[Fault]:
            untold = ("/async-invocations", "/statistics/15", "/code")
            return failing(404, "APIGW.0101") if call.path.endswith(untold) else None

        scene.cloud.faults = silent
        ended = scene.status()
        assert ended.code == 0
        assert "  runs       unknown\n" in ended.stdout
        assert "! unknown whether the schedules are equal: APIGW.0101" in ended.stdout
        assert "! unknown whether it runs: the API does not tell" in ended.stdout

    def test_counts_runs_where_the_api_lists_none(self, scene: Scene) -> None:
        scene.deploy()
        scene.fire()

        def unlisted(call: Call) -> Optional[Fault]:
            return failing(404, "FSS.0404") if call.path.endswith("/async-invocations") else None

        scene.cloud.faults = unlisted
        ended = scene.status()
        assert ended.code == 0
        assert "  runs       1 run in the last 15 minutes; with what result is not known\n" in ended.stdout

    def test_compares_the_rest_where_no_zip_can_be_made(self, scene: Scene) -> None:
        scene.deploy()

        def broken(*_: object) -> Zip:
            raise InputError("no network")

        scene.build = broken
        ended = scene.status()
        assert ended.code == 0
        assert "! unknown whether the code is equal: no network\n" in ended.stdout

    def test_fails_for_a_function_that_is_not_ours(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.settings["description"] = "mine"
        ended = scene.status()
        assert ended.code == 1
        assert "! it was not made by cce-scheduler: `deploy --adopt` takes it over\n" in ended.stdout


class TestUndeploy:
    def test_removes_the_timer_and_the_function_after_asking(self, scene: Scene) -> None:
        scene.deploy()
        ended = scene.undeploy()
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout == (
            "cce-scheduler in ap-southeast-2: to be removed\n"
            "  - timer     0 0/5 * * * *\n"
            "  - function  with its code and every version\n"
            "cce-scheduler is removed\n"
        )
        assert scene.person.asked == ["Remove it?"]
        assert scene.calls(changes_only=True) == [("DELETE", "triggers/URN/TIMER/ID"), ("DELETE", "functions/URN")]
        assert scene.cloud.functions.all == []
        assert scene.undeploy().stdout == "there is no function cce-scheduler in ap-southeast-2: nothing to remove\n"

    def test_a_no_removes_nothing(self, scene: Scene) -> None:
        scene.deploy()
        ended = scene.undeploy(False)
        assert (ended.code, ended.stderr) == (1, "nothing was removed\n")
        assert scene.calls(changes_only=True) == []

    def test_names_every_cluster_that_is_left_with_its_servers_off(self, scene: Scene) -> None:
        scene.deploy()
        scene.add_server("node-1", DEV, status="SHUTOFF")
        scene.add_server("demo-1", DEMO, status="SHUTOFF")
        ended = scene.undeploy(True, True, False)
        assert ended.code == 1
        assert scene.person.asked == [
            "Leave dev as it is, for people to start?",
            "Leave demo as it is, for people to start?",
            "Remove it?",
        ]
        assert "dev: 1 server off, and nothing will start: node-1" in ended.stderr
        assert scene.undeploy(yes=True).code == 0
        assert not scene.server_changes()

    @pytest.mark.parametrize(
        ("status", "task_state", "named"),
        [
            pytest.param("ACTIVE", "powering-off", "node-1 (powering off)", id="on its way down"),
            pytest.param("shutoff", None, "node-1", id="off in small letters"),
            pytest.param("SHUTOFF", "image_snapshot", "node-1", id="off and being copied"),
            pytest.param("SHUTOFF", "powering-on", None, id="on its way up"),
            pytest.param("ACTIVE", "rebooting", None, id="rebooting"),
        ],
    )
    def test_names_a_server_that_will_be_off_and_no_other(
        self, scene: Scene, status: str, task_state: Optional[str], named: Optional[str]
    ) -> None:
        scene.deploy()
        scene.cloud.set_status(scene.add_server("node-1").server_id, status, task_state)
        ended = scene.undeploy(False)
        warning = f"! no longer managed: dev: 1 server off, and nothing will start: {named}\n" if named else ""
        assert ended.stderr == f"{warning}nothing was removed\n"

    def test_does_not_name_servers_that_the_schedule_never_stopped(self, scene: Scene) -> None:
        scene.write(add_setting(DEV_CLUSTER, "exclude: {servers: [bastion]}"))
        scene.deploy()
        scene.add_server("bastion", status="SHUTOFF")
        scene.add_server("kept", status="SHUTOFF").locked = True
        scene.add_server("node-1", status="SHUTOFF")
        ended = scene.undeploy(False)
        assert "dev: 1 server off, and nothing will start: node-1\n" in ended.stderr

    def test_names_a_control_plane_that_is_left_asleep_with_the_servers(self, scene: Scene) -> None:
        scene.write(HIBERNATING + DEMO_CLUSTER)
        scene.add_server("node-1", DEV, status="SHUTOFF")
        scene.deploy()
        scene.set_phase(DEV, "Hibernation")
        ended = scene.undeploy(False)
        assert ended.stderr == (
            "! no longer managed: dev: its control plane is in phase Hibernation, and nothing will wake it; "
            "1 server off, and nothing will start: node-1\nnothing was removed\n"
        )
        assert scene.person.asked == ["Leave dev as it is, for people to start?"]

    def test_keeps_a_function_with_triggers_of_others(self, scene: Scene) -> None:
        scene.deploy()
        other = add_foreign_trigger(scene)
        ended = scene.undeploy()
        assert ended.code == 1
        assert "= function  kept: it has triggers that are not ours (OBS uploads)" in ended.stdout
        assert scene.function.triggers == [other]

    @pytest.mark.parametrize(
        ("faults", "stands"),
        [
            pytest.param(
                {"TIMER/": failing(500, "FSS.0500")}, "its timer is active, and runs what is deployed", id="timer"
            ),
            pytest.param(
                {"/functions/": failing(403, "FSS.0403")}, "no timer runs it, the function is there", id="function"
            ),
            pytest.param({"/functions/": reset(carried_out=True)}, "it is gone", id="answer of the end"),
            pytest.param({"TIMER/": reset(), "GET": reset()}, "what is left of it is not known", id="network"),
        ],
    )
    def test_that_fails_on_the_way_says_what_is_left(self, scene: Scene, faults: Dict[str, Fault], stands: str) -> None:
        scene.deploy()
        broken: List[bool] = []

        def lose(call: Call) -> Optional[Fault]:
            if call.method == "DELETE":
                found = next((fault for where, fault in faults.items() if where in call.path), None)
                broken.extend([True] if found else [])
                return found
            return faults.get(call.method) if broken else None

        scene.cloud.faults = lose
        ended = scene.undeploy()
        assert ended.code == 1
        assert ended.stderr.startswith(f"! it failed on the way: {stands}\nerror: ")
        scene.cloud.faults = None
        assert scene.undeploy().code == 0
        assert scene.cloud.functions.all == []

    def test_does_not_touch_a_function_that_is_not_ours(self, scene: Scene) -> None:
        scene.deploy()
        scene.function.settings["description"] = "mine"
        ended = scene.undeploy(yes=True)
        assert ended.code == 1
        assert "was not made by cce-scheduler" in ended.stderr
        assert scene.calls(changes_only=True) == []

    def test_looks_at_the_local_file_where_the_deployed_one_cannot_be_had(self, scene: Scene) -> None:
        scene.deploy()
        scene.add_server("demo-1", DEMO, status="SHUTOFF")
        scene.cloud.functions.shows_code = None
        ended = scene.undeploy()
        assert ended.code == 0
        assert "the deployed schedules cannot be read" in ended.stderr
        assert "Leave demo as it is, for people to start?" in scene.person.asked


class TestCommands:
    def test_are_there_with_examples(self) -> None:
        for command in ("deploy", "status", "undeploy"):
            ended = run(command, "--help")
            assert ended.code == 0
            assert f"cce-scheduler {command}" in ended.stdout

    def test_reach_the_cloud_by_their_options(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in scene.environ.items():
            monkeypatch.setenv(name, value)
        where = ("--file", str(scene.file), "--function-endpoint", scene.endpoint)
        assert run("undeploy", *where, "--endpoint", scene.endpoint).stdout.endswith("nothing to remove\n")
        assert run("status", *where).stdout.startswith("there is no function cce-scheduler")


def test_the_very_zip_is_deployed_and_runs_as_on_the_platform(scene: Scene) -> None:
    made = packaged(TEST_RUNTIME)
    scene.cloud.clusters.remove(scene.cloud.clusters.find(PROJECT, CLUSTER))
    cluster = scene.cloud.clusters.add("dev", project_id=SIMULATED_PROJECT, cluster_id=CLUSTER)
    node = scene.cloud.add_server("node-1", cluster_id=CLUSTER)
    scene.cloud.clusters.add_node(cluster, "node-1", server=node)
    place = f"  region: {REGION}\n  project_id: {PROJECT}\n"
    text = f"{SCHEDULES}{FUNCTION}{place}  settings: {{endpoint: '{scene.endpoint}'}}\n"
    scene.file.write_text(text, encoding="utf-8")
    scene.build = lambda *_: Zip(made.content, made.sha512)
    scene.cloud.functions.runner = run_zip(Settings())
    ended = scene.deploy()
    assert ended.code == 0
    assert "Plan in the cloud\n  dev: stopped, 0 to start, 1 to stop\n" in ended.stdout
    assert not scene.server_changes()
    scene.fire()
    assert scene.cloud.server(node).task_state == "powering-off"


def test_the_requests_of_a_whole_life_are_the_reviewed_ones(scene: Scene) -> None:
    """Deployed, edited, deployed again, looked at, removed: ``tests/golden/cli/deploy-requests.txt``."""
    scene.add_server("node-1")
    lines: List[str] = []

    def note(what: str, ended: Ended) -> None:
        assert ended.code == 0, ended
        lines.append(f"== {what}")
        lines.extend(show_request(record) for record in scene.cloud.ledger if "/fgs/" in record.path)

    note("deploy", scene.deploy())
    note("deploy, nothing edited", scene.deploy())
    scene.write(DEV_CLUSTER.replace("20:00", "23:00") + DEMO_CLUSTER)
    note("deploy, a window edited", scene.deploy())
    scene.write(DEV_CLUSTER.replace("20:00", "23:00") + DEMO_CLUSTER, f"{FUNCTION}  every: 10m\n  memory: 512\n")
    note("deploy, the period and the memory edited", scene.deploy())
    note("status", scene.status())
    note("undeploy", scene.undeploy())
    check_golden("deploy-requests", "\n".join([*lines, ""]))


def show_request(record: Record) -> str:
    """Return method, path, query and body of a request, without what differs from one zip to the next."""
    path = short_path(record.path)
    query = "&".join(f"{key}={value}" for key, value in sorted(record.query.items()))
    body = record.body
    if isinstance(body, dict) and "func_code" in body:
        body = {**body, "func_code": dict.fromkeys(body["func_code"], "ZIP")}
    text = f" {json.dumps(body, sort_keys=True)}" if body else ""
    return f"{record.method:6} {path}{'?' if query else ''}{query}{text}"


def test_the_calls_of_a_first_deployment_are_those_of_the_documentation(scene: Scene) -> None:
    scene.deploy()
    wanted: List[Tuple[str, str]] = [
        LOOK[0],
        CREATED[0],
        ("GET", "functions/URN/async-invoke-config"),
        *CREATED[1:3],
        *LOOK,
        *CREATED[3:],
    ]
    assert scene.calls() == wanted
