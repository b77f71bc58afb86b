"""The FunctionGraph management calls: what their bodies mean, and how their answers and refusals look.

Each function takes the cloud and one call and returns an answer or raises `ApiError`. Where the documentation is
silent the stricter reading is taken: a configuration that is sent without a value has lost it, and a trigger's
schedule cannot be changed. The URL of a function may carry its URN, with or without version, or its bare name.
https://support.huaweicloud.com/intl/en-us/api-functiongraph/functiongraph_06_0101.html lists the API.
"""

import base64
import binascii
import io
import json
import re
import zipfile
from datetime import datetime, timedelta
from typing import Dict, List, Mapping

from scheduler.simulated.calls import Answer, ApiError, Call
from scheduler.simulated.cloud import SimulatedCloud
from scheduler.simulated.functions import (
    MOST_FUNCTIONS,
    MOST_TRIGGERS,
    Executed,
    SimulatedFunction,
    SimulatedTrigger,
    encode,
)

MOST_CODE = 50 * 1024 * 1024
MEMORY_MB = frozenset((128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240))
_REGION = "simulated"
_NAME = re.compile(r"[A-Za-z]([\w-]{0,58}[A-Za-z0-9])?", re.ASCII)
_TRIGGER_NAME = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)
_USER_DATA_KEY = re.compile(r"[A-Za-z]\w*", re.ASCII)
_MOST_USER_DATA, _MOST_USER_DATA_TEXT = 20, 4096
_RATE = re.compile(r"([1-9]|[1-5]\d|60)m|([1-9]|1\d|2[0-4])h|([1-9]|[12]\d|30)d")
_EVERY = re.compile(r"@every (\d+(\.\d+)?(ns|us|ms|s|m|h))+")
_CRON = re.compile(r"(CRON_TZ=\S+ )?[\dA-Za-z*?,/-]+( [\dA-Za-z*?,/-]+){4,5}")
_KEPT = (
    "runtime",
    "timeout",
    "handler",
    "memory_size",
    "user_data",
    "encrypted_user_data",
    "xrole",
    "app_xrole",
    "description",
    "func_vpc",
    "initializer_handler",
    "initializer_timeout",
    "enable_lts_log",
)
"""What of a configuration a function keeps and shows; a body may set all of it."""


def create_function(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST /v2/{project_id}/fgs/functions``."""
    _authorize(cloud, call)
    project_id, body = call.arguments["project_id"], _body(call)
    name = body.get("func_name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _error(400, "FSS.1002", "Invalid function name.")
    if body.get("package") in (None, ""):
        raise _error(400, "FSS.1004", "Invalid Package (function app).")
    _check_settings(cloud, body)
    code = _code(body)
    if cloud.functions.find(project_id, name) is not None:
        raise _error(409, "FSS.1061", "The function already exists.")
    if cloud.functions.count(project_id) >= MOST_FUNCTIONS:
        raise _error(403, "FSS.1041", "The number of functions exceeds the maximum allowed limit.")
    urn = f"urn:fss:{_REGION}:{project_id}:function:{body['package']}:{name}:latest"
    settings = {key: body[key] for key in _KEPT if key in body}
    settings["type"] = body.get("type", "v1")  # as the reference says, whatever the console does
    function = SimulatedFunction(project_id, name, urn, settings, code)
    cloud.functions.add(function)
    return _shown(function)


def delete_function(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``DELETE /v2/{project_id}/fgs/functions/{function_urn}``: its triggers go with it."""
    cloud.functions.remove(_find(cloud, call))
    return Answer(204, "")


def show_config(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET .../functions/{function_urn}/config``."""
    return _shown(_find(cloud, call))


def update_config(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``PUT .../functions/{function_urn}/config``: what the body leaves out is gone."""
    function, body = _find(cloud, call), _body(call)
    if body.get("func_name") != function.name:
        raise _error(400, "FSS.1002", "Invalid function name.")
    _check_settings(cloud, body)
    if body["runtime"] != function.settings["runtime"]:
        raise _error(400, "FSS.1005", "Invalid runtime.")
    kept = {key: body[key] for key in _KEPT if key in body}
    kept["type"] = function.settings["type"]
    kept.setdefault("enable_lts_log", function.settings.get("enable_lts_log", False))
    function.settings = kept
    strategy = body.get("strategy_config")
    if isinstance(strategy, dict) and isinstance(strategy.get("concurrency"), int):
        function.max_instances = strategy["concurrency"]
    return _shown(function)


def show_code(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET .../functions/{function_urn}/code``: the zip itself, a link to it, or neither."""
    function = _find(cloud, call)
    code: Dict[str, str] = {}
    if cloud.functions.shows_code == "file":
        code["file"] = encode(function.code)
    elif cloud.functions.shows_code is not None:
        code["link"] = cloud.functions.shows_code
    shown = {"func_urn": function.urn, "func_name": function.name, "code_type": "zip", "func_code": code}
    return _json({**shown, "code_size": len(function.code), "digest": function.digest})


def update_code(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``PUT .../functions/{function_urn}/code``."""
    function = _find(cloud, call)
    function.code = _code(_body(call))
    return _json({"func_urn": function.urn, "func_name": function.name, "digest": function.digest})


def update_max_instances(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``PUT .../functions/{function_urn}/config-max-instance``."""
    function = _find(cloud, call)
    wanted = _body(call).get("max_instance_num")
    least, most = (-1, 1000) if function.settings["type"] == "v2" else (-1, 0)
    if not isinstance(wanted, int) or not least <= wanted <= most:
        raise _error(400, "FSS.1026", "Invalid Concurrency.")
    function.max_instances = wanted
    return _shown(function)


def show_async_config(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET .../functions/{function_urn}/async-invoke-config``: 404 while nothing was ever set."""
    function = _find(cloud, call)
    if function.asynchronous is None:
        raise _error(404, "FSS.0404", "The specified resource was not found.")
    return _json({"func_urn": function.urn, **function.asynchronous})


def update_async_config(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``PUT .../functions/{function_urn}/async-invoke-config``."""
    function, body = _find(cloud, call), _body(call)
    retries, age_s = body.get("max_async_retry_attempts", 1), body.get("max_async_event_age_in_seconds", 3600)
    most_retries, most_age_s = 3, 86400
    if not _is_within(retries, 0, most_retries) or not _is_within(age_s, 1, most_age_s):
        raise _error(400, "FSS.0400", "Invalid parameter.")
    function.asynchronous = {**body, "max_async_retry_attempts": retries, "max_async_event_age_in_seconds": age_s}
    return _json({"func_urn": function.urn, **function.asynchronous})


def list_triggers(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET /v2/{project_id}/fgs/triggers/{function_urn}``: a bare array."""
    return _json([_trigger_json(trigger) for trigger in _find(cloud, call).triggers])


def create_trigger(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST /v2/{project_id}/fgs/triggers/{function_urn}``."""
    function, body = _find(cloud, call), _body(call)
    kind, data = body.get("trigger_type_code"), body.get("event_data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise _error(400, "FSS.1101", "Invalid trigger type.")
    if kind == "TIMER":
        _check_timer(data)
    if len(function.triggers) >= MOST_TRIGGERS:
        raise _error(403, "FSS.1123", "The number of pull triggers exceeds the maximum allowed limit.")
    if any(t.kind == kind and t.event_data.get("name") == data.get("name") for t in function.triggers):
        raise _error(409, "FSS.1148", "The timer trigger already exists.")
    status = body.get("trigger_status", "ACTIVE")
    trigger = SimulatedTrigger(cloud.new_request_id(), kind, str(status), data, cloud.now)
    function.triggers.append(trigger)
    return _json(_trigger_json(trigger), 201)


def update_trigger(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``PUT .../triggers/{function_urn}/{trigger_type_code}/{trigger_id}``: only the status of a timer."""
    trigger = _find_trigger(_find(cloud, call), call)
    status = _body(call).get("trigger_status")
    if status not in ("ACTIVE", "DISABLED"):
        raise _error(400, "FSS.0400", "Invalid parameter.")
    trigger.status = str(status)
    return _json(_trigger_json(trigger))


def delete_trigger(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``DELETE .../triggers/{function_urn}/{trigger_type_code}/{trigger_id}``."""
    function = _find(cloud, call)
    function.triggers.remove(_find_trigger(function, call))
    return Answer(204, "")


def invoke(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``POST .../functions/{function_urn}/invocations`` in the v1 format.

    The function may call this cloud itself, so the lock that every call holds is free while it runs.
    """
    function = _find(cloud, call)
    if function.max_instances == 0:
        raise _error(403, "FSS.1126", "The function is disabled.")
    cloud.lock.release()
    try:
        done: Executed = cloud.functions.execute(function, call.body)
    finally:
        cloud.lock.acquire()
    request_id = cloud.new_request_id()
    result = "" if done.result is None else json.dumps(done.result)
    log = f"Start invoke request '{request_id}', version: latest\nFinish invoke request '{request_id}'"
    status = 500 if done.has_failed else 200
    headers = {"X-Cff-Request-Id": request_id, "X-Is-Func-Err": str(done.has_failed).lower()}
    answer = {"request_id": request_id, "result": result, "log": log, "status": status}
    return Answer(200, json.dumps(answer), headers)


def list_invocations(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET .../functions/{function_urn}/async-invocations``: the last hour's unless asked, the newest first."""
    function = _find(cloud, call)
    begin_text = call.query.get("query_begin_time")
    begin = cloud.now - timedelta(hours=1)
    if begin_text:
        begin = datetime.fromisoformat(begin_text[:19]).replace(tzinfo=cloud.now.tzinfo)
    limit = int(call.query.get("limit", "100"))
    found = [i for i in reversed(function.invocations) if i.at >= begin][:limit]
    shown = [
        {
            "request_id": i.request_id,
            "status": i.status,
            "error_message": i.error_message,
            "error_code": 0 if i.status == "SUCCESS" else 1,
            "start_time": _api_time(i.at),
            "end_time": _api_time(i.at),
        }
        for i in found
    ]
    return _json({"invocations": shown, "count": len(shown), "next_marker": len(shown)})


def show_statistics(cloud: SimulatedCloud, call: Call) -> Answer:
    """Answer ``GET .../functions/{function_urn}/statistics/{period}``: counts over the last ``period`` minutes."""
    function = _find(cloud, call)
    period = call.arguments["period"]
    if not period.isdigit() or not int(period):
        raise _error(400, "FSS.1001", "Invalid query parameter.")
    seen = [i for i in function.invocations if i.at >= cloud.now - timedelta(minutes=int(period))]
    stamp = int(cloud.now.timestamp() * 1000)
    failed = sum(i.status != "SUCCESS" for i in seen)
    values = {"count": len(seen), "fail_count": failed}
    return _json({name: [{"timestamp": stamp, "value": value}] for name, value in values.items()})


def _authorize(cloud: SimulatedCloud, call: Call) -> None:
    if not cloud.is_allowed(call.access_key, call.arguments["project_id"]):
        raise _error(403, "FSS.0403", "Forbidden")


def _find(cloud: SimulatedCloud, call: Call) -> SimulatedFunction:
    _authorize(cloud, call)
    function = cloud.functions.find(call.arguments["project_id"], call.arguments["function_urn"])
    if function is None:
        raise _error(404, "FSS.1051", "Not found the function")
    return function


def _find_trigger(function: SimulatedFunction, call: Call) -> SimulatedTrigger:
    wanted = call.arguments["trigger_type_code"], call.arguments["trigger_id"]
    for trigger in function.triggers:
        if (trigger.kind, trigger.trigger_id) == wanted:
            return trigger
    raise _error(404, "FSS.1140", "The timer trigger does not exist.")


def _body(call: Call) -> Dict[str, object]:
    if not isinstance(call.body, dict):
        raise _error(406, "FSS.0406", "Not acceptable.")
    return call.body


def _check_settings(cloud: SimulatedCloud, body: Mapping[str, object]) -> None:
    if body.get("runtime") not in cloud.functions.runtimes:
        raise _error(400, "FSS.1005", "Invalid runtime.")
    handler = body.get("handler")
    if not isinstance(handler, str) or "." not in handler:
        raise _error(400, "FSS.1003", "Invalid function handler.")
    if body.get("memory_size") not in MEMORY_MB:
        raise _error(400, "FSS.1007", "Invalid function memory.")
    least_s, most_s = 3, 259200
    if not _is_within(body.get("timeout"), least_s, most_s):
        raise _error(400, "FSS.1008", "Invalid function timeout.")
    most_text = 512
    if len(str(body.get("description", ""))) > most_text:
        raise _error(400, "FSS.1019", "The description exceeds the maximum allowed limit.")
    _check_user_data(body.get("user_data"))
    agencies, agency = cloud.functions.agencies, body.get("xrole")
    if agency and agencies is not None and agency not in agencies:
        raise _error(403, "FSS.1121", "Forbidden")


def _check_user_data(text: object) -> None:
    if text in (None, ""):
        return
    try:
        data = json.loads(str(text))
    except ValueError:
        data = None
    if not isinstance(data, dict) or not all(_USER_DATA_KEY.fullmatch(key) for key in data):
        raise _error(400, "FSS.1009", "Invalid function UserData.")
    if len(data) > _MOST_USER_DATA:
        raise _error(
            400, "FSS.1017", "The number of items in the UserData field exceeds the maximum allowed limit (20)."
        )
    if len(str(text)) > _MOST_USER_DATA_TEXT:
        raise _error(400, "FSS.1018", "The total size of the UserData field exceeds the maximum allowed limit.")


def _code(body: Mapping[str, object]) -> bytes:
    code = body.get("func_code")
    text = code.get("file") if isinstance(code, dict) else None
    if body.get("code_type") != "zip":
        raise _error(400, "FSS.1006", "Invalid function code entry mode.")
    if not isinstance(text, str) or not text:
        raise _error(400, "FSS.1012", "The function code must be configured.")
    if len(text) > MOST_CODE:
        message = "The size of the code package to be uploaded exceeds the maximum allowed limit (50 MB)."
        raise _error(413, "FSS.1071", message)
    try:
        decoded = base64.b64decode(text, validate=True)
        zipfile.ZipFile(io.BytesIO(decoded)).close()
    except (binascii.Error, zipfile.BadZipFile) as error:
        raise _error(400, "FSS.1011", "Invalid function code.") from error
    return decoded


def _check_timer(data: Mapping[str, object]) -> None:
    name, schedule = data.get("name"), data.get("schedule")
    fits = isinstance(name, str) and isinstance(schedule, str) and _TRIGGER_NAME.fullmatch(name) is not None
    if fits and data.get("schedule_type") == "Rate":
        fits = _RATE.fullmatch(str(schedule)) is not None
    elif fits:
        is_sound = _CRON.fullmatch(str(schedule)) or _EVERY.fullmatch(str(schedule))
        fits = data.get("schedule_type") == "Cron" and is_sound is not None
    if not fits:
        raise _error(400, "FSS.1109", "Invalid timer trigger parameters.")


def _shown(function: SimulatedFunction) -> Answer:
    shown: Dict[str, object] = {
        "func_urn": function.urn,
        "func_name": function.name,
        "package": "default",
        "version": "latest",
        "code_type": "zip",
        "code_size": len(function.code),
        "digest": function.digest,
        "strategy_config": {"concurrency": function.max_instances, "concurrent_num": 1},
        **function.settings,
    }
    return _json(shown)


def _trigger_json(trigger: SimulatedTrigger) -> Dict[str, object]:
    return {
        "trigger_id": trigger.trigger_id,
        "trigger_type_code": trigger.kind,
        "trigger_status": trigger.status,
        "event_data": trigger.event_data,
        "created_time": _api_time(trigger.created),
        "last_updated_time": _api_time(trigger.created),
    }


def _api_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _is_within(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and least <= value <= most


def _json(value: "Mapping[str, object] | List[Dict[str, object]]", status: int = 200) -> Answer:
    return Answer(status, json.dumps(value))


def _error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, code, message, {"error_code": code, "error_msg": message})
