"""The ECS calls: what their parameters mean, and how their answers and refusals look.

Each function takes the cloud and one call and returns an answer or raises `ApiError`.
https://support.huaweicloud.com/intl/en-us/api-ecs/ecs_02_0101.html lists the API.
"""

import json
import re
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from scheduler.model import Power
from scheduler.simulated.calls import Answer, ApiError, Call, job_error, service_error
from scheduler.simulated.cloud import SimulatedCloud
from scheduler.simulated.servers import SimulatedServer, missing_entry

DEFAULT_LIMIT = 25
MAX_LIMIT = 1000
MAX_BATCH = 1000

# A status filter finds what is on its way from or to that status as well.
_WIDENED_STATUS = {
    "ACTIVE": {"ACTIVE", "REBOOT", "HARD_REBOOT", "REBUILD", "MIGRATING", "RESIZE"},
    "SHUTOFF": {"SHUTOFF", "RESIZE", "REBUILD"},
    "ERROR": {"ERROR", "REBUILD"},
    "VERIFY_RESIZE": {"VERIFY_RESIZE", "REVERT_RESIZE"},
}
_POWERS = {"SOFT": Power.STOP_SOFT, "HARD": Power.STOP_HARD}
_RIGHTS = {Power.START: "start", Power.STOP_SOFT: "stop", Power.STOP_HARD: "stop"}

_Matches = Callable[[SimulatedServer], bool]


def list_servers(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET /v1/{project_id}/cloudservers/detail``: one page, the newest server first."""
    project_id = call.arguments["project_id"]
    _authorize(cloud, call, "list")
    if call.query.get("server_id"):
        return _listing(_entries_of(cloud, project_id, call.query["server_id"].split(",")))
    tests = _tests(cloud, call.query)
    found = [s for s in cloud.servers_of(project_id) if all(test(s) for test in tests)]
    page = _page(cloud, call.query, found)
    return _listing([server.text() for server in page], count=len(found))


def act(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST /v1/{project_id}/cloudservers/action``: start or stop a batch."""
    power, server_ids = asked(call)
    _authorize(cloud, call, _RIGHTS[power])
    if not server_ids:
        raise _bad_request("servers is empty")
    if len(server_ids) > MAX_BATCH:
        raise service_error(400, "Ecs.0118", f"The number of servers in a batch exceeds {MAX_BATCH}.")
    job = cloud.act(call.arguments["project_id"], power, server_ids)
    return Answer(200, json.dumps({"job_id": job.job_id}))


def show_job(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET /v1/{project_id}/jobs/{job_id}``. The permission tables name no right for it: none is asked."""
    _authorize(cloud, call)
    job = cloud.job(call.arguments["project_id"], call.arguments["job_id"])
    if job is None:
        raise job_error(400, "Common.0011", "The job ID is invalid.")
    return Answer(200, json.dumps(job.as_json()))


def asked(call: Call) -> Tuple[Power, Sequence[str]]:
    """Return what an action call asks for, and of which servers; raise `ApiError` if its body is no such thing."""
    body = call.body if isinstance(call.body, dict) else {}
    action = next(iter(body.values()), None) if len(body) == 1 else None
    servers = action.get("servers") if isinstance(action, dict) else None
    ids = [s.get("id") if isinstance(s, dict) else None for s in servers] if isinstance(servers, list) else [None]
    if any(not isinstance(server_id, str) for server_id in ids) or not isinstance(action, dict):
        raise _bad_request("the body is not an action on servers")
    return _power_of(next(iter(body)), action), [str(server_id) for server_id in ids]


def _power_of(name: str, action: Mapping[str, object]) -> Power:
    if name == "os-start":
        return Power.START
    stop_type = action.get("type", "SOFT")
    if name != "os-stop" or stop_type not in _POWERS:
        raise _bad_request(f"unknown action {name} of type {stop_type}")
    return _POWERS[str(stop_type)]


def _authorize(cloud: SimulatedCloud, call: Call, right: Optional[str] = None) -> None:
    project_id = call.arguments["project_id"]
    if not re.fullmatch(r"[\w-]+", project_id) or not cloud.is_allowed(call.access_key, project_id):
        raise service_error(403, "Ecs.0003", "You do not have permission to perform this operation.")
    if not cloud.is_allowed(call.access_key, project_id, right):
        message = f"Policy doesn't allow ecs:cloudServers:{right} to be performed."
        raise service_error(403, "EPS.0003", message)


def _entries_of(cloud: SimulatedCloud, project_id: str, server_ids: Sequence[str]) -> List[str]:
    known: Dict[str, str] = {server.server_id: server.text() for server in cloud.servers_of(project_id)}
    return [known.get(server_id) or missing_entry(server_id) for server_id in server_ids]


def _tests(cloud: SimulatedCloud, query: Mapping[str, str]) -> List[_Matches]:
    """Return what a server must pass to be listed. Several tags in one filter must all be there, as in Nova."""
    wanted, unwanted = (filter(None, query.get(name, "").split(",")) for name in ("tags", "not-tags"))
    tests = [_has_tag(tag, any_value=cloud.key_only_tags) for tag in wanted]
    tests += [_lacks_tag(tag, any_value=cloud.key_only_tags) for tag in unwanted]
    if query.get("status"):
        statuses = _WIDENED_STATUS.get(query["status"], {query["status"]})
        tests.append(lambda server: server.status in statuses)
    if query.get("name"):
        part = query["name"].casefold()
        tests.append(lambda server: part in server.name.casefold())
    return tests


def _has_tag(tag: str, *, any_value: bool) -> _Matches:
    key, equals, value = tag.partition("=")
    exact = {tag} if value else {key, f"{key}="}
    prefix = f"{key}="
    if equals or not any_value:
        return lambda server: not exact.isdisjoint(server.tags)
    return lambda server: any(own == key or own.startswith(prefix) for own in server.tags)


def _lacks_tag(tag: str, *, any_value: bool) -> _Matches:
    has_tag = _has_tag(tag, any_value=any_value)
    return lambda server: not has_tag(server)


def _page(
    cloud: SimulatedCloud, query: Mapping[str, str], found: Sequence[SimulatedServer]
) -> Sequence[SimulatedServer]:
    limit = _number(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    page = max(_number(query, "offset", 1, 0, None), 1)  # a page number from 1; 0 is the first page too
    start = (page - 1) * limit
    marker = query.get("marker")
    if marker and cloud.marker_supported:
        # Undocumented: what a marker does beside an offset, and one that names no server of the listing.
        start = next((n for n, server in enumerate(found, 1) if server.server_id == marker), -1)
        if start < 0:
            raise _bad_request(f"marker {marker} could not be found")
    return found[start : start + limit]


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: Optional[int]) -> int:
    text = query.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least or (most is not None and int(text) > most):
        raise _bad_request(f"{name} {text} is out of range")
    return int(text)


def _listing(entries: Sequence[str], count: Optional[int] = None) -> Answer:
    total = len(entries) if count is None else count
    return Answer(200, f'{{"count": {total}, "servers": [{", ".join(entries)}]}}')


def _bad_request(message: str) -> ApiError:
    return service_error(400, "Common.0002", f"Invalid request parameter: {message}.")
