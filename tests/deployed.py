"""A scene for deployments: a cloud with servers and functions, a file, and a person who answers."""

import contextlib
import io
import json
import tempfile
import time
import zipfile
from datetime import datetime, timedelta, timezone
from hashlib import sha512
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from scheduler.cli.deploy import run_deploy
from scheduler.cli.deployment import Options, Surroundings, Zip
from scheduler.cli.exits import finish
from scheduler.cli.status import run_status
from scheduler.cli.undeploy import run_undeploy
from scheduler.deploy.package import write_zip
from scheduler.deploy.sources import ENTRY, ScheduleFiles, schedule_files
from scheduler.handler import handle
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, SimulatedServer
from scheduler.simulated.functions import Runner, SimulatedFunction
from scheduler.simulated.platform import Settings, deploy
from tests.cli_runner import Ended
from tests.scenes import CLOCK

NOW = datetime(2026, 11, 23, 14, tzinfo=timezone.utc)
PROJECT = "0123456789abcdef0123456789abcdef"
REGION = "ap-southeast-2"
DEV = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
DEMO = "1b0f3c2d-93aa-11ef-8d7c-0255ac10a001"
ENVIRON = {"HUAWEICLOUD_SDK_AK": SIMULATED_AK, "HUAWEICLOUD_SDK_SK": SIMULATED_SK}

DEV_CLUSTER = f"  - {{name: dev, cluster_id: {DEV}, windows: [{{hours: 'Mon-Fri 08:00-20:00'}}]}}\n"
DEMO_CLUSTER = f"  - {{name: demo, cluster_id: {DEMO}, state: stopped}}\n"
FUNCTION = "function:\n  agency: scheduler-agency\n"


def write_file(clusters: str = DEV_CLUSTER + DEMO_CLUSTER, function: str = FUNCTION) -> str:
    """Return the text of a schedules file."""
    head = f"version: 1\ntimezone: Asia/Bangkok\ndefaults: {{region: {REGION}, project_id: '{PROJECT}'}}\n"
    return f"{head}clusters:\n{clusters}{function}"


def build(files: ScheduleFiles, runtime: str) -> Zip:
    """Make a small zip: the entry and the files, without the program."""
    content = write_zip({**schedule_files(files), "index.py": ENTRY + f"# {runtime}\n".encode()})
    return Zip(content, sha512(content).hexdigest())


def add_setting(cluster: str, setting: str) -> str:
    """Return a cluster's line with one more setting."""
    return cluster.replace("}\n", f", {setting}}}\n")


def run_zip(settings: Settings) -> Runner:
    """Return a runner that runs the function's own zip, with its own user data, in a process as the platform's."""

    def run(function: SimulatedFunction, event: object) -> object:
        user_data = json.loads(str(function.settings.get("user_data") or "{}"))
        own = settings._replace(user_data={**user_data, **settings.user_data}, project_id=function.project_id)
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "function.zip"
            archive.write_bytes(function.code)
            with deploy(archive, own) as deployed:
                outcome = deployed.invoke(event)
        if outcome.error is not None:
            raise RuntimeError(": ".join(outcome.error))
        return outcome.result

    return run


class Person:
    """Answers yes, unless told otherwise, and remembers what was asked."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked: List[str] = []

    def __call__(self, question: str) -> bool:
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else True


_ENDPOINTS = ("endpoint", "cce_endpoint", "function_endpoint")


class Scene:
    """A file, a cloud behind an endpoint, and the commands over them."""

    def __init__(self, cloud: SimulatedCloud, endpoint: str, folder: Path) -> None:
        self.cloud = cloud
        self.endpoint = endpoint
        self.file = folder / "schedules.yaml"
        self.person = Person()
        self.build: Callable[[ScheduleFiles, str], Zip] = build
        self.environ: Dict[str, str] = dict(ENVIRON)
        cloud.functions.runner = self.run_function
        for name, cluster_id in (("dev", DEV), ("demo", DEMO)):
            cloud.clusters.add(name, project_id=PROJECT, cluster_id=cluster_id)
        self.write()

    def write(self, clusters: str = DEV_CLUSTER + DEMO_CLUSTER, function: str = FUNCTION) -> None:
        self.file.write_text(write_file(clusters, function), encoding="utf-8")

    def add_server(self, name: str, cluster_id: str = DEV, status: str = "ACTIVE") -> SimulatedServer:
        """Add a node to a cluster, and return its server."""
        server = self.cloud.add_server(name, project_id=PROJECT, cluster_id=cluster_id, status=status)
        self.cloud.clusters.add_node(self.cloud.clusters.find(PROJECT, cluster_id), name, server=server)
        return server

    def set_phase(self, cluster_id: str, phase: str) -> None:
        """Put the control plane of a cluster into a phase."""
        self.cloud.clusters.set_phase(self.cloud.clusters.find(PROJECT, cluster_id), phase)

    @property
    def function(self) -> SimulatedFunction:
        (function,) = self.cloud.functions.all
        return function

    def fire(self, times: int = 1) -> None:
        """Let the timer fire, now and some minutes before."""
        for number in reversed(range(times)):
            self.cloud.functions.fire(self.function, self.cloud.now - timedelta(minutes=number))

    def run_function(self, function: SimulatedFunction, event: object) -> object:
        """Run the handler of this checkout as the deployed function would run its own."""
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(function.code)) as opened:
            opened.extractall(folder)
            user_data = {
                **json.loads(str(function.settings["user_data"])),
                "endpoint": self.endpoint,
                "cceEndpoint": self.endpoint,
            }
            context = _Context({**user_data, "schedulesPath": str(Path(folder) / "schedules.yaml")}, function)
            return handle(event, context, now=self.cloud.now, environ={}, monotonic=time.monotonic, sleep=CLOCK.sleep)

    def options(self, **options: Any) -> Options:
        endpoints: Dict[str, Any] = dict.fromkeys(_ENDPOINTS, self.endpoint)
        return Options(self.file, **endpoints, **options)

    def outside(self) -> Surroundings:
        return Surroundings(self.person, self.build, self.cloud.now, self.environ)

    def deploy(self, *answers: bool, **options: Any) -> Ended:
        self.person = Person(*answers)
        self.cloud.clear_ledger()
        return _end(lambda: run_deploy(self.options(**options), self.outside()))

    def undeploy(self, *answers: bool, **options: Any) -> Ended:
        self.person = Person(*answers)
        self.cloud.clear_ledger()
        return _end(lambda: run_undeploy(self.options(**options), self.outside()))

    def status(self, *, as_json: bool = False) -> Ended:
        self.cloud.clear_ledger()
        return _end(lambda: run_status(self.options(), self.outside(), as_json=as_json))

    def calls(self, *, changes_only: bool = False) -> List[Tuple[str, str]]:
        """Return the calls to FunctionGraph since the last command, without what is alike in every path."""
        kept = [record for record in self.cloud.ledger if "/fgs/" in record.path]
        return [
            (record.method, short_path(record.path)) for record in kept if not changes_only or record.method != "GET"
        ]

    def body(self, method: str, path: str) -> Any:
        """Return the body of the one call like that since the last command."""
        (found,) = [r.body for r in self.cloud.ledger if r.method == method and short_path(r.path) == path]
        return found

    def server_changes(self) -> Sequence[object]:
        return [record.power for record in self.cloud.ledger if record.power is not None]


class _Context:
    def __init__(self, user_data: Dict[str, str], function: SimulatedFunction) -> None:
        self._user_data = user_data
        self._agency = function.settings.get("xrole")

    def getUserData(self, key: str) -> Optional[str]:  # noqa: N802 - the platform's name
        return self._user_data.get(key)

    def getSecurityAccessKey(self) -> str:  # noqa: N802 - the platform's name
        return SIMULATED_AK if self._agency else ""

    def getSecuritySecretKey(self) -> str:  # noqa: N802 - the platform's name
        return SIMULATED_SK if self._agency else ""


def short_path(path: str) -> str:
    """Return a path below ``fgs`` with NAME for the function's URN, and ID for a trigger's."""
    parts = path.split("/fgs/")[1].split("/")
    named = ["URN" if part.startswith("urn:fss:") else part for part in parts]
    return "/".join("ID" if n == 3 and parts[0] == "triggers" else part for n, part in enumerate(named))


def _end(command: Callable[[], int]) -> Ended:
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = finish(command, [], [])
    return Ended(code, stdout.getvalue(), stderr.getvalue())
