"""How the SDK is called, whatever the service: within the time of the run, once, with its failures as ours.

The clients of every service share it. Three things of the SDK are replaced, since a decision hangs on each:

    its second attempt     after a TypeError it would send an action again
    its session            it turns a refused GET (429) into an error without code, text and headers
    its reading of errors  each service knows only some shapes of an error body; CCE's fails on a web page
"""

import json
import logging
import re
from http import HTTPStatus
from threading import local
from types import TracebackType
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Type
from urllib.parse import urlsplit

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client, ClientBuilder
from huaweicloudsdkcore.exceptions.exception_handler import ExceptionHandler
from huaweicloudsdkcore.exceptions.exceptions import SdkException
from huaweicloudsdkcore.http.http_client import HttpClient
from huaweicloudsdkcore.http.http_config import HttpConfig
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, SSLError

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
from scheduler.settings import Credentials

_CONNECT_S = 5.0
_READ_S = 20.0
_LEAST_S = 3.0
"""A call is not begun with less than this left of the run."""
_MOST_TEXT = 300
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
"""A host and a port and nothing else, so that every library reads the same host out of it."""

_THROTTLED = frozenset({"Common.0024", "Common.1503", "Ecs.0118", "APIGW.0308", "APIG.0308", "CCE.02429001"})
_BUSY = frozenset({"CCE.01429002", "CCE.01429003"})
"""Another operation on the same cluster is under way."""
_NOT_IN_THIS_STATE = "the cluster does not allow this in its present state"
_UNPAID = frozenset({"CCE.01429004"})
"""Sent with status 429, yet no limit of calls: the account's balance is too low."""
_NO_RIGHT_OR_UNPAID = "Ecs.0003"
"""Sent for a right that is lacking, a frozen account and a balance that is too low alike."""
_REFUSED = frozenset(
    {
        "conflictingRequest",
        "Common.0021",
        "Common.0022",
        "Ecs.0030",
        "Ecs.0100",
        "Ecs.0110",
        "Ecs.0114",
        "Ecs.0226",
        "Ecs.0603",
        "Ecs.0605",
        "Ecs.0611",
        "Ecs.0614",
    }
)
"""Codes that blame servers of a batch (error codes of the ECS API reference)."""


class Needs(NamedTuple):
    """What a call needs: an IAM action, and what does not exist where the API says so (404)."""

    action: str
    absent: str = ""


class _Refusal(Exception):  # noqa: N818 - it never leaves this module
    """The cloud answered with an error status."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        super().__init__(response.status_code)


class _RaiseWhole(ExceptionHandler):  # type: ignore[misc]
    """Raises the whole answer, headers and all."""

    def handle_exception(self, request: object, response: requests.Response) -> NoReturn:  # noqa: ARG002 - the SDK's
        raise _Refusal(response)


class _Limits(HttpConfig):  # type: ignore[misc]
    """The SDK's settings, of which ``timeout``, read when a request is sent, is what the sending thread has set."""

    def __init__(self) -> None:
        self._of_thread = local()
        # With a name of our own the SDK does not look for one: it asks the system, and writes an id into the home.
        super().__init__(timeout=(_CONNECT_S, _READ_S), user_agent="cce-scheduler")

    @property
    def timeout(self) -> Tuple[float, float]:
        """Seconds to connect, and to wait for an answer."""
        return getattr(self._of_thread, "timeout", (_CONNECT_S, _READ_S))

    @timeout.setter
    def timeout(self, seconds: Tuple[float, float]) -> None:
        self._of_thread.timeout = seconds


class _PlainHttpClient(HttpClient):  # type: ignore[misc]
    """The SDK's HTTP client with a session that retries nothing and returns every answer."""

    def _init_session(self) -> requests.Session:
        return requests.Session()


class SendsOnce(Client):  # type: ignore[misc]
    """Goes before a client of the SDK, which then sends every request once."""

    def _call_api(self, **http_info: Any) -> Any:
        return self.do_http_request(**http_info)

    def init_http_client(self) -> None:
        """Make the HTTP client."""
        self._http_client = _PlainHttpClient(self._config, self._http_handler, self._exception_handler, self._logger)


class Channel:
    """A client of one service, project and region. May be shared by threads."""

    def __init__(  # noqa: PLR0913 - what a client is made of
        self,
        client_type: Type[SendsOnce],
        credentials: Credentials,
        project_id: str,
        *,
        endpoint: Optional[str],
        find_region: Callable[[], Any],
        remaining_s: Callable[[], float],
        timeout_s: Tuple[float, float] = (_CONNECT_S, _READ_S),
        sort: Optional[Callable[..., Tuple[Type[CloudError], str]]] = None,
    ) -> None:
        """``endpoint`` replaces the region's own; ``remaining_s`` tells how much is left of the run.

        ``timeout_s`` is the most for connecting and for reading; ``sort`` takes the place of `_sort_answer`.
        """
        _keep_quiet(client_type)
        self._remaining_s = remaining_s
        self._timeout_s = timeout_s
        self._sort = sort or _sort_answer
        self._secrets = [text for text in (credentials.ak, credentials.sk, credentials.security_token) if text]
        self.config = _Limits()
        signer = BasicCredentials(credentials.ak, credentials.sk, project_id)
        if credentials.security_token:  # an empty one would be sent as an empty signed header
            signer = signer.with_security_token(credentials.security_token)
        builder = ClientBuilder(client_type).with_http_config(self.config).with_credentials(signer)
        builder = builder.with_exception_handler(_RaiseWhole())
        builder = builder.with_endpoint(check_endpoint(endpoint)) if endpoint else builder.with_region(find_region())
        self.client = builder.build()

    def close(self) -> None:
        """Close the connections and the SDK's threads."""
        self.client.close()
        self.client.get_http_client().executor.shutdown(wait=False)

    def call(self, method: Callable[[Any], Any], request: object, needs: Needs, *, acts: bool) -> Any:
        """Call the SDK within what is left of the run, turning each of its failures into one of ours.

        A lost answer is harmless for a call that does not act; of one that ``acts`` it hides the outcome.
        """
        remaining_s = self._remaining_s()
        if remaining_s < _LEAST_S:
            raise OutOfTimeError("no time is left in this run for another call: the next run goes on")
        connect_s, read_s = self._timeout_s
        connect_s = min(connect_s, remaining_s / 3)
        # A reading takes no more than a third of what is left, so that time stays for whatever does answer.
        most_s = read_s if acts else min(read_s, max(_LEAST_S, remaining_s / 3))
        self.config.timeout = (connect_s, min(most_s, remaining_s - connect_s))
        try:
            return method(request)
        except _Refusal as e:
            raise self._refused(e.response, needs, acts=acts) from e
        except SdkException as e:
            raise self._broken(e, needs, acts=acts) from e
        except requests.exceptions.InvalidHeader as e:  # found before anything is sent
            raise PermanentCloudError(
                "the call was not sent (InvalidHeader): the access key or another text of its headers has a character "
                "that none may have, such as the end of a line: write it again"
            ) from e
        except requests.RequestException as e:  # an answer that did not come in time, or was cut off
            raise self._lost(e, needs, acts=acts) from e
        except Exception as e:  # an answer chooses its parser, and each fails in its own way
            if acts:
                raise self._lost(e, needs, acts=acts) from e
            raise UntrustedAnswerError(
                f"the answer cannot be read ({type(e).__name__}): check the endpoint and the proxy"
            ) from e

    def _broken(self, error: SdkException, needs: Needs, *, acts: bool) -> CloudError:
        """Return the failure of a connection."""
        what = f"{type(error).__name__}: {self.shown(str(error.error_msg))}"
        if acts and not _was_never_sent(error):
            return UnknownOutcomeError(
                f"the connection broke during an action ({what}): {self._fate(needs, acts=acts)}"
            )
        kind = NoAnswerError if isinstance(error.__context__, requests.Timeout) and not acts else TemporaryCloudError
        return kind(f"the cloud was not reached ({what}): check the endpoint and the network")

    def _lost(self, cause: Exception, needs: Needs, *, acts: bool) -> CloudError:
        """Return the failure of a call whose answer was lost."""
        what, fate = type(cause).__name__, self._fate(needs, acts=acts)
        if acts:
            return UnknownOutcomeError(f"the answer to an action was lost ({what}): {fate}")
        kind = NoAnswerError if isinstance(cause, requests.Timeout) else TemporaryCloudError
        return kind(f"the cloud did not answer ({what}): {fate}")

    def _fate(self, needs: Needs, *, acts: bool) -> str:
        """Return what becomes of a call without an answer: the same as of one that failed on the cloud's side."""
        return self._sort(HTTPStatus.INTERNAL_SERVER_ERROR, None, needs, acts=acts)[1]

    def _refused(self, response: requests.Response, needs: Needs, *, acts: bool) -> CloudError:
        """Return the failure that an error status tells of."""
        status = response.status_code
        code, message = read_error(response.content)
        kind, advice = self._sort(status, code, needs, acts=acts)
        retry_after_s = read_retry_after(response.headers)
        pause = "" if retry_after_s is None else f"; the API asks to wait {retry_after_s:.0f} s"
        return kind(
            f"{code or status} {self.shown(message)}: {advice}{pause}",
            code=code,
            status_code=status,
            request_id=response.headers.get("X-Request-Id") or None,
            retry_after_s=retry_after_s,
        )

    def shown(self, text: str) -> str:
        """Return a text of the cloud, shortened and without the credentials, which the API gateway likes to quote."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_MOST_TEXT]


def _keep_quiet(client_type: type) -> None:
    """Keep a client of the SDK from logging connection errors, which reach us as exceptions.

    Without a handler Python prints them to stderr.
    """
    logger = logging.getLogger(f"HuaweiCloud-SDK-{client_type.__name__}")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def check_endpoint(endpoint: str) -> str:
    """Return an endpoint that the SDK uses as it is written. Raises `InputError`.

    The SDK drops a path without a word; plain http would send a security token in the clear.
    """
    shown = endpoint.rpartition("@")[2]  # what goes before may be a password
    left_out = "a path" if shown == endpoint else "a user name"
    refusal = InputError(f'endpoint "{shown}" cannot be used: write https://HOST, without {left_out}')
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        has_port = parts.port != 0
    except ValueError as e:  # brackets or a port that make no sense
        raise refusal from e
    is_host = bool(_HOST.fullmatch(parts.netloc)) and has_port and not parts.path.strip("/") and not parts.query
    if parts.scheme not in ("http", "https") or not is_host:
        raise refusal
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise InputError(f'endpoint "{shown}" is not encrypted: write https://{parts.netloc}')
    return f"{parts.scheme}://{parts.netloc}"


def read_error(content: bytes) -> Tuple[Optional[str], str]:
    """Return code and text of an error body in any shape that is known; what is not JSON is all text.

    ::

        {"error_code", "error_msg"}                       the API gateway
        {"error": {"code", "message"}}                    ECS
        {"conflictingRequest": {"code": 409, "message"}}  Nova behind ECS: its code is the status, so the key is taken
        {"errorCode", "errorMessage"}                     CCE, in short
        {"kind": "Status", "code": 400, "errorCode", "errorMessage", "error_code", "error_msg", "message"}
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    for name, part in _parts(body):
        code = next((part[key] for key in ("errorCode", "error_code", "code") if part.get(key)), None)
        texts = (part.get("error_msg") or part.get("errorMessage") or part.get("errorMsg"), part.get("message"))
        if code is not None or any(texts):
            text = ", ".join(dict.fromkeys(str(text) for text in texts if text))
            return (code if isinstance(code, str) else name or (code and str(code))), text
    return None, content.decode(errors="replace")


def _parts(body: object) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    if isinstance(body, dict):
        yield "", body
        yield from ((name, part) for name, part in body.items() if isinstance(part, dict))


def read_retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """Return the seconds that an answer asks to wait: given as a number, with a fraction too, or as a date."""
    text = headers.get("Retry-After", "").strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:  # by the clock of who wrote the date
        return max((parsedate_to_datetime(text) - parsedate_to_datetime(headers["Date"])).total_seconds(), 0.0)
    except (KeyError, ValueError, TypeError, IndexError):
        return None


def _sort_answer(status: int, code: Optional[str], needs: Needs, *, acts: bool) -> Tuple[Type[CloudError], str]:
    """Return the kind of a refusal by status and code, and what to do about it (facts of the API's error tables)."""
    if status == HTTPStatus.UNAUTHORIZED:
        return PermanentCloudError, "check the agency of the function, or ak and sk; it is not tried again"
    if code in _UNPAID:
        return PermanentCloudError, "the balance of the account is too low: top it up"
    if acts and (code in _BUSY or _is_about_state(code or "")):
        return RefusedError, _NOT_IN_THIS_STATE
    if code in _BUSY:
        return TemporaryCloudError, "another operation on the cluster is under way, the next run tries again"
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledCloudError, "the platform's limit is reached, the next run goes on"
    if acts and code in _REFUSED:
        return RefusedError, "the batch was refused because of its servers"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        if acts:
            return UnknownOutcomeError, "the next listing shows whether it acted"
        return TemporaryCloudError, "the next run tries again"
    return PermanentCloudError, _advise(status, code or "", needs)


def _is_about_state(code: str) -> bool:
    """Whether CCE says that a cluster is in the wrong state, rather than that somebody lacks a right."""
    no_right = code.startswith(("CCE.01403001", "CCE.01403002"))
    return code.startswith(("CCE.01403", "CCE.01409")) and not no_right


def _advise(status: int, code: str, needs: Needs) -> str:
    """Return what a person does about a refusal that will not go away."""
    if _is_about_state(code):
        return _NOT_IN_THIS_STATE
    if status == HTTPStatus.FORBIDDEN:
        advice = f"grant {needs.action} in this project"
        also = ", and check that the account is neither frozen nor out of balance"
        return f"{advice}{also if code == _NO_RIGHT_OR_UNPAID else ''}"
    if not code or code.startswith(("APIGW.", "APIG.")):
        return "check the region and the endpoint"
    if status == HTTPStatus.NOT_FOUND and needs.absent:
        return f"{needs.absent} does not exist in this project: check region and project_id"
    return "check region and project_id"


def _was_never_sent(error: SdkException) -> bool:
    """Whether a connection failed before anything could be sent over it: it was not made, or its TLS was not."""
    cause = error.__context__  # what the SDK made its own exception of
    reasons: List[Any] = list(cause.args) if isinstance(cause, requests.ConnectionError) else []
    reason = getattr(reasons[0], "reason", None) if reasons else None
    if isinstance(reason, SSLError):
        first = reason.args[0] if reason.args else None
        return isinstance(first, Exception) and _passed("do_handshake", first.__traceback__)
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _passed(function: str, trace: Optional[TracebackType]) -> bool:
    """Whether an exception came out of a function: TLS also fails later, with the same types."""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == function:
            return True
        trace = trace.tb_next
    return False
