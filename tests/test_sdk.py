"""How failures are told apart: what was certainly never sent, error bodies of every shape, and ``Retry-After``."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Callable, Iterator, List, Optional

import pytest

from scheduler.cloud.huawei import HuaweiCloud
from scheduler.cloud.sdk import read_error, read_retry_after
from scheduler.deploy.functiongraph import FunctionGraph
from scheduler.errors import (
    CloudError,
    PermanentCloudError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
)
from scheduler.model import ClusterId, ServerId
from scheduler.settings import Credentials
from scheduler.simulated import SimulatedCloud, serve
from scheduler.simulated.calls import answering, failing, html
from tests.scenes import DEV, KEYS, NOW, PROJECT, REGION, open_cloud

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""Of 127.0.0.1, signed by itself, with its key: it protects nothing."""

Do = Callable[[HuaweiCloud], object]


def do_list(client: HuaweiCloud) -> object:
    return client.list_page()


def do_start(client: HuaweiCloud) -> object:
    return client.start([ServerId("a")])


def do_hibernate(client: HuaweiCloud) -> object:
    client.hibernate(ClusterId(DEV))
    return None


EVERY = [pytest.param(do, id=do.__name__[3:]) for do in (do_list, do_start, do_hibernate)]
ACTIONS = EVERY[1:]


def failure(do: Do, client: HuaweiCloud) -> CloudError:
    with pytest.raises(CloudError) as raised:
        do(client)
    return raised.value


def failure_at(endpoint: str, do: Do, remaining_s: float = 60.0) -> CloudError:
    client = HuaweiCloud(
        KEYS, REGION, PROJECT, endpoint=endpoint, cce_endpoint=endpoint, remaining_s=lambda: remaining_s
    )
    with contextlib.closing(client):
        return failure(do, client)


@contextlib.contextmanager
def listening(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """Yield the port of a server that talks to one connection."""

    def serve_one() -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve_one)
        thread.start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join()


def shake_hands(connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context.wrap_socket(connection, server_side=True)


# What every call says of itself


def test_a_call_tells_nothing_of_the_machine() -> None:
    """Without a name of our own the SDK asks the system, and writes an id into the home."""
    heard: List[bytes] = []
    with listening(lambda connection: heard.append(connection.recv(1 << 16))) as port:
        client = FunctionGraph(KEYS, REGION, PROJECT, endpoint=f"http://127.0.0.1:{port}")
        with contextlib.closing(client), pytest.raises(TemporaryCloudError):
            client.find("cce-scheduler")
    (agent,) = [line for line in heard[0].splitlines() if line.startswith(b"User-Agent: ")]
    assert agent == b"User-Agent: huaweicloud-usdk-python/3.0; cce-scheduler"


# What was never sent


@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_whose_connection_is_refused_was_never_sent(do: Do) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert type(failure_at(f"http://127.0.0.1:{port}", do)) is TemporaryCloudError


@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_to_a_host_without_an_address_was_never_sent(do: Do) -> None:
    assert type(failure_at("https://no-such-host.invalid", do)) is TemporaryCloudError


def test_an_action_whose_connection_is_never_made_was_never_sent() -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # nobody accepts: what comes after these waits for ever
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert type(failure_at(f"http://127.0.0.1:{full.getsockname()[1]}", do_start, 3.0)) is TemporaryCloudError


@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_to_a_host_whose_certificate_is_not_trusted_was_never_sent(do: Do) -> None:
    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError):
            shake_hands(connection)

    with listening(talk) as port:
        error = failure_at(f"https://127.0.0.1:{port}", do)
    assert type(error) is TemporaryCloudError
    assert "SslHandShakeException" in str(error)


@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_to_a_host_that_speaks_no_tls_was_never_sent(do: Do) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(talk) as port:
        assert type(failure_at(f"https://127.0.0.1:{port}", do)) is TemporaryCloudError


@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_whose_tls_breaks_after_it_was_sent_has_an_unknown_outcome(
    do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    received = []

    def talk(connection: socket.socket) -> None:
        secure = shake_hands(connection)
        received.append(secure.recv(10_000))
        with socket.socket(fileno=secure.detach()) as plain:
            plain.sendall(b"this is no TLS record")

    with listening(talk) as port:
        error = failure_at(f"https://127.0.0.1:{port}", do)
    assert received[0].startswith(b"POST /")
    assert type(error) is UnknownOutcomeError


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda connection: connection.close(), id="closed"),
        pytest.param(
            lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
            id="reset",
        ),
        pytest.param(lambda connection: connection.sendall(b"HTTP/1.1 2"), id="cut off"),
    ],
)
@pytest.mark.parametrize("do", ACTIONS)
def test_an_action_whose_connection_ends_after_it_was_sent_has_an_unknown_outcome(
    do: Do, end: Callable[[socket.socket], object]
) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(10_000)
        end(connection)

    with listening(talk) as port:
        assert type(failure_at(f"http://127.0.0.1:{port}", do)) is UnknownOutcomeError


# Bodies


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"error_msg": "m", "error_code": "APIGW.0301"}', ("APIGW.0301", "m"), id="gateway"),
        pytest.param('{"error": {"code": "Ecs.0100", "message": "m"}}', ("Ecs.0100", "m"), id="ECS"),
        pytest.param(
            '{"conflictingRequest": {"code": 409, "message": "m"}}', ("conflictingRequest", "m"), id="Nova's code"
        ),
        pytest.param('{"errorCode": "CCE.01404001", "errorMessage": "m"}', ("CCE.01404001", "m"), id="CCE, short"),
        pytest.param(
            '{"kind": "Status", "code": 400, "errorCode": "CCE.01400001", "errorMessage": "x",'
            ' "error_code": "CCE_CM.0004", "error_msg": "m", "message": "detail", "reason": "BadRequest"}',
            ("CCE.01400001", "m, detail"),
            id="CCE, long",
        ),
        pytest.param('{"error_code": "CCE_CM.0004", "error_msg": "m"}', ("CCE_CM.0004", "m"), id="CCE_CM alone"),
        pytest.param('{"error_code": null, "error_msg": null, "message": "m"}', (None, "m"), id="no code"),
        pytest.param('{"code": "Common.0011", "message": "m"}', ("Common.0011", "m"), id="job"),
        pytest.param('{"code": 500, "message": "m"}', ("500", "m"), id="number"),
        pytest.param("<html>", (None, "<html>"), id="HTML"),
        pytest.param("", (None, ""), id="nothing"),
        pytest.param("[1]", (None, "[1]"), id="list"),
        pytest.param("{}", (None, "{}"), id="empty"),
        pytest.param("[" * 99_999, (None, "[" * 99_999), id="too deep"),
    ],
)
def test_reads_code_and_text_of_every_shape(body: str, expected: "tuple[Optional[str], str]") -> None:
    assert read_error(body.encode()) == expected


# Retry-After


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"Retry-After": "60"}, 60.0, id="integer"),
        pytest.param({"Retry-After": "56.818"}, 56.818, id="fraction"),
        pytest.param({"Retry-After": " 0 "}, 0.0, id="now"),
        pytest.param(
            {"Retry-After": "Tue, 01 Dec 2026 12:01:30 GMT", "Date": "Tue, 01 Dec 2026 12:00:00 GMT"}, 90.0, id="date"
        ),
        pytest.param(
            {"Retry-After": "Tue, 01 Dec 2026 11:00:00 GMT", "Date": "Tue, 01 Dec 2026 12:00:00 GMT"}, 0.0, id="past"
        ),
        pytest.param({"Retry-After": "Tue, 01 Dec 2026 12:01:30 GMT"}, None, id="date alone"),
        pytest.param({"Retry-After": "soon"}, None, id="text"),
        pytest.param({"Retry-After": "-5"}, None, id="negative"),
        pytest.param({"Retry-After": "nan"}, None, id="no number"),
        pytest.param({"Retry-After": ""}, None, id="empty"),
        pytest.param({}, None, id="absent"),
    ],
)
def test_reads_how_long_to_wait(headers: "dict[str, str]", expected: Optional[float]) -> None:
    assert read_retry_after(headers) == expected


@pytest.mark.parametrize("value", ["60", "56.818"])
@pytest.mark.parametrize("do", EVERY)
def test_a_throttled_call_says_how_long_to_wait(do: Do, value: str) -> None:
    cloud = SimulatedCloud(NOW)
    cloud.faults = lambda _: failing(429, "APIGW.0308", headers={"Retry-After": value})
    with serve(cloud) as endpoint, contextlib.closing(open_cloud(endpoint)) as client:
        error = failure(do, client)
    assert type(error) is ThrottledCloudError
    assert (error.code, error.retry_after_s) == ("APIGW.0308", float(value))
    assert len(cloud.ledger) == 1


def test_a_busy_server_may_say_how_long_to_wait() -> None:
    cloud = SimulatedCloud(NOW)
    cloud.faults = lambda _: answering(503, "", headers={"Retry-After": "7"})
    with serve(cloud) as endpoint, contextlib.closing(open_cloud(endpoint)) as client:
        assert [failure(do, client).retry_after_s for do in (do_list, do_start, do_hibernate)] == [7.0] * 3
        cloud.faults = lambda _: html(503)
        assert failure(do_list, client).retry_after_s is None


@pytest.mark.parametrize("do", EVERY)
def test_a_key_that_no_header_can_carry_is_named_without_its_text(do: Do) -> None:
    keys = Credentials(f"{KEYS.ak}\r", KEYS.sk)
    with serve(SimulatedCloud(NOW)) as endpoint, contextlib.closing(open_cloud(endpoint, keys)) as client:
        error = failure(do, client)
    assert type(error) is PermanentCloudError
    assert "the call was not sent (InvalidHeader): the access key or another text" in str(error)
    assert KEYS.ak not in str(error)
