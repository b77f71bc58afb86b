"""The edge to the real SDK: what it sends, and what becomes of everything that can come back."""

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.cloud.sdk import Needs, check_endpoint
from scheduler.errors import (
    CloudError,
    InputError,
    NoAnswerError,
    OutOfTimeError,
    PermanentCloudError,
    RefusedError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import CLUSTER_TAG, Power, Server, ServerId, StopType
from scheduler.settings import Credentials
from scheduler.simulated import SIMULATED_AK, SIMULATED_SK, SimulatedCloud, serve
from scheduler.simulated.calls import Fault, answering, failing, html, reset, truncated
from tests.scenes import DEV, KEYS, NOW, PROJECT, REGION, listings, open_cloud, posts

ID = ServerId("00000000-0000-4000-8000-000000000000")
Do = Callable[[HuaweiCloud], object]


def do_list(client: HuaweiCloud) -> object:
    return client.list_page()


def do_start(client: HuaweiCloud) -> object:
    return client.start([ID])


def do_stop(client: HuaweiCloud) -> object:
    return client.stop([ID], StopType.SOFT)


EVERY = [pytest.param(do, id=do.__name__[3:]) for do in (do_list, do_start, do_stop)]
ACTIONS = EVERY[1:]


@pytest.fixture
def cloud() -> SimulatedCloud:
    return SimulatedCloud(NOW)


@pytest.fixture
def endpoint(cloud: SimulatedCloud) -> Iterator[str]:
    with serve(cloud) as url:
        yield url


@pytest.fixture
def client(endpoint: str) -> Iterator[HuaweiCloud]:
    with contextlib.closing(open_cloud(endpoint)) as found:
        yield found


def failure(do: Do, client: HuaweiCloud) -> CloudError:
    with pytest.raises(CloudError) as raised:
        do(client)
    return raised.value


# What is sent


def test_lists_starts_and_stops(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    running, off = cloud.add_server("on"), cloud.add_server("off", status="SHUTOFF")
    assert {s.server_id for s in client.list_page()} == {running.server_id, off.server_id}
    assert client.start([ServerId(off.server_id)])
    assert client.stop([ServerId(running.server_id)], StopType.SOFT)
    assert client.stop([ServerId(running.server_id)], StopType.HARD)
    assert posts(cloud) == [
        (Power.START, (off.server_id,)),
        (Power.STOP_SOFT, (running.server_id,)),
        (Power.STOP_HARD, (running.server_id,)),
    ]


def test_sends_only_the_parameters_that_are_asked_for(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    server = cloud.add_server(cluster_id=DEV)
    client.list_page()
    client.list_page(tag=f"{CLUSTER_TAG}={DEV}", marker=ServerId(server.server_id))
    client.list_page(page=2)
    assert [dict(record.query) for record in cloud.ledger] == [
        {"limit": "1000"},
        {"limit": "1000", "tags": f"{CLUSTER_TAG}={DEV}", "marker": server.server_id},
        {"limit": "1000", "offset": "2"},
    ]


def test_reads_a_server_field_by_field(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    made = cloud.add_server("n", cluster_id=DEV, tags=["k"], status="ERROR", task_state="deleting", charging_mode="1")
    made.locked = made.frozen = True
    made.fault = {"code": 500, "message": "No valid host"}
    (server,) = client.list_page()
    assert server == Server(
        server_id=ServerId(made.server_id),
        name="n",
        status="ERROR",
        task_state="deleting",
        tags=made.tags,
        locked=True,
        frozen=True,
        charging_mode="1",
        created="2026-12-01T12:00:00Z",
        updated="2026-12-01T12:00:00Z",
        fault="No valid host",
        flavor="s6.large.2",
    )


def test_reads_only_the_tags_whose_keys_are_asked_for(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    cloud.add_server("n", tags=["a=1", "a", "ab=2", "b=a", "a=b=c", "=a"])
    (server,) = client.list_page(keys={"a"})
    assert server.tags == ("a=1", "a", "a=b=c")
    (server,) = client.list_page(keys=())
    assert server.tags == ()


def test_every_field_but_the_id_may_be_missing(cloud: SimulatedCloud, client: HuaweiCloud) -> None:
    made = cloud.add_server(sparse=True)
    assert list(client.list_page()) == [Server(ServerId(made.server_id))]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param(
            '{"id": "a", "name": null, "tags": null, "metadata": null}',
            Server(ServerId("a")),
            id="nulls",
        ),
        pytest.param('{"id": "a", "metadata": {}}', Server(ServerId("a")), id="empty metadata"),
        pytest.param(
            '{"id": "a", "metadata": {"EcmResStatus": "normal", "charging_mode": "2"}}',
            Server(ServerId("a"), charging_mode="2"),
            id="not frozen any more",
        ),
        pytest.param('{"id": "a", "fault": "broken"}', Server(ServerId("a")), id="fault of another shape"),
        pytest.param('{"id": "a", "tags": ["k", null]}', Server(ServerId("a")), id="tags that cannot be read"),
        pytest.param(
            f'{{"id": "a", "tags": ["{CLUSTER_TAG}=x", "CCE-Dynamic-Provisioning-Node=1"]}}',
            Server(ServerId("a"), tags=(f"{CLUSTER_TAG}=x", "CCE-Dynamic-Provisioning-Node=1")),
            id="a tag that CCE gives every node",
        ),
        pytest.param('{"id": "a", "tags": []}', Server(ServerId("a"), tags=()), id="no tags"),
        pytest.param('{"id": "a", "new": {"x": 1}}', Server(ServerId("a")), id="unknown field"),
    ],
)
def test_reads_entries_of_other_shapes(
    cloud: SimulatedCloud, client: HuaweiCloud, entry: str, expected: Server
) -> None:
    cloud.faults = lambda _: answering(200, f'{{"servers": [{entry}]}}')
    assert list(client.list_page()) == [expected]


def test_an_empty_project_has_no_servers(client: HuaweiCloud) -> None:
    assert list(client.list_page()) == []


# What comes back


@pytest.mark.parametrize("do", EVERY)
def test_wrong_credentials_are_never_tried_again(cloud: SimulatedCloud, endpoint: str, do: Do) -> None:
    wrong = Credentials(SIMULATED_AK, "wrong-secret-key")
    with contextlib.closing(open_cloud(endpoint, wrong)) as client:
        error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert (error.code, error.status_code) == ("APIGW.0301", 401)
    assert error.request_id
    assert str(error) == (
        "APIGW.0301 Incorrect IAM authentication information: verify aksk signature fail: "
        "check the agency of the function, or ak and sk; it is not tried again"
    )
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("do", EVERY)
def test_a_project_without_rights_is_a_permanent_failure(cloud: SimulatedCloud, client: HuaweiCloud, do: Do) -> None:
    cloud.add_credentials(SIMULATED_AK, SIMULATED_SK, projects=["another"])
    error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert (error.code, error.status_code) == ("Ecs.0003", 403)
    assert str(error).endswith(
        "grant ecs:cloudServers:list, :start and :stop in this project, "
        "and check that the account is neither frozen nor out of balance"
    )
    assert len(cloud.ledger) == 1


MOVED = answering(302, "", headers={"Location": "/elsewhere"})
T, P, U = TemporaryCloudError, PermanentCloudError, UnknownOutcomeError


@pytest.mark.parametrize(
    ("refusal", "kinds"),
    [
        pytest.param((400, "Common.0002"), (P, P), id="bad request"),
        pytest.param((400, "Ecs.0100"), (P, RefusedError), id="wrong status"),
        pytest.param((400, "Ecs.0605"), (P, RefusedError), id="locked"),
        pytest.param((400, "Ecs.0118"), (ThrottledCloudError, ThrottledCloudError), id="too many servers"),
        pytest.param((401, "APIGW.0301"), (P, P), id="not authenticated"),
        pytest.param((403, "EPS.0003"), (P, P), id="no right"),
        pytest.param((403, "Ecs.0110"), (P, RefusedError), id="no right on a server"),
        pytest.param((404, "APIGW.0101"), (P, P), id="no such API"),
        pytest.param((404, "Ecs.0114"), (P, RefusedError), id="no such server"),
        pytest.param((408, "APIGW.0201"), (T, U), id="request timeout"),
        pytest.param((409, "Ecs.9999"), (P, P), id="conflict"),
        pytest.param((429, "APIGW.0308"), (ThrottledCloudError, ThrottledCloudError), id="throttled"),
        pytest.param((400, "Common.1503"), (ThrottledCloudError, ThrottledCloudError), id="flow limit"),
        pytest.param((500, "Ecs.0000"), (T, U), id="internal"),
        pytest.param((501, "Ecs.0603"), (T, RefusedError), id="commands are being executed"),
        pytest.param((502, "APIGW.0201"), (T, U), id="bad gateway"),
        pytest.param((503, "Common.0024"), (ThrottledCloudError, ThrottledCloudError), id="busy"),
        pytest.param((504, "APIGW.0201"), (T, U), id="gateway timeout"),
    ],
)
@pytest.mark.parametrize("do", EVERY)
def test_sorts_failures_by_what_to_do_about_them(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, refusal: Tuple[int, str], kinds: Tuple[type, type]
) -> None:
    status, code = refusal
    cloud.faults = lambda _: failing(status, code, "Some\n  text.")
    error = failure(do, client)
    assert type(error) is kinds[do is not do_list]
    assert error.status_code == status
    assert len(cloud.ledger) == 1
    assert error.code == code
    assert error.request_id
    assert str(error).startswith(f"{code} Some text.: ")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(reset(), (T, None, U), id="reset before an answer"),
        pytest.param(truncated(), (T, None, U), id="cut off in the middle"),
        pytest.param(html(200), (UntrustedAnswerError, 200, U), id="HTML 200"),
        pytest.param(html(500), (T, 500, U), id="HTML 500"),
        pytest.param(html(502), (T, 502, U), id="HTML 502"),
        pytest.param(html(404), (P, 404, P), id="HTML 404 of a proxy"),
        pytest.param(html(429), (ThrottledCloudError, 429, ThrottledCloudError), id="HTML 429"),
        pytest.param(
            answering(409, '{"conflictingRequest": {"message": "Cannot stop", "code": 409}}'),
            (P, 409, RefusedError),
            id="conflicting request",
        ),
        pytest.param(MOVED, (UntrustedAnswerError, 302, U), id="redirect"),
        pytest.param(answering(204, ""), (UntrustedAnswerError, 204, U), id="204"),
        pytest.param(answering(202, "{}"), (UntrustedAnswerError, 202, ThrottledCloudError), id="202"),
        pytest.param(answering(200, ""), (UntrustedAnswerError, 200, U), id="nothing"),
        pytest.param(answering(200, "{}"), (UntrustedAnswerError, 200, U), id="{}"),
        pytest.param(answering(200, "[]"), (UntrustedAnswerError, 200, U), id="[]"),
        pytest.param(answering(200, '"x"'), (UntrustedAnswerError, 200, U), id="text"),
        pytest.param(answering(200, "5"), (UntrustedAnswerError, 200, U), id="number"),
        pytest.param(answering(200, "null"), (UntrustedAnswerError, 200, U), id="null"),
        pytest.param(answering(200, '{"error": {}}'), (UntrustedAnswerError, 200, U), id="200 with an error"),
        pytest.param(answering(200, '["servers", "job_id"]'), (UntrustedAnswerError, None, U), id="list of keys"),
        pytest.param(answering(200, "[" * 99_999), (UntrustedAnswerError, None, U), id="too deep"),
    ],
)
@pytest.mark.parametrize("do", EVERY)
def test_believes_no_answer_that_is_not_one_and_sends_nothing_twice(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, fault: Fault, expected: Tuple[type, Optional[int], type]
) -> None:
    listing, status, action = expected
    cloud.faults = lambda _: fault
    error = failure(do, client)
    assert type(error) is (listing if do is do_list else action)
    assert do is not do_list or error.status_code == status
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("odd", ['"OS-EXT-STS:power_state": ""', '"image": ""', '"tenant_id": {}', '"flavor": "s6"'])
def test_a_field_of_an_odd_form_spoils_no_listing(cloud: SimulatedCloud, client: HuaweiCloud, odd: str) -> None:
    """One image of a server without a disk is an empty text, and so may others be that nothing here reads."""
    cloud.faults = lambda _: answering(
        200, f'{{"servers": [{{"id": "a", "status": "ACTIVE", "tags": ["k=v"], {odd}}}]}}'
    )
    (server,) = client.list_page()
    assert (server.server_id, server.status, server.tags, server.flavor) == ("a", "ACTIVE", ("k=v",), None)


@pytest.mark.parametrize(
    "text",
    [
        '{"servers": null}',
        '{"servers": {}}',
        '{"servers": "x"}',
        '{"servers": [{}]}',
        '{"servers": [5]}',
        '{"servers": [null]}',
        '{"servers": ["id"]}',
        '{"servers": [["id"]]}',
        '{"servers": [{"id": null}]}',
        '{"servers": [{"id": ""}]}',
        '{"servers": [{"name": "n"}, {"id": "a"}]}',
        '{"servers": [{"id": "a", "metadata": "x"}]}',
    ],
)
def test_trusts_no_listing_in_which_a_server_cannot_be_told(
    cloud: SimulatedCloud, client: HuaweiCloud, text: str
) -> None:
    cloud.faults = lambda _: answering(200, text)
    assert type(failure(do_list, client)) is UntrustedAnswerError
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("text", ['{"job_id": null}', '{"job_id": ""}', '["job_id"]', '{"job": "x"}'])
@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_without_a_job_has_an_unknown_outcome(
    cloud: SimulatedCloud, client: HuaweiCloud, do: Do, text: str
) -> None:
    cloud.faults = lambda _: answering(200, text)
    error = failure(do, client)
    assert type(error) is UnknownOutcomeError
    assert str(error).endswith("the next listing shows whether it acted")
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("do", EVERY)
def test_a_cloud_that_is_not_there_is_a_temporary_failure(do: Do) -> None:
    with serve(SimulatedCloud(NOW)) as gone:
        pass
    with contextlib.closing(open_cloud(gone)) as client:
        error = failure(do, client)
    assert type(error) is TemporaryCloudError
    assert "ConnectionException" in str(error)


@pytest.mark.parametrize(("do", "kind"), [pytest.param(do_list, T, id="list"), pytest.param(do_start, U, id="start")])
def test_a_long_error_is_shortened(cloud: SimulatedCloud, client: HuaweiCloud, do: Do, kind: type) -> None:
    cloud.faults = lambda _: answering(500, "<html>" + "x" * 100_000)
    error = failure(do, client)
    assert type(error) is kind
    assert len(str(error)) < 500


# Time


def test_begins_no_call_when_the_run_is_at_its_end(cloud: SimulatedCloud, endpoint: str) -> None:
    left = [2.9]
    client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: left[0])
    with contextlib.closing(client):
        for do in (do_list, do_start, do_stop):
            error = failure(do, client)
            assert type(error) is OutOfTimeError
            assert str(error) == "no time is left in this run for another call: the next run goes on"
        assert not cloud.ledger
        left[0] = 3.0
        client.list_page()
    assert len(cloud.ledger) == 1


@pytest.mark.parametrize("left", [3.0, 4.0, 7.5, 13.0, 25.0, 58.0, 3600.0])
def test_no_call_may_last_longer_than_the_run(endpoint: str, left: float) -> None:
    client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: left)
    with contextlib.closing(client):
        client.list_page()
        connect_s, read_s = client._ecs.config.timeout
    assert connect_s + read_s <= left
    assert 1 <= connect_s <= 5
    assert 2 <= read_s <= min(20, max(3, left / 3))


def test_each_thread_has_the_time_of_its_own_call(endpoint: str) -> None:
    """A listing that may last four seconds takes none of the twenty of an action that another thread sends."""
    shared = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: 12.0)._ecs
    has_begun, has_listed = threading.Event(), threading.Event()

    def act(_: object) -> object:
        has_begun.set()
        assert has_listed.wait(10)
        return shared.config.timeout

    def look(_: object) -> object:
        return shared.config.timeout

    with contextlib.closing(shared), ThreadPoolExecutor(1) as pool:
        acting = pool.submit(shared.call, act, None, Needs("act"), acts=True)
        assert has_begun.wait(10)
        assert shared.call(look, None, Needs("look"), acts=False) == (4.0, 4.0)
        has_listed.set()
        assert acting.result(10) == (4.0, 8.0)


def test_a_cloud_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: 3.0)
        begun = time.monotonic()
        with contextlib.closing(client), ThreadPoolExecutor(2) as pool:
            listed, started = pool.map(lambda do: failure(do, client), (do_list, do_start))
        assert time.monotonic() - begun < 3
    assert type(listed) is NoAnswerError
    assert type(started) is UnknownOutcomeError


# Endpoints and regions


@pytest.mark.parametrize(
    ("endpoint", "used"),
    [
        ("https://ecs.ap-southeast-2.myhuaweicloud.com", "https://ecs.ap-southeast-2.myhuaweicloud.com"),
        ("https://ecs.example.com/", "https://ecs.example.com"),
        ("https://ecs.example.com:8443", "https://ecs.example.com:8443"),
        ("ecs.example.com", "https://ecs.example.com"),
        ("127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_uses_an_endpoint_as_it_is_written(endpoint: str, used: str) -> None:
    assert check_endpoint(endpoint) == used


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://ecs.example.com/v1",
        "https://ecs.example.com?x=1",
        "ecs.example.com/v1",
        "ftp://ecs.example.com",
        "https://",
        "https:///v1",
        "https://[::1",
        "https://ecs.example.com:port",
        "",
    ],
)
def test_refuses_an_endpoint_that_the_sdk_would_not_use_as_written(endpoint: str) -> None:
    with pytest.raises(InputError) as raised:
        check_endpoint(endpoint)
    assert str(raised.value) == f'endpoint "{endpoint}" cannot be used: write https://HOST, without a path'


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://user:secret@ecs.example.com",
        "https://secret@ecs.example.com",
        "user:secret@ecs.example.com",
        "https://user:sec@secret@ecs.example.com",
        "ftp://user:secret@ecs.example.com",
    ],
)
def test_quotes_no_password_of_an_endpoint(endpoint: str) -> None:
    with pytest.raises(InputError) as raised:
        check_endpoint(endpoint)
    assert str(raised.value) == 'endpoint "ecs.example.com" cannot be used: write https://HOST, without a user name'


@pytest.mark.parametrize("endpoint", ["http://ecs.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1"])
def test_refuses_plain_http_beyond_the_own_machine(endpoint: str) -> None:
    with pytest.raises(InputError) as raised:
        HuaweiCloud(KEYS, REGION, PROJECT, endpoint=endpoint, remaining_s=lambda: 60)
    assert str(raised.value) == f'endpoint "{endpoint}" is not encrypted: write https://{endpoint[7:]}'


def test_an_unknown_region_without_an_endpoint_is_named() -> None:
    with pytest.raises(PermanentCloudError) as raised:
        HuaweiCloud(KEYS, "nowhere", PROJECT, remaining_s=lambda: 60)
    assert str(raised.value) == 'unknown region "nowhere": correct it, or set the endpoint'


def test_the_sdk_s_own_setting_may_name_the_endpoint_of_a_region(
    cloud: SimulatedCloud, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_REGION_ECS_NOWHERE_1", endpoint)
    with contextlib.closing(HuaweiCloud(KEYS, "nowhere-1", PROJECT, remaining_s=lambda: 60)) as client:
        client.list_page()
    assert len(listings(cloud)) == 1


# Credentials


class _Listener(BaseHTTPRequestHandler):
    """Keeps the headers of every request and answers with an empty listing."""

    seen: List[Dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = b'{"servers": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def headers_of(credentials: Credentials) -> Dict[str, str]:
    """Return the headers with which a listing is asked for."""
    listener = type("Listener", (_Listener,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), listener) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with contextlib.closing(open_cloud(f"http://127.0.0.1:{server.server_port}", credentials)) as client:
            client.list_page()
        server.shutdown()
        thread.join()
    (headers,) = listener.seen  # type: ignore[attr-defined]
    assert isinstance(headers, dict)
    return headers


@pytest.mark.parametrize("token", [None, ""])
def test_no_empty_security_token_is_sent(token: Optional[str]) -> None:
    headers = headers_of(Credentials("an-access-key", "a-secret-key", token))
    assert "x-security-token" not in headers
    assert "Access=an-access-key," in headers["authorization"]


def test_a_security_token_is_sent_and_signed() -> None:
    headers = headers_of(Credentials("an-access-key", "a-secret-key", "a-token"))
    assert headers["x-security-token"] == "a-token"
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert "x-security-token" in signed


def test_temporary_credentials_open_what_they_are_for(cloud: SimulatedCloud, endpoint: str) -> None:
    cloud.add_credentials("an-access-key", "a-secret-key", security_token="a-token")
    with contextlib.closing(open_cloud(endpoint, Credentials("an-access-key", "a-secret-key", "a-token"))) as client:
        assert client.list_page() == []


@pytest.mark.parametrize("secrets", [pytest.param((), id="unknown key"), pytest.param(("other",), id="wrong secret")])
@pytest.mark.parametrize("do", EVERY)
def test_no_secret_is_in_a_message(cloud: SimulatedCloud, endpoint: str, do: Do, secrets: Tuple[str, ...]) -> None:
    for sk in secrets:
        cloud.add_credentials("an-access-key", sk)
    credentials = Credentials("an-access-key", "a-secret-key", "a-token")
    with contextlib.closing(open_cloud(endpoint, credentials)) as client:
        error = failure(do, client)
        shown = f"{error} {error!r} {client!r} {credentials!r} {credentials}"
    assert error.status_code == 401
    assert not any(secret in shown for secret in ("an-access-key", "a-secret-key", "a-token"))


@pytest.mark.parametrize("secret", ["an-access-key", "a-secret-key", "a-token"])
def test_a_secret_that_the_cloud_quotes_is_hidden(cloud: SimulatedCloud, endpoint: str, secret: str) -> None:
    cloud.faults = lambda _: failing(401, "APIGW.0301", f"fail with {secret}.")
    with contextlib.closing(open_cloud(endpoint, Credentials("an-access-key", "a-secret-key", "a-token"))) as client:
        assert str(failure(do_list, client)).startswith("APIGW.0301 fail with ***.: ")
