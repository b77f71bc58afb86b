"""Answers of the cloud's APIs, spoiled in their body, status or headers; and what of a listing may be believed."""

import json
from http import HTTPStatus
from random import Random
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from hypothesis.strategies import SearchStrategy

from scheduler.model import CLUSTER_TAG
from tests.fuzz.inputs import HOSTILE_TEXTS, repeat, spoil_bytes, spoil_value, spoiled
from tests.fuzz.loopback import Request

CLUSTER = "3f1c9d2e-0a4b-11ef-9d2a-0255ac10023b"
_STATUSES = (
    100,
    101,
    199,
    200,
    201,
    202,
    204,
    206,
    301,
    302,
    304,
    400,
    401,
    403,
    404,
    407,
    409,
    413,
    429,
    500,
    501,
    503,
    599,
    999,
)
_HEADERS = (
    *(
        "Content-Type: text/html",
        "Content-Type: application/xml",
        "Content-Type: application/bson",
        "Content-Type: \x00",
    ),
    *("Content-Type: application/json; charset=utf-16", "Content-Type: application/octet-stream", "Content-Type:"),
    *("Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br", "Content-Encoding: nonsense"),
    *("Content-Length: 3", "Content-Length: 99999", "Content-Length: -1", "Content-Length: x", "Content-Length: 0"),
    *(
        "Transfer-Encoding: chunked",
        "Retry-After: 56.818",
        "Retry-After: soon",
        "X-Request-Id: \x1b[2J",
        "Connection: close",
    ),
    *(
        "Location: http://127.0.0.1:1/",
        "Set-Cookie: a=b",
        "X: " + "x" * 70_000,
        "no colon here",
        ": empty",
        "\u00e9: \u00ff",
    ),
)
_ERRORS: Tuple[Any, ...] = (
    {"error_msg": "The throttling threshold has been reached", "error_code": "APIGW.0308", "request_id": "r"},
    {"error": {"code": "Ecs.0614", "message": "no such server", "details": []}},
    {"conflictingRequest": {"message": "Cannot stop", "code": 409}},
    {"errorCode": "CCE.01404001", "errorMessage": "no"},
    {"error": "text"},
    {"error": None, "error_code": 7, "error_msg": ["x"]},
    ["error"],
)


class Answers(NamedTuple):
    """How one run is answered: a source of chance, known by its number."""

    number: int

    def of(self, request_number: int) -> Random:
        """Return the chance by which a request is answered: the same, whatever came before."""
        return Random(f"{self.number}/{request_number}")  # noqa: S311 - no secret


answers: SearchStrategy[Answers] = spoiled(lambda rng: Answers(rng.getrandbits(64)))


class Served(NamedTuple):
    """What was sent back: the body as it was made, and whether a client may take it for a good answer."""

    raw: bytes
    body: bytes
    status: int
    has_odd_headers: bool


def answer(rng: Random, good: Any, *, spoil_share: float = 0.75) -> Served:
    """Return an answer that is good in most of its parts, or in all of them."""
    status, headers = 200, ["Content-Type: application/json"]
    value = good
    if rng.random() < spoil_share:
        if rng.random() < 0.6:
            value = repeat(rng, spoil_value, value)
        if rng.random() < 0.25:
            status = rng.choice(_STATUSES)
            value = rng.choice((value, *_ERRORS, spoil_value(rng, rng.choice(_ERRORS))))
        if rng.random() < 0.2:
            headers = [rng.choice(_HEADERS) for _ in range(rng.randrange(3))]
    body = json.dumps(value).encode()
    if rng.random() < 0.15 * spoil_share:
        body = rng.choice((b"", b"<html>", b"\x1f\x8b", bytes(repeat(rng, spoil_bytes, body)), b"[" * 100_000))
    has_odd_headers = headers != ["Content-Type: application/json"]
    if not any(h.startswith("Content-Length") for h in headers):
        headers.append(f"Content-Length: {len(body)}")
    head = f"HTTP/1.1 {status} {rng.choice(('OK', '', HOSTILE_TEXTS[3]))}\r\n" + "\r\n".join(headers) + "\r\n\r\n"
    return Served(head.encode("utf-8", "replace") + body, body, status, has_odd_headers)


def make_server(number: int, **changes: Any) -> Dict[str, Any]:
    """Return a running server of the cluster, as the ECS API lists it."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "name": f"node-{number}",
        "status": "ACTIVE",
        "created": "2026-11-01T00:00:00Z",
        "updated": "2026-11-01T00:00:00Z",
        "tags": [f"{CLUSTER_TAG}={CLUSTER}", "owner=platform"],
        "metadata": {"charging_mode": "0", "EcmResStatus": "normal"},
        "locked": False,
        "flavor": {"id": "s6.large.2", "name": "s6.large.2", "vcpus": "2", "ram": "4096"},
        "fault": {"message": "none", "code": 0},
        "addresses": {"vpc": [{"addr": "192.168.0.1", "version": "4", "OS-EXT-IPS:type": "fixed"}]},
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        "OS-EXT-SRV-ATTR:user_data": "IyEvYmluL2Jhc2g=",
        "enterprise_project_id": "0",
        **changes,
    }


def _listing(rng: Random) -> Dict[str, Any]:
    other = {"tags": [f"{CLUSTER_TAG}=8b7e21aa-5c1d-11ef-8f3e-0255ac100b0c"]}
    kinds: Tuple[Mapping[str, Any], ...] = ({}, {}, {}, other, {"status": "SHUTOFF"}, {"locked": True}, {"tags": []})
    servers = [make_server(number, **rng.choice(kinds)) for number in range(rng.randrange(4))]
    return {"count": len(servers), "servers": servers, "request_id": "r"}


def listing(rng: Random) -> Served:
    """Return an answer to a listing of servers."""
    return answer(rng, _listing(rng))


def action(rng: Random) -> Served:
    """Return an answer to a start or a stop."""
    return answer(rng, {"job_id": "ff80808288d41e1b018990260955686a"})


def stoppable(served: Served) -> Optional[List[str]]:
    """Return the ids that a listing allows to stop, as a reader without our program would; None: believe nothing."""
    try:
        data = json.loads(served.body.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    servers = data.get("servers") if isinstance(data, dict) else None
    if served.status != HTTPStatus.OK or not isinstance(servers, list):
        return None
    if not all(isinstance(entry, dict) and entry.get("id") for entry in servers):
        return None
    return [str(entry["id"]) for entry in servers if _may_stop(entry)]


def _may_stop(entry: Mapping[str, Any]) -> bool:
    tags = entry.get("tags")
    return isinstance(tags, list) and f"{CLUSTER_TAG}={CLUSTER}" in tags and is_free(entry)


def is_free(entry: Mapping[str, Any]) -> bool:
    """Whether nothing but its membership keeps a server from a stop."""
    metadata = entry.get("metadata")
    saves = isinstance(metadata, dict) and str(metadata.get("charging_mode")) in ("0", "2")
    return not entry.get("locked") and saves and entry.get("status") == "ACTIVE"


def entries(served: Optional[Served], key: str) -> List[Any]:
    """Return the entries under a key of a good answer, none of one that a client may not believe."""
    try:
        data = json.loads(served.body.decode(errors="replace")) if served and served.status == HTTPStatus.OK else None
    except (ValueError, RecursionError):
        return []
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def _cce_clusters(rng: Random) -> Dict[str, Any]:
    phase = rng.choice(("Available", "Available", "Available", "Hibernation", "Awaking", "Surprise"))
    spec: Dict[str, Any] = {"billingMode": rng.choice((0, 0, 0, 1))}
    override = rng.choice((None, None, "stopped@2026-11-24T15:00:00Z", "running@2026-11-24T15:00:00Z", "running"))
    if override:
        spec["clusterTags"] = [{"key": "cce-scheduler-override", "value": override}]
    item = {"kind": "Cluster", "metadata": {"uid": CLUSTER, "name": "dev"}, "spec": spec, "status": {"phase": phase}}
    return {"kind": "Cluster", "apiVersion": "v3", "items": [item]}


def _cce_nodes(rng: Random) -> Dict[str, Any]:
    items = [
        {
            "kind": "Node",
            "metadata": {"uid": f"node-{n}", "name": f"node-{n}", "annotations": {"kubernetes.io/node-pool.id": "p"}},
            "status": {"phase": "Active", "serverId": make_server(n)["id"]},
        }
        for n in range(rng.randrange(4))
    ]
    return {"kind": "List", "apiVersion": "v3", "items": items}


def cluster_answer(rng: Random, request: Request) -> Served:
    """Return an answer to a call of a run that also reads and moves the control plane."""
    if request.path.split("?")[0].endswith("/clusters"):
        return answer(rng, _cce_clusters(rng), spoil_share=0.4)
    if "/nodes" in request.path:
        return answer(rng, _cce_nodes(rng), spoil_share=0.4)
    if request.method == "POST":
        return action(rng)
    chosen: Dict[str, Any] = rng.choice(({}, {"status": "SHUTOFF"}, {"status": "SHUTOFF"}, {"tags": []}))
    servers = [make_server(number, **(chosen if rng.random() < 0.8 else {})) for number in range(rng.randrange(4))]
    return answer(rng, {"count": len(servers), "servers": servers}, spoil_share=0.3)


_URN = "urn:fss:ap-southeast-2:0123456789abcdef0123456789abcdef:function:default:cce-scheduler:latest"
_FUNCTION = {
    "func_urn": _URN,
    "func_name": "cce-scheduler",
    "description": "Made by cce-scheduler",
    "runtime": "Python3.10",
    "handler": "index.handler",
    "memory_size": 256,
    "timeout": 60,
    "xrole": "agency",
    "user_data": '{"region": "ap-southeast-2"}',
    "digest": "ab" * 64,
    "last_modified": "2026-11-01T00:00:00Z",
    "strategy_config": {"concurrency": 1, "concurrent_num": 1},
    "func_vpc": {"vpc_id": "v", "subnet_id": "s"},
}
_TRIGGER = {
    "trigger_id": "t",
    "trigger_type_code": "TIMER",
    "trigger_status": "ACTIVE",
    "event_data": {"name": "cce-scheduler", "schedule_type": "Cron", "schedule": "0 0/5 * * * *"},
    "created_time": "2026-11-01T00:00:00+00:00",
}
_INVOCATION = {"request_id": "r", "status": "SUCCESS", "error_message": "", "start_time": "2026-11-01T00:00:00Z"}
_FUNCTION_ANSWERS: Tuple[Tuple[str, Any], ...] = (
    ("/async-invoke-config", {"max_async_retry_attempts": 0, "max_async_event_age_in_seconds": 300}),
    ("/async-invocations", {"invocations": [_INVOCATION], "count": 1}),
    ("/invocations", {"status": 200, "result": '{"status": "success", "message": "x", "data": {}}', "log": "l"}),
    ("/statistics", {"count": [{"timestamp": 1, "value": 3.0}], "duration": []}),
    ("/code", {"func_code": {"file": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==", "link": ""}}),
    ("/config", _FUNCTION),
    ("/triggers/", [_TRIGGER]),
    ("/functions", _FUNCTION),
)


def function_answer(rng: Random, request: Request) -> Served:
    """Return an answer of FunctionGraph to a request."""
    good: Any = next((good for part, good in _FUNCTION_ANSWERS if part in request.path), {})
    return answer(rng, good, spoil_share=0.5)
