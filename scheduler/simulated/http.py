"""The simulated cloud on a loopback socket: connections, routes, signatures and faults.

Every request passes `_Application.respond`, where it is checked, carried out, spoilt by a fault if the scene wants
one, and written to the ledger. What a call means is decided in ``ecs.py``, ``cce.py`` and
``functiongraph.py``.
"""

import contextlib
import json
import socket
import time
from datetime import datetime, timezone
from threading import Thread
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Type,
    Union,
)
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from scheduler.model import Power
from scheduler.simulated import cce, ecs, functiongraph
from scheduler.simulated.calls import Answer, ApiError, Call, Fault, FaultKind, Record, gateway_error
from scheduler.simulated.cloud import SimulatedCloud
from scheduler.simulated.signature import SignatureError, SignedRequest, verify

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Clock = Callable[[], datetime]
Sleep = Callable[[float], object]
_Socket = Union[socket.socket, Tuple[bytes, socket.socket]]  # as socketserver types it
_Operation = Callable[[SimulatedCloud, Call], Answer]

_CLUSTER = "/<cluster_id>"
_FUNCTION = "functions/<function_urn>"
_TRIGGERS = "triggers/<function_urn>"
_TRIGGER = f"{_TRIGGERS}/<trigger_type_code>/<trigger_id>"
_ROUTES = Map(
    [
        Rule("/v1/<project_id>/cloudservers/detail", methods=["GET"], endpoint=ecs.list_servers),
        Rule("/v1/<project_id>/cloudservers/action", methods=["POST"], endpoint=ecs.act),
        Rule("/v1/<project_id>/jobs/<job_id>", methods=["GET"], endpoint=ecs.show_job),
        *(
            Rule(f"/api/v3/projects/<project_id>/clusters{path}", methods=[method], endpoint=operation)
            for method, path, operation in (
                ("GET", "", cce.list_clusters),
                ("GET", _CLUSTER, cce.show_cluster),
                ("GET", f"{_CLUSTER}/nodes", cce.list_nodes),
                ("GET", f"{_CLUSTER}/nodepools", cce.list_node_pools),
                ("POST", f"{_CLUSTER}/operation/hibernate", cce.hibernate),
                ("POST", f"{_CLUSTER}/operation/awake", cce.awake),
                ("POST", f"{_CLUSTER}/tags/create", cce.create_tags),
                ("POST", f"{_CLUSTER}/tags/delete", cce.delete_tags),
            )
        ),
        *(
            Rule(f"/v2/<project_id>/fgs/{path}", methods=[method], endpoint=operation)
            for method, path, operation in (
                ("POST", "functions", functiongraph.create_function),
                ("DELETE", _FUNCTION, functiongraph.delete_function),
                ("GET", f"{_FUNCTION}/config", functiongraph.show_config),
                ("PUT", f"{_FUNCTION}/config", functiongraph.update_config),
                ("GET", f"{_FUNCTION}/code", functiongraph.show_code),
                ("PUT", f"{_FUNCTION}/code", functiongraph.update_code),
                ("PUT", f"{_FUNCTION}/config-max-instance", functiongraph.update_max_instances),
                ("GET", f"{_FUNCTION}/async-invoke-config", functiongraph.show_async_config),
                ("PUT", f"{_FUNCTION}/async-invoke-config", functiongraph.update_async_config),
                ("GET", f"{_FUNCTION}/async-invocations", functiongraph.list_invocations),
                ("GET", f"{_FUNCTION}/statistics/<period>", functiongraph.show_statistics),
                ("POST", f"{_FUNCTION}/invocations", functiongraph.invoke),
                ("GET", _TRIGGERS, functiongraph.list_triggers),
                ("POST", _TRIGGERS, functiongraph.create_trigger),
                ("PUT", _TRIGGER, functiongraph.update_trigger),
                ("DELETE", _TRIGGER, functiongraph.delete_trigger),
            )
        ),
    ],
    redirect_defaults=False,
    merge_slashes=False,
)
_POLL_S = 0.02  # the longest that closing waits for the thread that accepts connections


def _real_time() -> datetime:
    return datetime.now(timezone.utc)


@contextlib.contextmanager
def serve(cloud: SimulatedCloud, *, clock: Clock = _real_time, sleep: Sleep = time.sleep) -> Iterator[str]:
    """Serve ``cloud`` on a free port of 127.0.0.1 and yield the endpoint, ``http://127.0.0.1:PORT``.

    ``clock`` is what signing dates are compared with: the real time, as clients sign with it whatever the simulated
    time is. ``sleep`` is how ``latency_s`` passes. Leaving the context ends every connection and thread.
    """
    server = _Server("127.0.0.1", 0, _Application(cloud, clock, sleep), handler=_Handler)
    thread = Thread(target=server.serve_forever, args=(_POLL_S,), name="simulated-cloud")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.end_connections()
        thread.join()


class _NoAnswerError(Exception):
    """Tells the handler to close the connection without an answer: now, or when the client has given up."""

    def __init__(self, *, is_silent: bool) -> None:
        self.is_silent = is_silent
        super().__init__()


class _Request(NamedTuple):
    """An HTTP request in both forms that are needed: as signed, and as a call."""

    signed: SignedRequest
    call: Call


class _Application:
    """The WSGI application, and the one place where every request passes."""

    def __init__(self, cloud: SimulatedCloud, clock: Clock, sleep: Sleep) -> None:
        self._cloud = cloud
        self._clock = clock
        self._sleep = sleep

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self.respond(Request(environ))(environ, start_response)

    def respond(self, http_request: Request) -> Response:
        """Carry out one request and write it to the ledger; raise `_NoAnswerError` if a fault forbids an answer."""
        begun = time.monotonic()
        with self._cloud.lock:
            request_id = self._cloud.new_request_id()
            request = _read(http_request, self._cloud.now)
            fault = self._cloud.faults(request.call) if self._cloud.faults else None
            if fault is not None and fault.happens is not None:
                fault.happens(self._cloud, request.call)
            answer = self._answer(request, request_id) if fault is None or fault.carried_out else None
            sent = _spoil(answer, fault)
            self._cloud.record(_record(request.call, answer, sent))
        if self._cloud.latency_s:  # not under the lock: calls wait side by side
            self._sleep(max(begun + self._cloud.latency_s - time.monotonic(), 0.0))
        if sent is None:
            raise _NoAnswerError(is_silent=fault is not None and fault.kind is FaultKind.SILENT)
        response = Response(sent.text, sent.status, sent.headers, content_type=sent.content_type)
        response.headers["X-Request-Id"] = request_id
        if fault is not None and fault.kind is FaultKind.TRUNCATED:
            _truncate(response)
        return response

    def _answer(self, request: _Request, request_id: str) -> Answer:
        """Answer as the real cloud does: the gateway first, then the service."""
        try:
            operation, arguments = _route(request.call, request_id)
            access_key = self._authenticate(request.signed, request_id)
            call = request.call._replace(arguments=arguments, access_key=access_key)
            return operation(self._cloud, call)
        except ApiError as error:
            return error.answer

    def _authenticate(self, signed: SignedRequest, request_id: str) -> str:
        try:
            return verify(signed, self._cloud.secrets_of, self._clock())
        except SignatureError as error:
            message = f"Incorrect IAM authentication information: {error}"
            raise gateway_error(401, "APIGW.0301", message, request_id) from error


def _read(request: Request, at: datetime) -> _Request:
    data = request.get_data()
    query = parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True)
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = SignedRequest(request.method, request.path, query, headers, data)
    return _Request(signed, Call(at, request.method, request.path, _joined(query), _parsed(data)))


def _joined(query: Sequence[Tuple[str, str]]) -> Dict[str, str]:
    joined: Dict[str, str] = {}
    for key, value in query:
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def _route(call: Call, request_id: str) -> Tuple[_Operation, Dict[str, str]]:
    try:
        operation, arguments = _ROUTES.bind("127.0.0.1").match(call.path, call.method)
    except HTTPException as error:
        message = "The API does not exist or has not been published in the environment"
        raise gateway_error(404, "APIGW.0101", message, request_id) from error
    return operation, dict(arguments)


def _spoil(answer: Optional[Answer], fault: Optional[Fault]) -> Optional[Answer]:
    """Return what is sent: the fault's answer if it has one, nothing for a reset, else the cloud's."""
    if fault is None or fault.kind is FaultKind.TRUNCATED:
        return answer
    if fault.kind is FaultKind.ALTERED and answer is not None:
        return fault.alter(answer)
    return fault.answer


def _truncate(response: Response) -> None:
    whole = response.get_data()
    response.set_data(whole[: len(whole) // 2])
    response.headers["Content-Length"] = str(len(whole))
    response.headers["Connection"] = "close"


def _record(call: Call, answer: Optional[Answer], sent: Optional[Answer]) -> Record:
    power: Optional[Power] = None
    server_ids: Sequence[str] = ()
    if call.method == "POST":
        with contextlib.suppress(ApiError):
            power, server_ids = ecs.asked(call)
    return Record(
        at=call.at,
        method=call.method,
        path=call.path,
        query=call.query,
        body=call.body,
        status=sent.status if sent is not None else None,
        carried_out=answer is not None and answer.status < 400,  # noqa: PLR2004
        power=power,
        server_ids=tuple(server_ids),
    )


class _Server(ThreadedWSGIServer):
    """A threaded server that can end its connections, and waits for the threads behind them."""

    daemon_threads = False  # the base class would leave them running

    def __init__(self, host: str, port: int, app: _Application, handler: Type[WSGIRequestHandler]) -> None:
        self._connections: Set[socket.socket] = set()
        super().__init__(host, port, app, handler=handler)

    def process_request(self, request: _Socket, client_address: object) -> None:
        """Remember the connection, then handle it in a thread of its own."""
        if isinstance(request, socket.socket):
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Socket) -> None:
        """Forget the connection and close it."""
        if isinstance(request, socket.socket):
            self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """Let the threads of connections that clients keep open come to their end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    """Keeps connections open between requests, which its base class does not, and writes no log."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Answer one request whole: every answer has a length, and every request has been read by then."""
        self.environ = environ = self.make_environ()
        started: List[Tuple[str, Sequence[Tuple[str, str]]]] = []

        def start_response(
            status: str, headers: List[Tuple[str, str]], _exc_info: object = None, /
        ) -> Callable[[bytes], object]:
            started.append((status, headers))
            return self.wfile.write

        try:
            body = b"".join(self.server.app(environ, start_response))
        except _NoAnswerError as e:
            if e.is_silent:
                self.rfile.read(1)  # there is nothing to read before the client closes the connection
            self.close_connection = True
            return
        status, headers = started[0]
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Write nothing: the ledger has it."""
