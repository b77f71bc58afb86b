"""What passes between a client and the simulated cloud: a call, its answer, and what may go wrong on the way.

Nothing is decided here. A fault is acted out at the HTTP level; a scene hands them out by its ``faults`` hook.
"""

import json
from datetime import datetime
from enum import Enum
from typing import Any, Callable, Mapping, NamedTuple, Optional, Tuple

from scheduler.model import Power

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"


class Call(NamedTuple):
    """One request as the cloud sees it. A repeated query parameter is joined by commas.

    ``body`` is the parsed JSON, None where there is none or it is not JSON. ``arguments`` are the parts of the
    path that vary, ``access_key`` is who signed; both are still empty when a ``faults`` hook is asked.
    """

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    body: object = None
    arguments: Mapping[str, str] = {}
    access_key: str = ""


class Answer(NamedTuple):
    """A response: status, text and the headers besides the usual ones."""

    status: int
    text: str
    headers: Mapping[str, str] = {}
    content_type: str = JSON_TYPE


class ApiError(Exception):
    """A call is refused; ``body`` has the shape of whoever refuses it."""

    def __init__(self, status: int, code: str, message: str, body: Mapping[str, object]) -> None:
        self.code = code
        self.message = message
        self.answer = Answer(status, json.dumps(body))
        super().__init__(f"{code}: {message}")


def gateway_error(status: int, code: str, message: str, request_id: str = "") -> ApiError:
    """Make an error in the shape of the API gateway, which stands before every service."""
    return ApiError(status, code, message, {"error_msg": message, "error_code": code, "request_id": request_id})


def service_error(status: int, code: str, message: str) -> ApiError:
    """Make an error in the nested shape of ECS."""
    return ApiError(status, code, message, {"error": {"message": message, "code": code}})


def job_error(status: int, code: str, message: str) -> ApiError:
    """Make an error in the flat shape of a job query."""
    return ApiError(status, code, message, {"code": code, "message": message})


def cce_error(status: int, code: str, message: str, detail: str) -> ApiError:
    """Make an error in the long shape of CCE, which has codes of two families."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": status,
        "errorCode": code,
        "errorMessage": message,
        "error_code": f"CCE_CM.{status}",
        "error_msg": message,
        "message": detail,
        "reason": "",
    }
    return ApiError(status, code, message, body)


class FaultKind(str, Enum):
    """What becomes of the answer: replaced, never sent, never sent while the client waits, cut off, or altered."""

    ANSWER = "answer"
    RESET = "reset"
    SILENT = "silent"
    TRUNCATED = "truncated"
    ALTERED = "altered"


class Fault(NamedTuple):
    """Something that goes wrong with one call; made by the functions below.

    With ``carried_out`` the cloud does what the call asks before the fault hides its answer:
    that is how an accepted start comes to have an unknown outcome. ``happens`` is done to the cloud before that;
    ``alter`` changes the answer.
    """

    kind: FaultKind
    answer: Optional[Answer] = None
    carried_out: bool = False
    happens: Optional[Callable[[Any, Call], object]] = None
    alter: Callable[[Answer], Answer] = lambda answer: answer


Faults = Callable[[Call], Optional[Fault]]
"""Decides what goes wrong with a call; None lets it pass. Called once per request, under the cloud's lock."""


def failing(
    status: int,
    code: str,
    message: str = "A scripted fault.",
    *,
    headers: Optional[Mapping[str, str]] = None,
    carried_out: bool = False,
) -> Fault:
    """Answer with a status and a gateway error body, such as 429 ``APIGW.0308`` with ``Retry-After``."""
    answer = gateway_error(status, code, message).answer._replace(headers=headers or {})
    return Fault(FaultKind.ANSWER, answer, carried_out)


def answering(
    status: int, text: str, *, headers: Optional[Mapping[str, str]] = None, carried_out: bool = False
) -> Fault:
    """Answer with a status and any text, such as 200 and ``{"count": 0}`` where ``servers`` is missing."""
    return Fault(FaultKind.ANSWER, Answer(status, text, headers or {}), carried_out)


def html(status: int = 200, *, carried_out: bool = False) -> Fault:
    """Answer with a web page, as load balancers and firewalls do."""
    page = "<html><head><title>Service unavailable</title></head><body>Try again later.</body></html>"
    return Fault(FaultKind.ANSWER, Answer(status, page, content_type=HTML_TYPE), carried_out)


def reset(*, carried_out: bool = False) -> Fault:
    """Close the connection without an answer."""
    return Fault(FaultKind.RESET, carried_out=carried_out)


def silent(*, carried_out: bool = False) -> Fault:
    """Never answer, and keep the connection open until the client gives up."""
    return Fault(FaultKind.SILENT, carried_out=carried_out)


def meanwhile(happens: Callable[[Any, Call], object]) -> Fault:
    """Let something happen in the cloud, which is handed in with the call, before the call is answered as ever."""
    return Fault(FaultKind.ALTERED, carried_out=True, happens=happens)


def truncated() -> Fault:
    """Carry the call out, then send only half of its answer and close the connection."""
    return Fault(FaultKind.TRUNCATED, carried_out=True)


class Record(NamedTuple):
    """One line of the ledger.

    ``status`` is what the client was sent, None if nothing was. ``carried_out`` says whether the cloud did what
    was asked, whatever the client was told. ``power`` and ``server_ids`` are set for starts and stops.
    """

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    body: object
    status: Optional[int]
    carried_out: bool
    power: Optional[Power] = None
    server_ids: Tuple[str, ...] = ()
