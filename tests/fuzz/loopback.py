"""A server on loopback that answers requests with whatever bytes it is told to, and remembers what it was asked."""

import contextlib
import socketserver
from http.client import parse_headers
from threading import Thread
from typing import Callable, Iterator, List, NamedTuple

_LONGEST_LINE = 65536


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    body: bytes


Respond = Callable[[Request], bytes]
"""Returns all that is sent back, the status line first; the connection is closed behind it."""


class Loopback:
    """Answers by ``respond``, which a scene changes; ``requests`` are those since it did."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: List[Request] = []
        self._respond: Respond = lambda _: b""

    def answer_by(self, respond: Respond) -> None:
        """Begin anew with other answers."""
        self.requests = []
        self._respond = respond

    def take(self, request: Request) -> bytes:
        """Note a request and return the answer."""
        self.requests.append(request)
        return self._respond(request)


@contextlib.contextmanager
def serve_bytes() -> Iterator[Loopback]:
    """Yield a server that runs until the end of the block."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, path, _ = self.rfile.readline(_LONGEST_LINE).decode("latin-1").split(" ", 2)
            body = self.rfile.read(int(parse_headers(self.rfile).get("Content-Length") or 0))
            # A client may hang up before it has read what makes no sense to it.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(loopback.take(Request(method, path, body)))

    class Server(socketserver.TCPServer):
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        loopback = Loopback(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield loopback
        finally:
            server.shutdown()
            thread.join()
