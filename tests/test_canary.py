"""Planted secrets, and a search for them in everything that is written, logged, raised, shown or packed.

The keys of a function and of a person, a security token, user data of the function that is not ours, the user data of
servers, and an API that quotes the keys it was sent: each path is walked once with all of them planted.
"""

import base64
import contextlib
import io
import json
import logging
import os
import traceback
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import pytest

from scheduler.cli.access import find_credentials
from scheduler.cli.deployment import Surroundings
from scheduler.cloud.huawei import HuaweiCloud
from scheduler.deploy.function import Found
from scheduler.deploy.functiongraph import FunctionGraph
from scheduler.errors import CloudError, InputError, PermanentCloudError
from scheduler.handler import RunFailedError, handle
from scheduler.model import CLUSTER_TAG, StopType
from scheduler.settings import Credentials, read_settings
from scheduler.simulated import SimulatedCloud, serve
from scheduler.simulated.calls import Call, Fault, answering, failing, html, reset, truncated
from tests.cli_runner import isolate, run
from tests.deployed import DEV, NOW, PROJECT, REGION, Scene, write_file
from tests.packaged import TEST_RUNTIME
from tests.scenes import TIMER, Context

MARK = "pLaNtEd"
AK, SK, TOKEN = f"{MARK}-access-key", f"{MARK}-secret-key", f"{MARK}-security-token"
SECRETS = (AK, SK, TOKEN)
OTHERS = {"password": f"{MARK}-password", "database_url": f"postgres://{MARK}@db"}
SERVER_USER_DATA = base64.b64encode(b"#!/bin/bash\n").decode()
"""What the simulated cloud shows as the user data of every server."""
TRACES = (
    MARK.lower(),
    SERVER_USER_DATA.lower(),
    *(base64.b64encode(s.encode()).decode()[:16].lower() for s in SECRETS),
)

QUOTED = f"key {AK} with {SK} and token {TOKEN} is not known"
FAULTS: Mapping[str, Optional[Fault]] = {
    "none": None,
    "401": failing(401, "APIGW.0301", QUOTED),
    "403": failing(403, "Ecs.0003", QUOTED),
    "404": answering(404, json.dumps({"error": {"code": "Ecs.0114", "message": QUOTED}})),
    "400 nested": answering(400, json.dumps({"error": {"code": "Ecs.0100", "message": json.dumps({"m": QUOTED})}})),
    "409": answering(409, json.dumps({"conflictingRequest": {"code": 409, "message": QUOTED}})),
    "429": failing(429, "APIGW.0308", QUOTED),
    "500": failing(500, "Ecs.0000", QUOTED),
    "page": answering(502, f"<html>{QUOTED}</html>"),
    "page with 200": html(),
    "no servers": answering(200, json.dumps({"message": QUOTED})),
    "reset": reset(),
    "cut off": truncated(),
}
EVERY_FAULT = [pytest.param(fault, id=name) for name, fault in FAULTS.items()]

FILE = write_file(
    f"  - {{name: dev, cluster_id: {DEV}, state: stopped}}\n"
    "  - {name: demo, cluster_id: 1b0f3c2d-93aa-11ef-8d7c-0255ac10a001, state: running}\n"
)
BROKEN_FILE = FILE.replace("state: stopped", "state: off")


def check_clean(*texts: object) -> None:
    """Raise where any text holds a secret, as it is or as base64."""
    for text in texts:
        found = [trace for trace in TRACES if trace in str(text).lower()]
        assert not found, f"{found} in {str(text)[:2000]}"


def all_of(error: BaseException) -> str:
    """Return everything that an exception can be made to say, chained ones and all."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return f"{error} {error!r} {vars(error)} {''.join(lines)}"


@pytest.fixture
def cloud() -> SimulatedCloud:
    cloud = SimulatedCloud(NOW)
    cloud.add_credentials(AK, SK, security_token=TOKEN)
    for cluster_id in (DEV, "1b0f3c2d-93aa-11ef-8d7c-0255ac10a001"):
        for status in ("ACTIVE", "SHUTOFF", "ERROR"):
            server = cloud.add_server(project_id=PROJECT, cluster_id=cluster_id, status=status)
            server.fault = {"message": QUOTED, "code": 500}
            assert SERVER_USER_DATA in server.text()
    return cloud


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


@pytest.fixture(autouse=True)
def _planted_with_the_person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PROJECT_ID", "CREDENTIALS_FILE"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
    for name, value in zip(("AK", "SK", "SECURITY_TOKEN"), SECRETS):
        monkeypatch.setenv(f"HUAWEICLOUD_SDK_{name}", value)


@pytest.fixture(autouse=True)
def _logs_are_clean(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Search what anybody logs, the SDK and its libraries too, at every level."""
    caplog.set_level(logging.DEBUG)
    yield
    check_clean(caplog.text, *(vars(record) for record in caplog.records))


class Agency(Context):
    """What the platform hands over, keys as attributes included."""

    def getAccessKey(self) -> str:  # noqa: N802 - the platform's name
        return AK

    def getToken(self) -> str:  # noqa: N802 - the platform's name
        return TOKEN


Invoke = Callable[..., None]


@pytest.fixture(params=["agency", "settings"])
def invoke(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> Invoke:
    """Return how to call the function, which then searches everything that came of it."""

    def call(event: object, file: Optional[str] = FILE, **user_data: str) -> None:
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        if file is not None:
            (code / "schedules.yaml").write_text(file, encoding="utf-8")
        given = {"region": REGION, "projectId": PROJECT, "endpoint": endpoint, **OTHERS}
        has_agency = request.param == "agency"
        keys = (
            {"ak": f"{MARK}-other", "sk": f"{MARK}-other"}
            if has_agency
            else {"ak": AK, "sk": SK, "securityToken": TOKEN}
        )
        context = Agency({**given, **keys, **user_data}, agency=SECRETS if has_agency else (None, None, None))
        environ = {"RUNTIME_CODE_ROOT": str(code), "RUNTIME_USERDATA": json.dumps(keys), "ak": AK, "sk": SK}
        said: List[object] = []
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                outside: Dict[str, Any] = {"monotonic": lambda: 0.0, "sleep": lambda _: None}
                said.append(json.dumps(handle(event, context, now=NOW, environ=environ, **outside)))
            except RunFailedError as e:
                said.append(all_of(e))
        assert said[0]
        check_clean(*said, *context.texts, printed.getvalue())

    return call


class TestTheFunction:
    @pytest.mark.parametrize("fault", EVERY_FAULT)
    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("event", [TIMER, {"action": "stop", "clusters": ["dev"]}], ids=["timer", "by hand"])
    def test_tells_nobody_whatever_the_cloud_answers(
        self, invoke: Invoke, cloud: SimulatedCloud, fault: Optional[Fault], method: str, event: Dict[str, Any]
    ) -> None:
        cloud.faults = lambda call: fault if call.method == method else None
        invoke(event, logLevel="DEBUG")

    @pytest.mark.parametrize("fault", EVERY_FAULT)
    def test_tells_nobody_in_one_shot(self, invoke: Invoke, cloud: SimulatedCloud, fault: Optional[Fault]) -> None:
        cloud.faults = lambda _: fault
        for event in (TIMER, {}):
            invoke(event, None, action="stop", clusterId=DEV)

    @pytest.mark.parametrize(
        ("event", "file", "user_data"),
        [
            pytest.param(TIMER, BROKEN_FILE, {}, id="a broken file"),
            pytest.param(TIMER, None, {}, id="no file"),
            pytest.param({"action": "explode"}, FILE, {}, id="an unknown action"),
            pytest.param(TIMER, FILE, {"logLevel": "LOUD"}, id="a wrong setting"),
            pytest.param(TIMER, FILE, {"endpoint": "http://example.com"}, id="a plain endpoint"),
            pytest.param(TIMER, FILE, {"endpoint": "https://127.0.0.1:1"}, id="nobody there"),
            pytest.param(TIMER, FILE, {"action": "stop"}, id="a contradiction"),
            pytest.param(TIMER, FILE, {"RUNTIME_TIMEOUT": "3"}, id="a short timeout"),
        ],
    )
    def test_tells_nobody_where_it_cannot_begin(
        self, invoke: Invoke, event: object, file: Optional[str], user_data: Dict[str, str]
    ) -> None:
        invoke(event, file, **user_data)

    def test_tells_nobody_that_a_key_is_wrong(self, invoke: Invoke, cloud: SimulatedCloud) -> None:
        cloud.add_credentials(AK, "another", security_token=TOKEN)
        cloud.add_credentials("somebody-else", SK)
        invoke(TIMER)


COMMANDS: Tuple[Tuple[str, ...], ...] = (
    ("validate",),
    ("validate", "--json"),
    ("evaluate",),
    ("calendar",),
    ("plan", "-v"),
    ("plan", "--json"),
    ("apply",),
    ("doctor",),
    ("doctor", "--json"),
)
CLOUDLESS = ("validate", "evaluate", "calendar")


@pytest.fixture
def scene(cloud: SimulatedCloud, endpoint: str, tmp_path: Path) -> Scene:
    scene = Scene(cloud, endpoint, tmp_path)
    scene.file.write_text(FILE, encoding="utf-8")
    scene.environ = dict(os.environ)
    for server in cloud.servers:
        cluster_id = dict(tag.split("=", 1) for tag in server.tags)[CLUSTER_TAG]
        cloud.clusters.add_node(cloud.clusters.find(PROJECT, cluster_id), server.name, server=server)
    cloud.functions.runner = lambda *_: {"status": "success", "message": "planned", "data": {"clusters": []}}
    return scene


class TestTheCommandLine:
    """Every command, with the keys in the environment or in the profile file."""

    @pytest.mark.parametrize("kept", ["environment", "profile"])
    @pytest.mark.parametrize("fault", EVERY_FAULT)
    def test_tells_nobody_whatever_the_cloud_answers(
        self, scene: Scene, fault: Optional[Fault], kept: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        keep_keys(kept, monkeypatch, tmp_path)
        self._walk(scene, lambda _: fault)

    @pytest.mark.parametrize("fault", EVERY_FAULT)
    def test_tells_nobody_where_a_change_fails(self, scene: Scene, fault: Optional[Fault]) -> None:
        self._walk(scene, lambda call: fault if call.method != "GET" else None)

    def test_tells_nobody_of_a_function_with_keys_of_others(self, scene: Scene) -> None:
        assert scene.deploy().code == 0
        scene.function.settings["user_data"] = json.dumps({**OTHERS, "ak": AK, "region": "other"})
        scene.function.settings["encrypted_user_data"] = json.dumps(OTHERS)
        for adopt in (False, True):
            for ended in (scene.status(), scene.status(as_json=True), scene.deploy(dry_run=True, adopt=adopt)):
                assert "settings.password" in ended.stdout
                check_clean(ended)

    def test_tells_nobody_of_a_broken_file_or_profile(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        scene.file.write_text(BROKEN_FILE, encoding="utf-8")
        self._walk(scene, lambda _: None)
        scene.file.write_text(FILE, encoding="utf-8")
        for text in (f"{AK}\n{SK}", f"[basic]\nak = {AK}\nsk {SK}", f"[basic]\nak = {AK}", f"[other]\nsk = {SK}"):
            keep_keys("profile", monkeypatch, tmp_path, text)
            self._walk(scene, lambda _: None)
            with pytest.raises(InputError) as raised:
                find_credentials(os.environ)
            check_clean(all_of(raised.value))

    def _walk(self, scene: Scene, faults: Callable[[Call], Optional[Fault]]) -> None:
        scene.environ = dict(os.environ)
        scene.cloud.faults = faults
        only_cce = ["--cce-endpoint", scene.endpoint]
        for command in COMMANDS:
            where = [] if command[0] in CLOUDLESS else ["--endpoint", scene.endpoint, *only_cce]
            check_clean(run(*command, "--file", str(scene.file), *where))
        check_clean(run("override", "--list", "--file", str(scene.file), *only_cce))
        written = ("--file", str(scene.file.with_name("new.yaml")), "--force")
        check_clean(run("init", "--region", REGION, "--project-id", PROJECT, *written, *only_cce))
        for ended in (
            scene.deploy(dry_run=True),
            scene.deploy(yes=True),
            scene.deploy(yes=True),
            scene.status(),
            scene.status(as_json=True),
            scene.undeploy(yes=True),
        ):
            check_clean(ended)


def keep_keys(kept: str, monkeypatch: pytest.MonkeyPatch, home: Path, text: Optional[str] = None) -> None:
    """Put the person's keys where they are to be found."""
    if kept == "profile":
        for name in ("AK", "SK", "SECURITY_TOKEN"):
            monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
        profile = home / ".huaweicloud" / "credentials"
        profile.parent.mkdir(exist_ok=True)
        profile.write_text(text or f"[basic]\nak = {AK}\nsk = {SK}\nsecurity_token = {TOKEN}\n", encoding="utf-8")


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_failures_tell_nobody_not_even_by_what_they_are_chained_to(
    cloud: SimulatedCloud, endpoint: str, fault: Optional[Fault]
) -> None:
    cloud.faults = lambda _: fault
    keys = Credentials(*SECRETS)
    servers = HuaweiCloud(keys, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: 60.0)
    functions = FunctionGraph(keys, REGION, PROJECT, endpoint=endpoint)
    calls: List[Callable[[], object]] = [
        servers.list_page,
        lambda: servers.stop([], StopType.HARD),
        lambda: functions.find("cce-scheduler"),
        lambda: functions.create_timer("urn", "name", "0 0/5 * * * *"),
    ]
    with contextlib.closing(servers), contextlib.closing(functions):
        for call in calls:
            try:
                call()
            except CloudError as e:
                check_clean(all_of(e))


def test_objects_do_not_show_what_they_hold(endpoint: str, scene: Scene) -> None:
    keys = Credentials(*SECRETS)
    settings = read_settings({"ak": AK, "sk": SK, "securityToken": TOKEN, **OTHERS}.get)
    servers = HuaweiCloud(keys, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: 60.0)
    functions = FunctionGraph(keys, REGION, PROJECT, endpoint=endpoint)
    outside = Surroundings(scene.person, scene.build, NOW, os.environ)
    found = Found("urn", "", "", "", 0, 0, "", {"ak": AK}, "", None, None, None, ())
    with contextlib.closing(servers), contextlib.closing(functions):
        shown = [keys, settings, servers, functions, outside, found, find_credentials(os.environ), servers.list_page()]
        check_clean(*(form(value) for value in shown for form in (str, repr)))


def test_the_zip_holds_none(scene: Scene, tmp_path: Path) -> None:
    output = tmp_path / "function.zip"
    where = ("--file", str(scene.file), "--output", str(output))
    ended = run("package", *where, "--runtime", TEST_RUNTIME, "--for-tests", "--json")
    assert ended.code == 0
    check_clean(ended, output.read_bytes())
    with zipfile.ZipFile(output) as opened:
        for name in opened.namelist():
            assert MARK.encode().lower() not in opened.read(name).lower(), name


def test_the_search_finds_what_it_looks_for() -> None:
    for secret in SECRETS:
        for text in (secret, secret.upper(), base64.b64encode(secret.encode()).decode(), PermanentCloudError(secret)):
            with pytest.raises(AssertionError):
                check_clean(text)
