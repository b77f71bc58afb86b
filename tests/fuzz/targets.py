"""The readers of input from outside, and what must hold whatever they are given."""

import contextlib
import json
import re
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from hypothesis import strategies as st

from scheduler.caution import find_cautions
from scheduler.cloud.sdk import check_endpoint
from scheduler.compiled import _HEAD, _digest, compiled_name, load_compiled, read_compiled, write_compiled
from scheduler.config import Checked, find_countries, parse_checked, parse_config
from scheduler.deploy.deployed import read_deployed
from scheduler.deploy.function import find_differences, find_warnings, make_wanted
from scheduler.deploy.functiongraph import FunctionGraph
from scheduler.deploy.package import write_zip
from scheduler.errors import CloudError, ConfigError, InputError, Problem, UntrustedAnswerError
from scheduler.evaluate import desired_state
from scheduler.handler import RunFailedError, handle
from scheduler.model import CLUSTER_TAG, ControlPlane, Function, Membership, Schedules, State
from scheduler.public_holidays import parse_lock
from scheduler.reconcile import run_once
from scheduler.remote_override import LONGEST, OVERRIDE_TAG, read_override, write_override
from scheduler.report import run_json
from tests.fuzz.answers import (
    CLUSTER,
    Answers,
    Served,
    action,
    answers,
    cluster_answer,
    entries,
    function_answer,
    is_free,
    listing,
    stoppable,
)
from tests.fuzz.hunt import Check, Target
from tests.fuzz.inputs import (
    EXAMPLES,
    any_text,
    json_values,
    lock_files,
    repeat,
    schedules_files,
    spoil_bytes,
    spoil_value,
    spoiled,
)
from tests.fuzz.loopback import Request, serve_bytes
from tests.scenes import CLOCK, KEYS, TIMER, Context, connector, make_cluster, make_schedules


def no_sleep(_: float) -> None:
    """Wait for nothing."""


_SAFE_ENDPOINT = re.compile(
    r"https://[\w.-]+(:\d+)?|https://\[[\da-f:.]+\](:\d+)?|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?",
    re.ASCII | re.IGNORECASE,
)
AT = datetime(2026, 11, 24, 14, tzinfo=timezone.utc)
CLOSED = "http://127.0.0.1:1"
"""An endpoint at which nothing listens."""
LOCK = (EXAMPLES / "valid" / "holidays.json").read_bytes()
SCHEDULES = f"""\
version: 1
defaults: {{region: simulated, project_id: p}}
clusters:
  - {{name: dev, cluster_id: {CLUSTER}, state: stopped}}
  - {{name: test, cluster_id: 8b7e, windows: [{{hours: 'Mon-Fri 08:00-20:00'}}], enforce: 1h}}
""".encode()


@contextlib.contextmanager
def open_schedules() -> Iterator[Check]:
    """A file is refused by `ConfigError`, or all that a run and a command do with it works."""

    def check(content: bytes) -> None:
        with contextlib.suppress(ConfigError):
            find_countries(content, "s.yaml")
        problems: Tuple[Problem, ...] = ()
        try:
            checked: Optional[Checked] = parse_checked(content, "s.yaml", lambda: LOCK)
        except ConfigError as e:
            problems, checked = e.problems, None
        assert bool(problems) is (checked is None)
        assert all(p.line >= 1 and p.column >= 1 and str(p).isprintable() and len(str(p)) < 2000 for p in problems), (
            problems
        )
        if checked is None:
            return
        schedules = checked.schedules
        for cluster in schedules.clusters:
            desired_state(cluster, AT)
        find_cautions(checked, AT)
        made = write_compiled(schedules, [content])
        read = read_compiled(made, [content])
        assert read is not None
        assert _run_of(read) == _run_of(schedules)

    yield check


def _run_of(schedules: Schedules) -> Schedules:
    """Return what of schedules a run reads."""
    return schedules._replace(function=Function(), prices=None)


@contextlib.contextmanager
def open_lock() -> Iterator[Check]:
    """A lock file is refused by ValueError, and then the schedules that need it by `ConfigError`."""
    schedules = (EXAMPLES / "valid" / "public-holidays.yaml").read_bytes()

    def check(content: bytes) -> None:
        damage = problem = ""
        try:
            parse_lock(content)
        except ValueError as e:
            damage = str(e)
        assert damage.isprintable()
        try:
            for cluster in parse_config(schedules, "s.yaml", lambda: content).clusters:
                desired_state(cluster, AT)
        except ConfigError as e:
            problem = str(e)
        assert ("is damaged" in problem) is bool(damage)

    yield check


class Compiled(NamedTuple):
    """A compiled form beside the file that it claims to come from. A forged one has the digest of what was spoiled."""

    content: bytes
    is_forged: bool
    source: bytes


def _compiled(rng: Random) -> Compiled:
    good = write_compiled(parse_config(SCHEDULES, "s.yaml"), [SCHEDULES])
    source = SCHEDULES if rng.random() < 0.9 else b"another"
    data = json.loads(good)
    spoiled_data = repeat(rng, spoil_value, data)
    if rng.random() < 0.5 and isinstance(spoiled_data, dict):
        # What the evaluator is to know of expressions stays as it is: it would go on knowing it in other tests.
        body = json.dumps({**spoiled_data, "firings": data["firings"]}).encode()
        return Compiled(_HEAD % _digest([SCHEDULES, body]) + body[1:], is_forged=True, source=source)
    content = json.dumps(spoiled_data).encode() if rng.random() < 0.7 else good
    content = bytes(repeat(rng, spoil_bytes, content)) if rng.random() < 0.4 else content
    return Compiled(content, is_forged=False, source=source)


@contextlib.contextmanager
def open_compiled() -> Iterator[Check]:
    """A compiled form is read as what the file says, or not at all; a forged one does no harm to its reader."""
    wanted = read_compiled(write_compiled(parse_config(SCHEDULES, "s.yaml"), [SCHEDULES]), [SCHEDULES])
    assert wanted is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedules.yaml"

        def check(found: Compiled) -> None:
            path.write_bytes(found.source)
            (path.parent / compiled_name(path.name)).write_bytes(found.content)
            for read in (read_compiled(found.content, [found.source]), load_compiled(str(path))):
                assert found.is_forged or read in (None, wanted)

        yield check


class Invocation(NamedTuple):
    """What the function is called with."""

    event: Any
    user_data: Dict[str, str]
    has_file: bool


_EVENTS = st.one_of(
    st.just(TIMER),
    st.fixed_dictionaries({"trigger_type": st.just("TIMER")}, optional={"time": st.one_of(any_text, json_values())}),
    json_values(),
    st.fixed_dictionaries(
        {},
        optional={
            "action": st.one_of(st.sampled_from(["converge", "plan", "start", "stop"]), json_values()),
            "clusters": st.one_of(st.lists(st.one_of(st.sampled_from(["dev", "test"]), any_text)), json_values()),
            "dry_run": st.one_of(st.booleans(), json_values()),
            "at": st.one_of(st.just("2026-11-23T21:00:00+07:00"), json_values()),
        },
    ),
)


def _is_refused(endpoint: str) -> bool:
    try:
        check_endpoint(endpoint)
    except InputError:
        return bool(endpoint)
    return False


_USER_DATA = st.fixed_dictionaries(
    {"endpoint": st.one_of(st.just(CLOSED), st.just(CLOSED), any_text.filter(_is_refused))},
    optional={
        **dict.fromkeys(
            ("projectId", "region", "schedulesPath", "logLevel", "RUNTIME_TIMEOUT", "cceEndpoint"), any_text
        ),
        **{key: st.one_of(st.just("key"), any_text) for key in ("ak", "sk", "securityToken")},
        "dryRun": st.one_of(st.sampled_from(["true", "false"]), any_text),
        "action": st.one_of(st.sampled_from(["start", "stop"]), any_text),
        "type": st.one_of(st.sampled_from(["SOFT", "HARD"]), any_text),
        "clusterId": st.one_of(st.just(CLUSTER), any_text),
        "cluster_ids": any_text,
    },
)


@contextlib.contextmanager
def open_handler() -> Iterator[Check]:
    """An invocation returns a result that is JSON, or a timer's raises `RunFailedError`; every line is JSON too."""
    with tempfile.TemporaryDirectory() as folder:
        roots = {has_file: Path(folder) / str(has_file) for has_file in (True, False)}
        for root in roots.values():
            root.mkdir()
        (roots[True] / "schedules.yaml").write_bytes(SCHEDULES)

        def check(found: Invocation) -> None:
            context = Context(found.user_data, agency=("a", "s", None))
            environ = {"RUNTIME_CODE_ROOT": str(roots[found.has_file]), "RUNTIME_PROJECT_ID": "p"}
            is_timer = isinstance(found.event, dict) and found.event.get("trigger_type") == "TIMER"
            failure, result = "", None
            try:
                result = handle(found.event, context, now=AT, environ=environ, monotonic=time.monotonic, sleep=no_sleep)
            except RunFailedError as e:
                failure = str(e)
            assert len(failure.encode()) < 4096
            assert is_timer or not failure
            assert failure or (result and result["status"] in (("success",) if is_timer else ("success", "error")))
            json.dumps(result)
            for text in context.texts:
                json.loads(text)
                assert len(text.encode()) < 64 * 1024

        yield check


@contextlib.contextmanager
def open_api() -> Iterator[Check]:
    """A run fails by `CloudError` only, and stops only what a listing that may be believed allows to stop."""
    schedules = make_schedules(make_cluster(cluster_id=CLUSTER, state=State.STOPPED))
    with serve_bytes() as loopback:
        connect = connector(loopback.endpoint)

        def check(found: Answers) -> None:
            sent: List[Tuple[Request, List[Served]]] = []
            listed: List[Served] = []

            def respond(request: Request) -> bytes:
                rng = found.of(len(loopback.requests))
                if request.method == "POST":
                    sent.append((request, list(listed)))
                    return action(rng).raw
                listed.append(listing(rng))
                return listed[-1].raw

            loopback.answer_by(respond)
            run = run_once(schedules, AT, connect, CLOCK._replace(now=lambda: AT))
            json.dumps(run_json(run, "converge"))
            errors = [run.plan.clusters[0].error, *(outcome.error for outcome in run.outcomes)]
            assert all(error is None or isinstance(error, CloudError) for error in errors)
            for request, before in sent:
                check_action(request, before)

        yield check


def check_action(request: Request, listed: List[Served]) -> None:
    """Raise where an action has no right to have been sent, by the listings before it.

    A listing that cannot be believed may be asked for again; the last one before an action is to be believed.
    """
    believed = [stoppable(served) for served in listed]
    assert believed[-1] is not None, "an action after a listing that cannot be believed"
    ids = {server["id"] for server in json.loads(request.body)["os-stop"]["servers"]}
    assert ids, "an action without servers"
    assert ids <= {server_id for allowed in believed for server_id in allowed or ()}, "a server that must stay"


@contextlib.contextmanager
def open_clusters() -> Iterator[Check]:
    """A run that reads CCE fails by what is foreseen only, and stops or hibernates nothing that it may not believe."""
    with serve_bytes() as loopback:
        connect = connector(loopback.endpoint)

        def check(found: Answers) -> None:
            membership = Membership.NODES if found.number % 2 else Membership.TAGS
            cluster = make_cluster(cluster_id=CLUSTER, control_plane=ControlPlane.HIBERNATE, membership=membership)
            schedules = make_schedules(cluster)._replace(remote_overrides=True)
            last: Dict[str, Served] = {}
            wrong: List[str] = []

            def respond(request: Request) -> bytes:
                served = cluster_answer(found.of(len(loopback.requests)), request)
                if request.method == "POST":
                    wrong.extend(find_wrongs(request, last))
                else:
                    last[request.path.split("?")[0].rpartition("/")[2]] = served
                return served.raw

            loopback.answer_by(respond)
            run = run_once(schedules, AT, connect, CLOCK._replace(now=lambda: AT))
            json.dumps(run_json(run, "converge"))
            assert not wrong, wrong

        yield check


def find_wrongs(request: Request, last: Dict[str, Served]) -> Iterator[str]:
    """Yield why an action has no right to have been sent, by the last answer to each kind of reading before it."""
    servers = {s["id"]: s for s in entries(last.get("detail"), "servers") if isinstance(s, dict) and s.get("id")}
    nodes = [_at(item, "status", "serverId") for item in entries(last.get("nodes"), "items")]
    found = [c for c in entries(last.get("clusters"), "items") if _at(c, "metadata", "uid") == CLUSTER]
    tags = _at(found[-1], "spec", "clusterTags") if found else None
    asked_up = ("running", "running@2026-11-24T15:00:00Z")
    is_up = any(_may_override(_at(tag, "key")) and _at(tag, "value") in asked_up for tag in tags or ())
    if request.path.endswith("/action"):
        body = json.loads(request.body)
        if "os-stop" not in body:
            return
        for server_id in (entry["id"] for entry in body["os-stop"]["servers"]):
            is_member = f"{CLUSTER_TAG}={CLUSTER}" in (servers.get(server_id, {}).get("tags") or ())
            if server_id not in servers or not is_free(servers[server_id]) or not (is_member or server_id in nodes):
                yield f"a stop of {server_id}"
    elif not request.path.endswith("/hibernate"):
        return
    elif not nodes or any(_at(servers.get(str(n), {}), "status") != "SHUTOFF" for n in nodes):
        yield "a hibernation with a server that is not known to be off"
    elif _at(found[-1], "status", "phase") != "Available" or _at(found[-1], "spec", "billingMode") in (None, 1):
        yield "a hibernation of a cluster that cannot hibernate"
    if not found or is_up:
        yield f"{request.path} although the overrides ask to keep it up, or are not known"


def _may_override(key: object) -> bool:
    """Whether a tag is the override's, or one of which that cannot be told."""
    return key == OVERRIDE_TAG or not isinstance(key, str)


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


@contextlib.contextmanager
def open_override() -> Iterator[Check]:
    """The text of an override tag is a state and an instant within a week, or refused by `InputError`."""

    def check(text: str) -> None:
        with contextlib.suppress(InputError):
            override = read_override({OVERRIDE_TAG: text}, AT)
            assert override is not None
            assert override.end - AT <= LONGEST
            assert read_override({OVERRIDE_TAG: write_override(override.state, override.end)}, AT) is not None

    yield check


_overrides = st.one_of(
    any_text,
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(
                [
                    "running",
                    "STOPPED",
                    "unmanaged",
                    "@",
                    " ",
                    "2026-11-24",
                    "T",
                    "15:00:00",
                    "Z",
                    "+07:00",
                    "9999-12-31",
                ]
            ),
            max_size=7,
        ),
    ),
)


@contextlib.contextmanager
def open_functiongraph() -> Iterator[Check]:
    """Whatever FunctionGraph answers, what ``deploy`` and ``status`` make of it fails by `CloudError` only."""
    wanted = make_wanted(Function(region="simulated", project_id="p", agency="agency"), "ab" * 64)
    with (
        serve_bytes() as loopback,
        contextlib.closing(FunctionGraph(KEYS, "simulated", "p", endpoint=loopback.endpoint)) as cloud,
    ):

        def check(found: Answers) -> None:
            loopback.answer_by(lambda request: function_answer(found.of(len(loopback.requests)), request).raw)
            urn = "urn:fss:simulated:p:function:default:cce-scheduler:latest"
            for call in (
                lambda: _look(cloud.find("cce-scheduler"), wanted),
                lambda: cloud.invoke(urn, {"action": "plan"}),
                lambda: cloud.read_code(urn),
                lambda: cloud.list_executions(urn, AT),
                lambda: cloud.count_executions(urn, 15),
                lambda: cloud.create(wanted, b"zip"),
                lambda: cloud.update_settings(urn, wanted),
                lambda: cloud.update_asynchronous(urn, retries=0, age_s=300),
                lambda: cloud.create_timer(urn, "cce-scheduler", "0 0/5 * * * *"),
            ):
                with contextlib.suppress(CloudError):
                    call()

        yield check


def _look(found: Any, wanted: Any) -> None:
    find_differences(found, wanted)
    list(find_warnings(found))


def _archive(rng: Random) -> bytes:
    files = {"schedules.yaml": SCHEDULES, "index.py": b"", "holidays.json": LOCK}
    good = write_zip({path: content for path, content in files.items() if rng.random() < 0.9})
    return bytes(repeat(rng, spoil_bytes, good, 6))


@contextlib.contextmanager
def open_archive() -> Iterator[Check]:
    """A deployed zip is read, or refused by `UntrustedAnswerError`."""

    def check(content: bytes) -> None:
        with contextlib.suppress(UntrustedAnswerError):
            read_deployed(content)

    yield check


@contextlib.contextmanager
def open_endpoint() -> Iterator[Check]:
    """An endpoint is taken, encrypted or on this machine, or refused by `InputError`."""

    def check(text: str) -> None:
        with contextlib.suppress(InputError):
            endpoint = check_endpoint(text)
            assert _SAFE_ENDPOINT.fullmatch(endpoint), endpoint
            assert check_endpoint(endpoint) == endpoint

    yield check


_endpoints = st.one_of(
    any_text,
    st.builds(
        "".join,
        st.lists(
            st.sampled_from(
                [
                    "http://",
                    "https://",
                    "127.0.0.1",
                    "localhost",
                    "[::1]",
                    ":",
                    "@",
                    "/",
                    "#",
                    "?",
                    ".evil.example",
                    "\\",
                    "%2f",
                    "443",
                    "\t",
                ]
            ),
            max_size=6,
        ),
    ),
)

TARGETS: Tuple[Target, ...] = (
    Target("schedules", schedules_files, open_schedules, 40),
    Target("lock", lock_files, open_lock, 15),
    Target("compiled", spoiled(_compiled), open_compiled, 15),
    Target("handler", st.builds(Invocation, _EVENTS, _USER_DATA, st.booleans()), open_handler, 25),
    Target("api", answers, open_api, 25),
    Target("clusters", answers, open_clusters, 25),
    Target("override", _overrides, open_override, 5),
    Target("functiongraph", answers, open_functiongraph, 5),
    Target("archive", spoiled(_archive), open_archive, 10),
    Target("endpoint", _endpoints, open_endpoint, 10),
)
