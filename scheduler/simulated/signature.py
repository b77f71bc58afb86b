"""Checks the request signature ``SDK-HMAC-SHA256`` that the API gateway demands.

Written from the documented algorithm, not from the SDK, so that the two can disagree:
https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html
"""

import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from typing import Callable, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote

ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
MAX_SKEW = timedelta(minutes=15)

_MUST_BE_SIGNED = ("host", "x-sdk-date")


class SignatureError(Exception):
    """A signature that proves nothing. The message is the ending of the gateway's own."""


class Secrets(NamedTuple):
    """What only the holder of an access key knows; temporary keys have a token as well."""

    sk: str
    security_token: Optional[str] = None


class SignedRequest(NamedTuple):
    """The parts of a request that a signature covers: names of ``headers`` in lower case, the rest decoded."""

    method: str
    path: str
    query: Sequence[Tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def verify(request: SignedRequest, secrets_of: Callable[[str], Optional[Secrets]], now: datetime) -> str:
    """Return the access key that signed ``request`` at most 15 minutes from ``now``, or raise `SignatureError`."""
    access_key, signed_headers, signature = _parse(request.headers.get("authorization", ""))
    secrets = secrets_of(access_key)
    if secrets is None:
        raise SignatureError(f"ak {access_key} not exist")
    if request.headers.get("x-security-token") != secrets.security_token:
        raise SignatureError("decrypt token fail")
    _check_date(request.headers.get("x-sdk-date", ""), now)
    if any(name not in signed_headers for name in _MUST_BE_SIGNED):
        raise SignatureError("verify aksk signature fail, host or x-sdk-date is not signed")
    if not hmac.compare_digest(signature.encode(), sign(request, signed_headers, secrets.sk).encode()):
        raise SignatureError("verify aksk signature fail")
    return access_key


def sign(request: SignedRequest, signed_headers: Sequence[str], sk: str) -> str:
    """Return the signature of ``request`` as hexadecimal text."""
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            "&".join(f"{_quote(key)}={_quote(value)}" for key, value in sorted(request.query)),
            "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed_headers),
            ";".join(signed_headers),
            _sha256(request.body),
        )
    )
    to_sign = "\n".join((ALGORITHM, request.headers.get("x-sdk-date", ""), _sha256(canonical.encode())))
    return hmac.new(sk.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def _parse(authorization: str) -> Tuple[str, Sequence[str], str]:
    algorithm, _, rest = authorization.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if algorithm != ALGORITHM or set(fields) != {"Access", "SignedHeaders", "Signature"}:
        raise SignatureError("Unauthorized")
    return fields["Access"], fields["SignedHeaders"].split(";"), fields["Signature"]


def _check_date(text: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(text, DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        raise SignatureError("verify aksk signature fail, x-sdk-date is missing or malformed") from None
    if abs(signed_at - now) > MAX_SKEW:
        raise SignatureError("verify aksk signature fail, x-sdk-date is more than 15 minutes off")


def _canonical_path(path: str) -> str:
    quoted = "/".join(_quote(segment) for segment in path.split("/"))
    return quoted if quoted.endswith("/") else quoted + "/"


def _quote(text: str) -> str:
    return quote(text, safe="~")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
