"""The real FunctionGraph: functions of one project in one region through the real SDK, and its failures as ours.

The only importer of its SDK, which the command line needs and the function does not; how it is called is decided in
``cloud/sdk.py``. Nothing is retried: a deployment that broke off is finished by the next one, since every step is
worked out from what exists.

Least privilege for what is called here, as far as the API documents it: ``FunctionGraph:function:getConfig``,
``FunctionGraph:function:getCode``, ``FunctionGraph:function:create``, ``FunctionGraph:function:updateCode``,
``FunctionGraph:function:updateConfig``, ``FunctionGraph:function:delete``, ``FunctionGraph:function:invoke``,
``FunctionGraph:trigger:create``, ``FunctionGraph:trigger:delete`` and
``FunctionGraph:trigger:listSpecifiedFunctionTriggers``.
"""

import base64
import json
import warnings
from datetime import datetime, timezone
from http import HTTPStatus
from math import inf
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple, Type

import requests
from huaweicloudsdkfunctiongraph.v2 import (
    CreateFunctionRequest,
    CreateFunctionRequestBody,
    CreateFunctionTriggerRequest,
    CreateFunctionTriggerRequestBody,
    DeleteFunctionRequest,
    DeleteFunctionTriggerRequest,
    FuncCode,
    FunctionGraphClient,
    InvokeFunctionRequest,
    ListAsyncInvocationsRequest,
    ListFunctionStatisticsRequest,
    ListFunctionTriggersRequest,
    ShowFunctionAsyncInvokeConfigRequest,
    ShowFunctionCodeRequest,
    ShowFunctionConfigRequest,
    TriggerEventDataRequestBody,
    UpdateFunctionAsyncInvokeConfigRequest,
    UpdateFunctionAsyncInvokeConfigRequestBody,
    UpdateFunctionCodeRequest,
    UpdateFunctionCodeRequestBody,
    UpdateFunctionConfigRequest,
    UpdateFunctionConfigRequestBody,
    UpdateFunctionMaxInstanceConfigRequest,
    UpdateFunctionMaxInstanceConfigRequestBody,
    UpdateTriggerRequest,
    UpdateTriggerRequestBody,
)
from huaweicloudsdkfunctiongraph.v2.region.functiongraph_region import FunctionGraphRegion

from scheduler.cloud.sdk import Channel, Needs, SendsOnce
from scheduler.deploy.function import (
    DESCRIPTION,
    Execution,
    Found,
    Invoked,
    Trigger,
    Wanted,
    read_user_data,
)
from scheduler.deploy.package import MOST_BYTES
from scheduler.deploy.sources import HANDLER
from scheduler.errors import (
    CloudError,
    PermanentCloudError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.localtime import parse_api_time
from scheduler.settings import Credentials

PACKAGE = "default"
CODE_FILE = "function.zip"

_TIMEOUT_S = 10.0, 120.0
"""A zip takes its time to send, and the gateway ends an invocation after 90 s."""
_KEPT = (
    "app_xrole",
    "func_vpc",
    "peering_cidr",
    "mount_config",
    "strategy_config",
    "initializer_handler",
    "initializer_timeout",
    "pre_stop_handler",
    "pre_stop_timeout",
    "ephemeral_storage",
    "enterprise_project_id",
    "network_controller",
    "enable_dynamic_memory",
    "enable_auth_in_header",
    "lts_custom_tag",
    "user_data_encrypt_kms_key_id",
)
"""What an update of the settings carries over: a value that is left out may be lost.

``encrypted_user_data`` is shown masked, so it is not sent back, and ``enable_lts_log`` is only for changes.
"""

_NEEDS = Needs("the rights of docs/security.md to the person who deploys")
_AGAIN = "run the same command again, it goes on where this one ended"
_AGENCY = (
    "the agency is missing or does not trust FunctionGraph: create it in IAM for the cloud service FunctionGraph, or "
    "correct function.agency"
)
_QUOTA = "the account's quota is reached: delete a function that is not needed, or have the quota raised"
_ADVICE = {
    "FSS.1005": "this region does not have that runtime: write function.runtime: Python3.9, which every region has, or "
    "Python3.10",
    "FSS.1009": "correct function.settings",
    "FSS.1017": "there are too many settings: shorten function.settings",
    "FSS.1018": "the settings are too long: shorten function.settings",
    "FSS.1007": "this region does not have that size: write another function.memory",
    "FSS.1021": _AGENCY,
    "FSS.1040": _AGENCY,
    "FSS.1041": _QUOTA,
    "FSS.1042": _QUOTA,
    "FSS.1051": f"the function is gone: {_AGAIN}",
    "FSS.1061": f"somebody made it meanwhile: {_AGAIN}",
    "FSS.1071": "the zip is too large for FunctionGraph: find out with `cce-scheduler package` what makes it so large",
    "FSS.1121": _AGENCY,
    "FSS.1122": _AGENCY,
    "FSS.1123": "the function has as many triggers as it may: delete one that is not needed in the console, then "
    "deploy again",
    "FSS.1131": f"the trigger is gone: {_AGAIN}",
    "FSS.1140": f"the trigger is gone: {_AGAIN}",
    "FSS.1148": f"somebody made it meanwhile: {_AGAIN}",
}
"""What to do about codes of the API's error table."""


class _Client(SendsOnce, FunctionGraphClient):  # type: ignore[misc]
    """The SDK's client, sending everything once."""


class FunctionGraph:
    """Keeps `scheduler.deploy.function.FunctionCloud` for one project in one region."""

    def __init__(
        self, credentials: Credentials, region: str, project_id: str, *, endpoint: Optional[str] = None
    ) -> None:
        """``endpoint`` replaces the region's own."""
        self._place = f"urn:fss:{region}:{project_id}:function:{PACKAGE}"
        self._channel = Channel(
            _Client,
            credentials,
            project_id,
            endpoint=endpoint,
            find_region=lambda: _find_region(region),
            remaining_s=lambda: inf,
            timeout_s=_TIMEOUT_S,
            sort=_sort_answer,
        )
        self._client = self._channel.client

    def close(self) -> None:
        """Close the connections and the SDK's threads."""
        self._channel.close()

    def find(self, name: str) -> Optional[Found]:
        """Read configuration, asynchronous settings and triggers."""
        config = self._find(
            self._client.show_function_config, ShowFunctionConfigRequest(f"{self._place}:{name}:latest")
        )
        if config is None:
            return None
        urn = config.func_urn
        if not urn or not config.runtime:
            raise UntrustedAnswerError("the answer lacks the function's URN: check the endpoint and the proxy")
        asynchronous = self._find(
            self._client.show_function_async_invoke_config, ShowFunctionAsyncInvokeConfigRequest(function_urn=urn)
        )
        triggers = self._call(self._client.list_function_triggers, ListFunctionTriggersRequest(function_urn=urn)).body
        return Found(
            urn=_text(urn),
            description=_text(config.description),
            runtime=_text(config.runtime),
            handler=_text(config.handler),
            memory_mb=_number(config.memory_size) or 0,
            timeout_s=_number(config.timeout) or 0,
            agency=_text(config.app_xrole) or _text(config.xrole),
            user_data=read_user_data(_text(config.user_data)),
            digest=_text(config.digest),
            max_instances=_number(_part(config.strategy_config, "concurrency")),
            retries=_number(_part(asynchronous, "max_async_retry_attempts")),
            age_s=_number(_part(asynchronous, "max_async_event_age_in_seconds")),
            triggers=tuple(_trigger(trigger) for trigger in _list(triggers)),
            has_vpc=bool(_part(config.func_vpc, "vpc_id")),
            has_secrets=_text(config.encrypted_user_data) not in ("", "{}"),
        )

    def create(self, wanted: Wanted, archive: bytes) -> str:
        """Create a v2 function: the API's default is v1, which cannot limit instances."""
        body = CreateFunctionRequestBody(
            func_name=wanted.name,
            package=PACKAGE,
            code_type="zip",
            code_filename=CODE_FILE,
            func_code=FuncCode(file=_encode(archive)),
            type="v2",
            enable_lts_log=True,
            **_settings(wanted),
        )
        return str(self._change(self._client.create_function, CreateFunctionRequest(body=body)).func_urn)

    def update_code(self, urn: str, archive: bytes) -> None:
        """Replace the code."""
        code = FuncCode(file=_encode(archive))
        body = UpdateFunctionCodeRequestBody(code_type="zip", code_filename=CODE_FILE, func_code=code)
        self._change(self._client.update_function_code, UpdateFunctionCodeRequest(function_urn=urn, body=body))

    def update_settings(self, urn: str, wanted: Wanted) -> None:
        """Read the configuration and send it back with what the file says."""
        config = self._call(self._client.show_function_config, ShowFunctionConfigRequest(function_urn=urn))
        kept = {key: getattr(config, key) for key in _KEPT if getattr(config, key, None) not in (None, "")}
        if "app_xrole" in kept:  # where it is set it is the one that runs have, not ``xrole``
            kept["app_xrole"] = wanted.agency
        body = UpdateFunctionConfigRequestBody(func_name=wanted.name, **kept, **_settings(wanted))
        self._change(self._client.update_function_config, UpdateFunctionConfigRequest(function_urn=urn, body=body))

    def update_asynchronous(self, urn: str, *, retries: int, age_s: int) -> None:
        """Set retries and age; a destination for failures that somebody set stays."""
        request = ShowFunctionAsyncInvokeConfigRequest(function_urn=urn)
        before = self._find(self._client.show_function_async_invoke_config, request)
        kept = {
            key: getattr(before, key)
            for key in ("destination_config", "enable_async_status_log")
            if before is not None and getattr(before, key, None) is not None
        }
        body = UpdateFunctionAsyncInvokeConfigRequestBody(
            max_async_retry_attempts=retries, max_async_event_age_in_seconds=age_s, **kept
        )
        self._change(
            self._client.update_function_async_invoke_config,
            UpdateFunctionAsyncInvokeConfigRequest(function_urn=urn, body=body),
        )

    def update_instances(self, urn: str, number: int) -> None:
        """Set the most instances."""
        body = UpdateFunctionMaxInstanceConfigRequestBody(max_instance_num=number)
        request = UpdateFunctionMaxInstanceConfigRequest(function_urn=urn, body=body)
        self._change(self._client.update_function_max_instance_config, request)

    def invoke(self, urn: str, event: Mapping[str, Any]) -> Invoked:
        """Invoke and read the answer; the result is JSON within JSON."""
        request = InvokeFunctionRequest(
            function_urn=urn, x_cff_log_type="tail", x_cff_request_version="v1", body=dict(event)
        )
        answer = self._call(self._client.invoke_function, request)
        text = _text(answer.result)
        try:
            result = json.loads(text)
        except (ValueError, RecursionError):
            result = None
        has_failed = answer.status is not None and answer.status != HTTPStatus.OK
        return Invoked(has_failed, result if isinstance(result, dict) else None, text or _text(answer.log)[-500:])

    def read_code(self, urn: str) -> bytes:
        """Return the zip from the answer, or from where the answer says that it lies."""
        code = self._call(self._client.show_function_code, ShowFunctionCodeRequest(function_urn=urn)).func_code
        try:
            if _part(code, "file"):
                return base64.b64decode(_text(code.file), validate=True)
            if _part(code, "link"):
                return _download(_text(code.link))
        except (ValueError, requests.RequestException) as e:
            raise UntrustedAnswerError(f"the deployed code cannot be read ({type(e).__name__})") from e
        raise UntrustedAnswerError("the API does not give the deployed code")

    def create_timer(self, urn: str, name: str, schedule: str) -> None:
        """Make an active timer with a cron expression."""
        data = TriggerEventDataRequestBody(name=name, schedule_type="Cron", schedule=schedule, user_event="")
        body = CreateFunctionTriggerRequestBody(trigger_type_code="TIMER", trigger_status="ACTIVE", event_data=data)
        self._change(self._client.create_function_trigger, CreateFunctionTriggerRequest(function_urn=urn, body=body))

    def activate_trigger(self, urn: str, trigger: Trigger) -> None:
        """Make a trigger active; nothing else of a timer can be changed."""
        request = UpdateTriggerRequest(
            function_urn=urn,
            trigger_type_code=trigger.kind,
            trigger_id=trigger.trigger_id,
            body=UpdateTriggerRequestBody(trigger_status="ACTIVE"),
        )
        self._change(self._client.update_trigger, request)

    def delete_trigger(self, urn: str, trigger: Trigger) -> None:
        """Delete one trigger by its id."""
        request = DeleteFunctionTriggerRequest(
            function_urn=urn, trigger_type_code=trigger.kind, trigger_id=trigger.trigger_id
        )
        self._change(self._client.delete_function_trigger, request)

    def delete(self, urn: str) -> None:
        """Delete the function: its URN without a version means all of it."""
        whole = urn[: -len(":latest")] if urn.endswith(":latest") else urn
        self._change(self._client.delete_function, DeleteFunctionRequest(function_urn=whole))

    def list_executions(self, urn: str, since: datetime) -> Sequence[Execution]:
        """Return the asynchronous invocations; regions that do not keep them return none."""
        begin = since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        request = ListAsyncInvocationsRequest(function_urn=urn, limit="10", query_begin_time=begin)
        found = _list(self._call(self._client.list_async_invocations, request).invocations)
        listed = [
            Execution(_instant(_part(i, "start_time")), _text(_part(i, "status")), _text(_part(i, "error_message")))
            for i in found
        ]
        earliest = datetime.min.replace(tzinfo=timezone.utc)
        return sorted(listed, key=lambda execution: execution.at or earliest, reverse=True)

    def count_executions(self, urn: str, minutes: int) -> int:
        """Return the sum of the metric ``count``."""
        request = ListFunctionStatisticsRequest(func_urn=urn, period=str(minutes))
        answer = self._call(self._client.list_function_statistics, request)
        return sum(_number(_part(value, "value")) or 0 for value in _list(answer.count))

    def _find(self, method: Callable[[Any], Any], request: object) -> Any:
        """Call the SDK; what does not exist is None."""
        try:
            return self._call(method, request)
        except CloudError as e:
            if e.status_code == HTTPStatus.NOT_FOUND and (e.code or "").startswith("FSS."):
                return None
            raise

    def _change(self, method: Callable[[Any], Any], request: object) -> Any:
        return self._call(method, request, acts=True)

    def _call(self, method: Callable[[Any], Any], request: object, *, acts: bool = False) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the SDK warns of dates that it cannot read; nothing depends on them
            return self._channel.call(method, request, _NEEDS, acts=acts)


def _sort_answer(status: int, code: Optional[str], needs: Needs, *, acts: bool) -> "Tuple[Type[CloudError], str]":
    """Sort a refusal by what a person does about it."""
    if code in _ADVICE:
        return PermanentCloudError, _ADVICE[code]
    if status == HTTPStatus.UNAUTHORIZED:
        return PermanentCloudError, "check the access key and its secret key"
    if status == HTTPStatus.FORBIDDEN:
        return PermanentCloudError, f"grant {needs.action}, in this project"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledCloudError, f"the platform's limit is reached: wait a minute, then {_AGAIN}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        if acts:
            return UnknownOutcomeError, f"whether it was done is not known: {_AGAIN}"
        return TemporaryCloudError, _AGAIN
    if not code or code.startswith(("APIGW.", "APIG.")):
        return PermanentCloudError, "check the region and the endpoint"
    return PermanentCloudError, "correct the section `function`"


def _find_region(region: str) -> Any:
    try:
        return FunctionGraphRegion.value_of(region)
    except KeyError as e:
        raise PermanentCloudError(
            f'function.region: no FunctionGraph is known in "{region}": correct it, or give --function-endpoint'
        ) from e


def _settings(wanted: Wanted) -> Mapping[str, Any]:
    return {
        "runtime": wanted.runtime,
        "handler": HANDLER,
        "memory_size": wanted.memory_mb,
        "timeout": wanted.timeout_s,
        "xrole": wanted.agency,
        "user_data": json.dumps(dict(wanted.user_data), sort_keys=True),
        "description": DESCRIPTION,
    }


def _encode(archive: bytes) -> str:
    return base64.b64encode(archive).decode()


def _download(link: str) -> bytes:
    """Read a zip from storage; the link is signed by itself, so no credentials go there."""
    answer = requests.get(check_link(link), timeout=_TIMEOUT_S, allow_redirects=False, stream=True)
    with answer:
        if answer.status_code != HTTPStatus.OK:
            raise UntrustedAnswerError(f"the deployed code cannot be read (status {answer.status_code})")
        content = answer.raw.read(MOST_BYTES + 1, decode_content=True)
    if len(content) > MOST_BYTES:
        raise UntrustedAnswerError("the deployed code cannot be read (it is larger than a function can be)")
    return bytes(content)


def check_link(link: str) -> str:
    """Return a link to code that may be followed: encrypted, or to this machine. Raises ValueError."""
    if not link.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("not an encrypted link")
    return link


def _trigger(trigger: Any) -> Trigger:
    data = _part(trigger, "event_data")
    schedule, kind = _text(_part(data, "schedule")), _part(data, "schedule_type")
    return Trigger(
        trigger_id=_text(_part(trigger, "trigger_id")),
        kind=_text(_part(trigger, "trigger_type_code")),
        name=_text(_part(data, "name")),
        schedule=schedule if kind in (None, "Cron") else f"{kind} {schedule}",
        is_active=_part(trigger, "trigger_status") == "ACTIVE",
        created=_instant(_part(trigger, "created_time")),
    )


def _undocumented(value: object) -> UntrustedAnswerError:
    return UntrustedAnswerError(
        f"the answer has {type(value).__name__} where the API documents another type: check the endpoint and the proxy"
    )


def _text(value: object) -> str:
    """Return a text of an answer, empty where there is none. Raises `UntrustedAnswerError` for anything else."""
    if value is not None and not isinstance(value, str):
        raise _undocumented(value)
    return value or ""


def _number(value: object) -> Optional[int]:
    """Return a whole number of an answer. Raises `UntrustedAnswerError` for anything that is none."""
    try:
        return None if value is None else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError) as e:
        raise _undocumented(value) from e


def _list(value: object) -> Sequence[Any]:
    """Return a list of an answer, empty where there is none. Raises `UntrustedAnswerError` for anything else."""
    if value is not None and not isinstance(value, list):
        raise _undocumented(value)
    return value or ()


def _part(value: Any, name: str) -> Any:
    """Return a part of something that may be absent. Raises `UntrustedAnswerError` where it can have no such part."""
    if value is not None and not hasattr(value, name):
        raise _undocumented(value)
    return None if value is None else getattr(value, name)


def _instant(value: object) -> Optional[datetime]:
    """Return an instant of the API, which says neither zone nor, in places, a readable time: UTC is meant."""
    if isinstance(value, str):
        value = parse_api_time(value)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
