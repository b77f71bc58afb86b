"""The simulated FunctionGraph, asked by the real SDK over a real socket, where ``deploy`` does not go."""

import base64
import io
import json
import zipfile
from datetime import datetime, timedelta, timezone
from hashlib import sha512
from typing import Any, Callable, Dict, Iterator

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
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
    UpdateFunctionConfigRequest,
    UpdateFunctionConfigRequestBody,
    UpdateFunctionMaxInstanceConfigRequest,
    UpdateFunctionMaxInstanceConfigRequestBody,
)

from scheduler.simulated import SIMULATED_AK, SIMULATED_PROJECT, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.functions import SimulatedFunction

NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)
SETTINGS: Dict[str, Any] = {"runtime": "Python3.10", "handler": "index.handler", "memory_size": 256, "timeout": 60}


def make_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("index.py", "")
    return made.getvalue()


CODE = make_zip()


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def sdk(cloud: SimulatedCloud) -> Iterator[Any]:
    with serve(cloud) as endpoint:
        credentials = BasicCredentials(SIMULATED_AK, SIMULATED_SK, SIMULATED_PROJECT)
        client = FunctionGraphClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build()
        yield client
        client.close()


def create(sdk: Any, name: str = "f", **settings: Any) -> str:
    chosen = {
        "package": "default",
        "code_type": "zip",
        "func_code": FuncCode(file=base64.b64encode(CODE).decode()),
        "type": "v2",
        **SETTINGS,
        **settings,
    }
    body = CreateFunctionRequestBody(func_name=name, **chosen)
    return str(sdk.create_function(CreateFunctionRequest(body=body)).func_urn)


def refusal(call: Callable[[], object]) -> "tuple[int, str]":
    with pytest.raises(ClientRequestException) as raised:
        call()
    return raised.value.status_code, raised.value.error_code


def create_timer(sdk: Any, urn: str, **data: Any) -> Any:
    chosen = {"name": "timer", "schedule_type": "Cron", "schedule": "0 0/5 * * * *", **data}
    body = CreateFunctionTriggerRequestBody(
        trigger_type_code="TIMER", trigger_status="ACTIVE", event_data=TriggerEventDataRequestBody(**chosen)
    )
    return sdk.create_function_trigger(CreateFunctionTriggerRequest(function_urn=urn, body=body))


class TestFunctions:
    def test_are_shown_with_the_digest_of_their_code(self, sdk: Any) -> None:
        urn = create(sdk, user_data='{"a": "b"}', xrole="agency")
        assert urn.endswith(f":{SIMULATED_PROJECT}:function:default:f:latest")
        for name in (urn, urn[: -len(":latest")], "f"):
            shown = sdk.show_function_config(ShowFunctionConfigRequest(function_urn=name))
            assert (shown.func_urn, shown.digest) == (urn, sha512(CODE).hexdigest())
            assert (shown.user_data, shown.xrole, shown.strategy_config.concurrency) == ('{"a": "b"}', "agency", 400)
        code = sdk.show_function_code(ShowFunctionCodeRequest(function_urn=urn))
        assert base64.b64decode(code.func_code.file) == CODE

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"runtime": "Python3.8"}, (400, "FSS.1005")),
            ({"handler": "index"}, (400, "FSS.1003")),
            ({"memory_size": 300}, (400, "FSS.1007")),
            ({"timeout": 1}, (400, "FSS.1008")),
            ({"package": ""}, (400, "FSS.1004")),
            ({"user_data": "[]"}, (400, "FSS.1009")),
            ({"user_data": json.dumps({f"k{n}": "" for n in range(21)})}, (400, "FSS.1017")),
            ({"user_data": json.dumps({"k": "x" * 4096})}, (400, "FSS.1018")),
            ({"description": "x" * 513}, (400, "FSS.1019")),
            ({"code_type": "jar"}, (400, "FSS.1006")),
            ({"func_code": FuncCode(file="")}, (400, "FSS.1012")),
            ({"func_code": FuncCode(file="bm8gemlw")}, (400, "FSS.1011")),
            ({"xrole": "unknown"}, (403, "FSS.1121")),
            ({"name": "9"}, (400, "FSS.1002")),
        ],
    )
    def test_are_refused_with_the_codes_of_the_reference(
        self, cloud: SimulatedCloud, sdk: Any, settings: Dict[str, Any], expected: object
    ) -> None:
        cloud.functions.agencies = {"agency"}
        assert refusal(lambda: create(sdk, **settings)) == expected
        assert cloud.functions.all == []

    def test_exist_once(self, sdk: Any) -> None:
        create(sdk)
        assert refusal(lambda: create(sdk)) == (409, "FSS.1061")

    def test_lose_what_an_update_leaves_out_and_keep_their_runtime(self, sdk: Any) -> None:
        urn = create(sdk, xrole="agency", enable_lts_log=True)
        body = UpdateFunctionConfigRequestBody(func_name="f", **SETTINGS)
        shown = sdk.update_function_config(UpdateFunctionConfigRequest(function_urn=urn, body=body))
        assert (shown.xrole, shown.enable_lts_log) == (None, True)
        body.runtime = "Python3.12"
        request = UpdateFunctionConfigRequest(function_urn=urn, body=body)
        assert refusal(lambda: sdk.update_function_config(request)) == (400, "FSS.1005")

    def test_of_the_first_version_cannot_limit_their_instances(self, sdk: Any) -> None:
        body = UpdateFunctionMaxInstanceConfigRequestBody(max_instance_num=1)
        for name, version, ends_well in (("a", "v1", False), ("b", "v2", True)):
            request = UpdateFunctionMaxInstanceConfigRequest(function_urn=create(sdk, name, type=version), body=body)
            if ends_well:
                shown = sdk.update_function_max_instance_config(request)
                assert shown.strategy_config.concurrency == 1
            else:
                assert refusal(lambda: sdk.update_function_max_instance_config(request)) == (400, "FSS.1026")  # noqa: B023

    def test_that_are_missing_are_404_everywhere(self, sdk: Any) -> None:
        calls = (
            lambda: sdk.show_function_config(ShowFunctionConfigRequest(function_urn="f")),
            lambda: sdk.list_function_triggers(ListFunctionTriggersRequest(function_urn="f")),
            lambda: sdk.invoke_function(InvokeFunctionRequest(function_urn="f", body={})),
            lambda: sdk.delete_function(DeleteFunctionRequest(function_urn="f")),
        )
        assert [refusal(call) for call in calls] == [(404, "FSS.1051")] * len(calls)

    def test_of_other_projects_are_closed_to_a_key(self, cloud: SimulatedCloud, sdk: Any) -> None:
        cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, projects=["other"])
        assert refusal(lambda: create(sdk)) == (403, "FSS.0403")


class TestAsynchronous:
    def test_is_404_until_it_is_set(self, sdk: Any) -> None:
        urn = create(sdk)
        show = ShowFunctionAsyncInvokeConfigRequest(function_urn=urn)
        assert refusal(lambda: sdk.show_function_async_invoke_config(show)) == (404, "FSS.0404")
        for retries, expected in ((0, 0), (4, None)):
            body = UpdateFunctionAsyncInvokeConfigRequestBody(max_async_retry_attempts=retries)
            request = UpdateFunctionAsyncInvokeConfigRequest(function_urn=urn, body=body)
            if expected is None:
                assert refusal(lambda: sdk.update_function_async_invoke_config(request)) == (400, "FSS.0400")  # noqa: B023
            else:
                sdk.update_function_async_invoke_config(request)
        shown = sdk.show_function_async_invoke_config(show)
        assert (shown.max_async_retry_attempts, shown.max_async_event_age_in_seconds) == (0, 3600)


class TestTriggers:
    @pytest.mark.parametrize(
        "data",
        [
            {"schedule": "0/5 * * * * * * *"},
            {"schedule": "0 0.5 * * * *"},
            {"schedule": "@every 3d"},
            {"schedule": "CRON_TZ=Asia/Bangkok @every 1h"},
            {"schedule_type": "Rate", "schedule": "90s"},
            {"schedule_type": "Rate", "schedule": "61m"},
            {"schedule_type": "Rate", "schedule": "25h"},
            {"schedule_type": "Rate", "schedule": "0d"},
            {"name": "9"},
            {"schedule_type": "Monthly"},
        ],
    )
    def test_that_make_no_sense_are_refused(self, sdk: Any, data: Dict[str, str]) -> None:
        urn = create(sdk)
        assert refusal(lambda: create_timer(sdk, urn, **data)) == (400, "FSS.1109")

    @pytest.mark.parametrize(
        "data",
        [
            {"schedule": "0 0/5 * * * *"},
            {"schedule": "CRON_TZ=Asia/Bangkok 0 30 8 ? * MON-FRI"},
            {"schedule": "@every 1h30m"},
            {"schedule_type": "Rate", "schedule": "60m"},
            {"schedule_type": "Rate", "schedule": "24h"},
        ],
    )
    def test_that_make_sense_are_made(self, sdk: Any, data: Dict[str, str]) -> None:
        urn = create(sdk)
        create_timer(sdk, urn, **data)
        (made,) = sdk.list_function_triggers(ListFunctionTriggersRequest(function_urn=urn)).body
        assert made.event_data.schedule == data["schedule"]

    def test_are_at_most_ten_with_names_of_their_own(self, sdk: Any) -> None:
        urn = create(sdk)
        for number in range(10):
            create_timer(sdk, urn, name=f"t{number}", schedule="CRON_TZ=Asia/Bangkok 0 0 8 * * *")
        assert refusal(lambda: create_timer(sdk, urn, name="t10")) == (403, "FSS.1123")
        listed = sdk.list_function_triggers(ListFunctionTriggersRequest(function_urn=urn)).body
        assert [trigger.event_data.name for trigger in listed] == [f"t{number}" for number in range(10)]
        gone = DeleteFunctionTriggerRequest(
            function_urn=urn, trigger_type_code="TIMER", trigger_id=listed[0].trigger_id
        )
        sdk.delete_function_trigger(gone)
        assert refusal(lambda: sdk.delete_function_trigger(gone)) == (404, "FSS.1140")
        assert refusal(lambda: create_timer(sdk, urn, name="t9")) == (409, "FSS.1148")


class TestInvocations:
    def test_return_the_result_as_json_in_json(self, cloud: SimulatedCloud, sdk: Any) -> None:
        urn = create(sdk)
        cloud.functions.runner = lambda _, event: {"echo": event}
        answer = sdk.invoke_function(InvokeFunctionRequest(function_urn=urn, body={"a": 1}))
        assert (answer.status, json.loads(answer.result)) == (200, {"echo": {"a": 1}})
        assert answer.x_cff_request_id == answer.request_id

    def test_return_what_was_raised(self, cloud: SimulatedCloud, sdk: Any) -> None:
        def runner(_: SimulatedFunction, __: object) -> object:
            raise ValueError("no")

        urn = create(sdk)
        cloud.functions.runner = runner
        answer = sdk.invoke_function(InvokeFunctionRequest(function_urn=urn, body={}))
        result = json.loads(answer.result)
        assert (answer.status, result["errorType"], result["errorMessage"]) == (500, "ValueError", "no")

    def test_by_the_timer_are_listed_and_counted(self, cloud: SimulatedCloud, sdk: Any) -> None:
        urn = create(sdk)
        (function,) = cloud.functions.all
        assert cloud.functions.fire(function, NOW) is None  # it has no timer yet
        create_timer(sdk, urn)
        for minutes in (120, 10, 5):
            cloud.functions.fire(function, NOW - timedelta(minutes=minutes))
        listed = sdk.list_async_invocations(ListAsyncInvocationsRequest(function_urn=urn)).invocations
        assert [(i.status, i.start_time) for i in listed] == [
            ("SUCCESS", NOW - timedelta(minutes=5)),
            ("SUCCESS", NOW - timedelta(minutes=10)),
        ]
        counted = sdk.list_function_statistics(ListFunctionStatisticsRequest(func_urn=urn, period="7"))
        assert [value.value for value in counted.count] == [1]

    def test_of_a_disabled_function_are_refused(self, cloud: SimulatedCloud, sdk: Any) -> None:
        urn = create(sdk)
        cloud.functions.all[0].max_instances = 0
        request = InvokeFunctionRequest(function_urn=urn, body={})
        assert refusal(lambda: sdk.invoke_function(request)) == (403, "FSS.1126")
