"""The real cloud: one project in one region through the real SDK, and the SDK's failures as ours.

The only importer of the SDK. It retries nothing: the SDK's own retry cannot read every ``Retry-After`` and never
retries an action. Least privilege for what is called here: ``ecs:cloudServers:list``, ``ecs:cloudServers:start``
and ``ecs:cloudServers:stop``.
"""

import logging
from http import HTTPStatus
from typing import Any, Callable, List, NoReturn, Optional, Sequence
from urllib.parse import urlsplit

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import ClientBuilder
from huaweicloudsdkcore.exceptions.exceptions import (
    HostUnreachableException,
    SdkException,
    ServiceResponseException,
    SslHandShakeException,
)
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkecs.v2 import (
    BatchStartServersOption,
    BatchStartServersRequest,
    BatchStartServersRequestBody,
    BatchStopServersOption,
    BatchStopServersRequest,
    BatchStopServersRequestBody,
    EcsClient,
    ListServersDetailsRequest,
)
from huaweicloudsdkecs.v2 import (
    ServerId as SdkServerId,
)

from scheduler.cloud import PAGE_SIZE
from scheduler.errors import (
    CloudError,
    InputError,
    PermanentCloudError,
    RefusedError,
    TemporaryCloudError,
    ThrottledCloudError,
    UnknownOutcomeError,
    UntrustedAnswerError,
)
from scheduler.model import JobId, Server, ServerId, StopType
from scheduler.settings import Credentials

_CONNECT_S = 5.0
_READ_S = 20.0
_LEAST_S = 3.0
"""A call is not begun with less than this left of the run."""

_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What the SDK raises when it meets an answer that it cannot read."""

_THROTTLED = frozenset({"Common.0024", "Common.1503", "Ecs.0118", "APIGW.0308", "APIG.0308"})
_REFUSED = frozenset(
    {
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

# The SDK logs connection errors, which reach us as exceptions; without a handler Python prints them to stderr.
logging.getLogger("HuaweiCloud-SDK-_Client").addHandler(logging.NullHandler())


class _Client(EcsClient):  # type: ignore[misc]
    """The SDK's client, without its second attempt: after a TypeError it would send an action again."""

    def _call_api(self, **http_info: Any) -> Any:
        return self.do_http_request(**http_info)


class HuaweiCloud:
    """Keeps `scheduler.cloud.Cloud` for one project in one region. May be shared by threads."""

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        project_id: str,
        *,
        endpoint: Optional[str] = None,
        remaining_s: Callable[[], float],
    ) -> None:
        """``endpoint`` replaces the region's own; ``remaining_s`` tells how much is left of the run."""
        self._remaining_s = remaining_s
        self._secrets = [text for text in (credentials.ak, credentials.sk, credentials.security_token) if text]
        self._config = HttpConfig(timeout=(_CONNECT_S, _READ_S))
        signer = BasicCredentials(credentials.ak, credentials.sk, project_id)
        if credentials.security_token:  # an empty one would be sent as an empty signed header
            signer = signer.with_security_token(credentials.security_token)
        builder = ClientBuilder(_Client).with_http_config(self._config).with_credentials(signer)
        if endpoint:
            builder = builder.with_endpoint(check_endpoint(endpoint))
        else:
            builder = builder.with_region(_find_region(region))
        self._client = builder.build()

    def list_page(
        self, *, tag: Optional[str] = None, marker: Optional[ServerId] = None, page: Optional[int] = None
    ) -> Sequence[Server]:
        """Return one page; raises `UntrustedAnswerError` where the answer lacks what it must have."""
        asked = {"limit": PAGE_SIZE, "tags": tag, "marker": marker, "offset": page}
        # Only set attributes are sent, and an attribute that is None counts as set.
        request = ListServersDetailsRequest(**{k: v for k, v in asked.items() if v is not None})
        answer = self._call(self._client.list_servers_details, request, acts=False)
        if answer.status_code != HTTPStatus.OK or answer.servers is None:
            raise UntrustedAnswerError(
                "the server listing is not what the API documents (no `servers`): check the endpoint and the proxy",
                status_code=answer.status_code,
            )
        return [_server(detail) for detail in answer.servers]

    def start(self, server_ids: Sequence[ServerId]) -> JobId:
        """Send one batch start."""
        option = BatchStartServersOption(servers=_ids(server_ids))
        request = BatchStartServersRequest(body=BatchStartServersRequestBody(os_start=option))
        return _job(self._call(self._client.batch_start_servers, request, acts=True))

    def stop(self, server_ids: Sequence[ServerId], stop_type: StopType) -> JobId:
        """Send one batch stop."""
        option = BatchStopServersOption(servers=_ids(server_ids), type=stop_type.value)
        request = BatchStopServersRequest(body=BatchStopServersRequestBody(os_stop=option))
        return _job(self._call(self._client.batch_stop_servers, request, acts=True))

    def close(self) -> None:
        """Close the connections and the SDK's threads."""
        self._client.close()
        self._client.get_http_client().executor.shutdown(wait=False)

    def _call(self, method: Callable[[Any], Any], request: object, *, acts: bool) -> Any:
        """Call the SDK within what is left of the run, turning each of its failures into one of ours."""
        remaining_s = self._remaining_s()
        if remaining_s < _LEAST_S:
            raise TemporaryCloudError("no time is left in this run for another call: the next run goes on")
        connect_s = min(_CONNECT_S, remaining_s / 3)
        self._config.timeout = (connect_s, min(_READ_S, remaining_s - connect_s))
        try:
            return method(request)
        except SdkException as e:
            raise _cloud_error(e, self._hide(str(e.error_msg)), acts=acts) from e
        except requests.RequestException as e:  # a POST that timed out while reading comes raw
            _raise_lost(e, acts=acts)
        except _UNREADABLE as e:
            if acts:
                _raise_lost(e, acts=acts)
            raise UntrustedAnswerError(
                f"the answer cannot be read ({type(e).__name__}): check the endpoint and the proxy"
            ) from e

    def _hide(self, text: str) -> str:
        """Return a text of the cloud without the credentials, which the API gateway likes to quote."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def check_endpoint(endpoint: str) -> str:
    """Return an endpoint that the SDK uses as it is written. Raises `InputError`.

    The SDK drops a path without a word; plain http would send a security token in the clear.
    """
    refusal = InputError(f'endpoint "{endpoint}" cannot be used: write https://HOST, without a path')
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        has_port = parts.port != 0
    except ValueError as e:  # brackets or a port that make no sense
        raise refusal from e
    is_host = bool(parts.hostname) and has_port and not parts.path.strip("/") and not parts.query
    if parts.scheme not in ("http", "https") or not is_host:
        raise refusal
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise InputError(f'endpoint "{endpoint}" is not encrypted: write https://{parts.netloc}')
    return f"{parts.scheme}://{parts.netloc}"


def _find_region(region: str) -> Any:
    from huaweicloudsdkecs.v2.region.ecs_region import EcsRegion  # imports yaml, for files that may change its table

    try:
        return EcsRegion.value_of(region)
    except KeyError as e:
        raise PermanentCloudError(f'unknown region "{region}": correct it, or set the endpoint') from e


def _ids(server_ids: Sequence[ServerId]) -> List[Any]:
    return [SdkServerId(id=server_id) for server_id in server_ids]


def _job(answer: Any) -> JobId:
    """Return the job of an accepted action; an answer without one tells nothing."""
    if answer.status_code == HTTPStatus.ACCEPTED:
        raise ThrottledCloudError("the API is busy and delayed the action (202): the next run goes on", status_code=202)
    if answer.status_code != HTTPStatus.OK or not answer.job_id:
        raise UnknownOutcomeError(
            "the API answered an action without a job_id: the next listing shows whether it acted",
            status_code=answer.status_code,
        )
    return JobId(answer.job_id)


def _server(detail: Any) -> Server:
    """Convert one entry of a listing; everything but the id may be missing."""
    if detail is None or not detail.id:
        raise UntrustedAnswerError("a server in the listing has no id: nothing is decided from it")
    metadata = detail.metadata or {}
    fault = detail.fault or {}
    return Server(
        server_id=ServerId(detail.id),
        name=detail.name,
        status=detail.status,
        task_state=detail.os_ext_st_stask_state or None,
        tags=None if detail.tags is None or None in detail.tags else tuple(detail.tags),
        locked=detail.locked,
        frozen=metadata.get("EcmResStatus") == "freeze",
        charging_mode=metadata.get("charging_mode"),
        created=detail.created,
        updated=detail.updated,
        fault=str(fault.get("message")) if isinstance(fault, dict) and fault.get("message") else None,
        flavor=detail.flavor.id if detail.flavor else None,
    )


def _raise_lost(cause: Exception, *, acts: bool) -> NoReturn:
    """Raise for a call whose answer was lost: harmless for a listing, an unknown outcome for an action."""
    what = type(cause).__name__
    if acts:
        raise UnknownOutcomeError(
            f"the answer to an action was lost ({what}): the next listing shows whether it acted"
        ) from cause
    raise TemporaryCloudError(f"the cloud did not answer ({what}): the next run tries again") from cause


def _cloud_error(error: SdkException, message: str, *, acts: bool) -> CloudError:
    """Sort a failure of the SDK by what a caller does about it; ``message`` is its own, fit to be shown."""
    text = " ".join(message.split())[:300]
    if not isinstance(error, ServiceResponseException):
        what = f"{type(error).__name__}: {text}"
        if acts and not isinstance(error, (HostUnreachableException, SslHandShakeException)):
            return UnknownOutcomeError(
                f"the connection broke during an action ({what}): the next listing shows its outcome"
            )
        return TemporaryCloudError(f"the cloud was not reached ({what}): check the endpoint and the network")
    status, code = error.status_code, None if error.error_code is None else str(error.error_code)
    kind, advice = _sort_answer(status, code or "", acts=acts)
    return kind(f"{code} {text}: {advice}", code=code, status_code=status, request_id=error.request_id or None)


def _sort_answer(status: int, code: str, *, acts: bool) -> "tuple[type[CloudError], str]":
    """Return the kind of a refusal by status and code, and what to do about it (facts of the API's error tables)."""
    if status == HTTPStatus.UNAUTHORIZED:
        return PermanentCloudError, "check the agency of the function, or ak and sk; it is not tried again"
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledCloudError, "the platform's limit is reached, the next run goes on"
    if acts and code in _REFUSED:
        return RefusedError, "the batch was refused because of its servers"
    if status == HTTPStatus.FORBIDDEN:
        return PermanentCloudError, "grant ecs:cloudServers:list, :start and :stop in this project"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if acts:
            return UnknownOutcomeError, "the next listing shows whether it acted"
        return TemporaryCloudError, "the next run tries again"
    if code.startswith(("APIGW.", "APIG.")):
        return PermanentCloudError, "check the region and the endpoint"
    if acts:
        return RefusedError, "the batch was refused"
    return PermanentCloudError, "check region and project_id"


def read_profile() -> "tuple[Credentials, Optional[str]]":
    """Return key and project of the SDK's profile file, ``~/.huaweicloud/credentials``. Raises `InputError`."""
    from configparser import Error

    from huaweicloudsdkcore.auth.provider import ProfileCredentialProvider

    try:
        found = ProfileCredentialProvider.get_basic().get_credentials()
    except Error as e:  # its text quotes the file, keys and all
        raise InputError("the credentials file is not an INI file with a section [basic]") from e
    except (SdkException, ValueError, TypeError, OSError) as e:
        raise InputError(str(e)) from e
    if not found.ak or not found.sk:
        raise InputError("the section [basic] of the credentials file has no ak and sk")
    return Credentials(found.ak, found.sk, found.security_token or None), found.project_id or None
