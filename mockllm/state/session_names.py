"""The session that a request belongs to, by what the request says.

The first of these that names one decides:

1. the URL: ``/session/NAME/v1/chat/completions``,
2. the header ``x-mockllm-session``,
3. what the configuration says: ``"session": {"header": "x-test-id"}``, or ``"credential"``, which
   makes one session of all requests with the same API key.

A request that names none belongs to the current session (`sessions.Sessions.current`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.redaction import redact_name, redact_path, redact_text

HEADER = b"x-mockllm-session"
PREFIX = "/session/"
MAX_NAME = 128
MAX_QUOTED = 40  # characters of an invalid name in a message

_NAME = re.compile(rf"(?!\.\.?\Z)[A-Za-z0-9._-]{{1,{MAX_NAME}}}")
_CREDENTIAL = "credential-"
_AUTHORIZATION = b"authorization"
CREDENTIAL_HEADERS = (b"x-api-key", b"api-key", _AUTHORIZATION)
"""The headers that may hold the API key of a request."""
_BEARER = re.compile(rb"bearer +", re.IGNORECASE)


class SessionSetting(NamedTuple):
    """The member ``session`` of a configuration: the name of a header, in lower case, or the
    credential."""

    header: bytes | None = None
    by_credential: bool = False


NO_SETTING = SessionSetting()


def is_session_name(name: str) -> bool:
    """Return True for 1 to 128 of ``A-Z a-z 0-9 . _ -``, but not ``.`` or ``..``, which clients
    remove from a URL."""
    return _NAME.fullmatch(name) is not None


def split_path(path: str) -> tuple[str | None, str]:
    """Return the session that a path names, valid or not, and the path without it:
    ``/session/a/v1/models`` is ``("a", "/v1/models")``. The session is None without the prefix."""
    if not path.startswith(PREFIX):
        return None, path
    name, _, rest = path[len(PREFIX) :].partition("/")
    return name, f"/{rest}"


def split_request(request: Request) -> tuple[str | None, Request]:
    """Return the session that the path of a request names, and the request without it."""
    name, path = split_path(request.path)
    return (None, request) if name is None else (name, request._replace(path=path))


def shown_path(name: str | None, path: str) -> str:
    """Return the path whose parts `split_path` returned, for a message: without secrets."""
    prefix = "" if name is None else f"{PREFIX}{redact_name(name)}"
    return f"{prefix}{redact_path(path)}"


def named_session(
    in_path: str | None,
    headers: Mapping[bytes, bytes],
    setting: SessionSetting = NO_SETTING,
    own_headers: Sequence[bytes] = (),
) -> str | None:
    """Return the session that a request names; None if it belongs to the current one. `in_path` is
    the name that `split_path` found, `headers` are the first values by name, `own_headers` those of
    `credential_of`.

    Raises:
        RequestError: 400, the name is invalid.
    """
    if in_path is not None:
        return _valid(in_path, "in the URL")
    value = headers.get(HEADER)
    if value is not None:
        return _valid_header(HEADER, value)
    if setting.header is not None:
        value = headers.get(setting.header)
        return None if value is None else _valid_header(setting.header, value)
    if setting.by_credential:
        credential = credential_of(headers, own_headers)
        return None if credential is None else session_of_credential(credential)
    return None


def credential_of(
    headers: Mapping[bytes, bytes], own_headers: Sequence[bytes] = ()
) -> bytes | None:
    """Return the API key of a request, in whichever header it was sent; None without one. If there
    are several, that in the first of `own_headers` counts, in which the vendor's clients send it: a
    gateway may add another vendor's. An ``Authorization`` without ``Bearer`` comes last."""
    names = (*own_headers, *CREDENTIAL_HEADERS)
    for name in names:
        value = headers.get(name, b"")
        begun = _BEARER.match(value)
        if begun is not None:
            value = value[begun.end() :]
        elif name == _AUTHORIZATION:
            continue
        if value:
            return value
    return headers.get(_AUTHORIZATION) or None


def session_of_credential(credential: bytes) -> str:
    """Return the name of the session of an API key: a hash, from which a key of a real service
    cannot be recovered."""
    hashed = blake2b(credential, digest_size=16, person=b"mockllm session")
    return f"{_CREDENTIAL}{hashed.hexdigest()}"


def _valid_header(header: bytes, value: bytes) -> str:
    return _valid(value.decode("latin-1"), f"in the header {header.decode('latin-1')}")


def _valid(name: str, where: str) -> str:
    if is_session_name(name):
        return name
    raise RequestError(
        400, f"Invalid session name {where}: {describe_mistake(name)}", code="invalid_session"
    )


def describe_mistake(name: str) -> str:
    """Describe the expected form of a session's name, and the invalid one that was found."""
    found = repr(redact_text(name)[:MAX_QUOTED]) + ("…" if len(name) > MAX_QUOTED else "")
    return f"expected 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - (but not '.' or '..'), found {found}"
