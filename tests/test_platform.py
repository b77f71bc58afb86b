"""The platform-like runner, and the very zip of the function run in it against the simulated cloud."""

import os
import sys
import zipfile
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from scheduler.deploy.bytecode import find_interpreter
from scheduler.deploy.package import write_package, write_zip
from scheduler.simulated import SIMULATED_AK, SimulatedCloud, serve
from scheduler.simulated.platform import Function, LogLine, Outcome, Settings, deploy
from tests.packaged import CLUSTER, SCHEDULES, TEST_RUNTIME, packaged, runtime_of


def timer_event() -> Dict[str, str]:
    return {
        "version": "v1.0",
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "trigger_type": "TIMER",
        "trigger_name": "every-5m",
        "user_event": "",
    }


@contextmanager
def deployed(folder: Path, source: str, settings: Settings = Settings()) -> Iterator[Function]:  # noqa: B008 - frozen
    """Deploy one file of source as a function."""
    file = folder / "probe.zip"
    file.write_bytes(write_zip({"index.py": source.encode(), "beside.py": b"", "index_data.txt": b"data"}))
    with deploy(file, settings) as function:
        yield function


def invoke(folder: Path, source: str, settings: Settings = Settings(), event: object = None) -> Outcome:  # noqa: B008
    with deployed(folder, source, settings) as function:
        return function.invoke(event)


PLACES = """
import os, sys
from pathlib import Path
import beside

def handler(event, context):
    return {
        "cwd": os.getcwd(), "file": __file__, "package": __package__, "path": sys.path, "environ": dict(os.environ),
        "beside": beside.__file__, "data": Path(__file__).with_name("index_data.txt").read_text(), "event": event,
    }
"""
ASKED = """
def handler(event, context):
    context.getLogger().info("one\\ntwo")
    context.getLogger().error("bad")
    print("printed")
    triple = [context.getSecurityAccessKey(), context.getSecuritySecretKey(), context.getSecurityToken()]
    return [context.getUserData("endpoint"), context.getUserData("missing"), len(context.getRequestID()), *triple]
"""


class TestTheRunner:
    def test_runs_the_code_where_and_as_the_platform_does(self, tmp_path: Path) -> None:
        (tmp_path / "bundled").mkdir()
        settings = Settings({"a": "b"}, bundled=tmp_path / "bundled", timeout_s=30, project_id="p1")
        with deployed(tmp_path, PLACES, settings) as function:
            found: Any = function.invoke({"k": 1}).result
            root = str(function.code_root)
        assert (found["cwd"], found["file"]) == (str(Path(root).parent), f"{root}/index.py")
        assert (found["package"], found["event"], found["data"]) == ("", {"k": 1}, "data")
        assert (found["path"][0], found["path"][-1]) == (root, str(tmp_path / "bundled"))
        assert found["beside"] == f"{root}/beside.py"
        assert not [path for path in found["path"] if "site-packages" in path]
        environ = found["environ"]
        assert {key: environ[f"RUNTIME_{key}"] for key in ("CODE_ROOT", "TIMEOUT", "PROJECT_ID", "USERDATA")} == {
            "CODE_ROOT": root,
            "TIMEOUT": "30",
            "PROJECT_ID": "p1",
            "USERDATA": '{"a": "b"}',
        }
        assert not [key for key in environ if key.startswith(("PYTHON", "HUAWEICLOUD", "PYTEST"))]

    def test_hands_the_function_what_the_platform_hands_it(self, tmp_path: Path) -> None:
        outcome = invoke(tmp_path, ASKED, Settings({"endpoint": "https://e"}, keys=("a", "s", "")))
        assert outcome.result == ["https://e", None, 36, "a", "s", ""]
        assert outcome.log == (LogLine("INFO", "one\ntwo"), LogLine("ERROR", "bad"))
        assert (outcome.output, outcome.exit_status, outcome.error, outcome.written) == ("printed\n", 0, None, ())

    def test_measures_the_process(self, tmp_path: Path) -> None:
        wasteful = 'def handler(event, context):\n    sum(range(5_000_000))\n    return len(b"x" * 100_000_000)\n'
        outcome = invoke(tmp_path, wasteful)
        assert outcome.peak_memory > 100_000_000
        assert outcome.cpu_s >= outcome.run_cpu_s > outcome.load_cpu_s >= 0
        assert "importlib.machinery" in outcome.modules

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            pytest.param("raise ValueError('bad')", ("ValueError", "bad"), id="raises"),
            pytest.param("import sys; sys.exit(0)", ("SystemExit", "0"), id="exits"),
            pytest.param("return {1, 2}", ("TypeError", "Object of type set is not JSON serializable"), id="not JSON"),
            pytest.param("return context.getUserData('k', 'd')", None, id="second argument"),
            pytest.param(
                "import os; os._exit(3)", ("Killed", "the process ended without an answer, status 3"), id="dies"
            ),
            pytest.param("from . import x", ("ImportError", None), id="relative import"),
        ],
    )
    def test_reports_a_failure_as_one(self, body: str, error: Any, tmp_path: Path) -> None:
        outcome = invoke(tmp_path, f"def handler(event, context):\n    {body}\n")
        assert outcome.error is not None
        assert outcome.result is None
        assert outcome.exit_status != 0
        if error is not None:
            assert outcome.error[0] == error[0]
            assert error[1] in (None, outcome.error[1])

    def test_a_result_of_none_is_none(self, tmp_path: Path) -> None:
        outcome = invoke(tmp_path, "def handler(event, context):\n    return None\n")
        assert (outcome.result, outcome.error, outcome.exit_status) == (None, None, 0)

    def test_ends_a_run_whose_time_is_up_and_keeps_its_log(self, tmp_path: Path) -> None:
        sleepy = "def handler(event, context):\n    context.getLogger().warn('here')\n    import time; time.sleep(60)\n"
        outcome = invoke(tmp_path, sleepy, Settings(timeout_s=1))
        assert outcome.error == ("Timeout", "the function did not end in its time")
        assert outcome.log == (LogLine("WARN", "here"),)

    def test_shows_what_was_written_to_the_code_or_forbids_it(self, tmp_path: Path) -> None:
        writes = "import os\ndef handler(event, context):\n    open(os.path.dirname(__file__) + '/new', 'w').close()\n"
        outcome = invoke(tmp_path, writes)
        if os.geteuid() == 0:  # may write anywhere
            assert outcome.written == (".", "new")
        else:
            assert outcome.error is not None
            assert outcome.error[0] == "PermissionError"

    def test_a_missing_handler_is_a_failure(self, tmp_path: Path) -> None:
        assert (invoke(tmp_path, "").error or ("",))[0] == "AttributeError"
        assert (invoke(tmp_path, "", Settings(handler="main.handler")).error or ("",))[0] == "FileNotFoundError"

    def test_finds_a_handler_in_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "f.zip").write_bytes(write_zip({"src/index.py": b"def handler(event, context): return __name__"}))
        with deploy(tmp_path / "f.zip", Settings(handler="src/index.handler")) as function:
            assert function.invoke(None).result == "index"

    def test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with deployed(tmp_path, ASKED) as function:
            root = function.code_root
            assert root.exists()
        assert not root.exists()


GARBAGE = """
import gc, index

def handler(event, context):
    before = gc.isenabled()
    index.handler(event, context)
    return [before, gc.isenabled()]
"""


class Scene:
    """A cluster of three nodes and an excluded server, and the user data with which a function finds it."""

    def __init__(self, cloud: SimulatedCloud, endpoint: str) -> None:
        self.cloud = cloud
        self.user_data = {"endpoint": endpoint}
        self.nodes = [cloud.add_server(f"node-{number}", cluster_id=CLUSTER) for number in range(3)]
        self.bastion = cloud.add_server("bastion-1", cluster_id=CLUSTER)

    def states(self) -> List[str]:
        """Return what the servers are a minute later."""
        self.cloud.advance_to(self.cloud.now + timedelta(minutes=1))
        return [server.status for server in (*self.nodes, self.bastion)]

    def methods(self) -> List[str]:
        """Return the methods of the requests since it was last asked."""
        methods = [record.method for record in self.cloud.ledger]
        self.cloud.clear_ledger()
        return methods


@pytest.fixture
def scene() -> Iterator[Scene]:
    cloud = SimulatedCloud(datetime.now(timezone.utc))
    with serve(cloud) as endpoint:
        yield Scene(cloud, endpoint)


@pytest.fixture
def old_packages(tmp_path: Path) -> Path:
    """Return what a runtime has bundled: older packages, which say so when they are imported."""
    folder = tmp_path / "site-packages"
    for name in ("requests", "urllib3", "yaml", "certifi", "idna", "simplejson", "huaweicloudsdkcore", "dateutil"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise ImportError('the bundled {name}')\n", encoding="utf-8")
    return folder


def interpreter_for(name: str) -> Path:
    """Return the Python that a runtime has, here; skip the test where there is none."""
    runtime = runtime_of(name)
    found = find_interpreter(runtime, os.environ)
    if found is None:
        pytest.skip(f"NOT RUN: no Python {runtime.python} is at hand")
    return found.path


class TestTheFunction:
    def test_stops_the_servers_and_the_next_run_has_nothing_to_do(
        self, scene: Scene, tmp_path: Path, old_packages: Path
    ) -> None:
        write_package(packaged(TEST_RUNTIME), tmp_path / "function.zip")
        settings = Settings(scene.user_data, interpreter_for(TEST_RUNTIME), old_packages)
        with deploy(tmp_path / "function.zip", settings) as function:
            first = function.invoke(timer_event())
            assert (scene.methods(), scene.states()) == (["GET", "POST"], ["SHUTOFF"] * 3 + ["ACTIVE"])
            second = function.invoke(timer_event())
            assert (scene.methods(), scene.states()) == (["GET"], ["SHUTOFF"] * 3 + ["ACTIVE"])
            root = function.code_root
        assert (first.error, first.output, first.written) == (None, "", ())
        assert first.result["status"] == "success"
        assert first.result["message"].startswith("started 0, stopped 3, held 1")
        assert (second.error, second.result["data"]["server_list"], second.written) == (None, [], ())
        assert [line.level for line in first.log] == ["INFO", "INFO"]
        assert not [log for log in (*first.log, *second.log) if SIMULATED_AK in log.message]
        standard = str(Path(os.__file__).parent)
        for name, file in first.modules.items():
            if file is not None and sys.version_info[:2] == (3, 11):
                assert Path(file).is_relative_to(root) or file.startswith(standard) or name == "__main__"

    def test_looks_for_garbage_again_after_a_run(self, scene: Scene, tmp_path: Path) -> None:
        write_package(packaged(TEST_RUNTIME), tmp_path / "function.zip")
        with zipfile.ZipFile(tmp_path / "function.zip", "a") as opened:
            opened.writestr("probe.py", GARBAGE)
        settings = Settings(scene.user_data, interpreter_for(TEST_RUNTIME), handler="probe.handler")
        with deploy(tmp_path / "function.zip", settings) as function:
            assert function.invoke(timer_event()).result == [False, True]

    def test_checks_a_file_that_was_edited_in_place_and_follows_it(self, scene: Scene, tmp_path: Path) -> None:
        write_package(packaged(TEST_RUNTIME), tmp_path / "function.zip")
        for node in scene.nodes:
            scene.cloud.set_status(node, "SHUTOFF")
        with deploy(tmp_path / "function.zip", Settings(scene.user_data, interpreter_for(TEST_RUNTIME))) as function:
            edit(function.code_root / "schedules.yaml", SCHEDULES.replace("stopped", "stoped"))
            spoilt = function.invoke(timer_event())
            assert scene.methods() == []
            edit(function.code_root / "schedules.yaml", SCHEDULES.replace("stopped", "running"))
            mended = function.invoke(timer_event())
        assert spoilt.error is not None
        assert spoilt.error[0] == "RunFailedError"
        assert 'did you mean "stopped"?' in spoilt.error[1]
        assert mended.error is None
        assert scene.states() == ["ACTIVE"] * 4

    @pytest.mark.parametrize("name", ["Python3.9", "Python3.10", "Python3.12"])
    def test_runs_on_every_runtime(self, name: str, scene: Scene, tmp_path: Path, old_packages: Path) -> None:
        interpreter = interpreter_for(name)
        write_package(packaged(name, one_shot=True), tmp_path / "function.zip")
        user_data = {**scene.user_data, "action": "stop", "clusterId": CLUSTER, "region": "ap-southeast-2"}
        with deploy(tmp_path / "function.zip", Settings(user_data, interpreter, old_packages)) as function:
            first, second = (function.invoke(timer_event()) for _ in range(2))
        assert (first.error, first.output, second.error, second.output) == (None, "", None, "")
        assert (len(first.result["data"]["server_list"]), second.result["data"]["server_list"]) == (4, [])
        assert (scene.methods(), scene.states()) == (["GET", "POST", "GET"], ["SHUTOFF"] * 4)


def edit(file: Path, text: str) -> None:
    """Change a file as a person does in the console, where nobody can write otherwise."""
    file.chmod(0o644)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o444)
