"""The credentials that a request was sent with. It does not know where else they stand."""

from __future__ import annotations

from collections.abc import Set
from urllib.parse import parse_qsl

from mockllm.exchange import Request

MIN_KNOWN = 8  # characters of a credential that is hidden wherever it stands; "any" is a word
_SCHEMES = ("bearer ", "basic ")
_CREDENTIAL_HEADERS = (b"authorization", b"api-key")  # the ends of their names: x-litellm-api-key
_CREDENTIAL_PARAMETERS = frozenset({"access_token", "api-key", "api_key", "apikey", "key"})


def credentials_of(request: Request) -> frozenset[str]:
    """Return the credentials in the headers and the query of a request; those with a scheme also
    without it."""
    found = [
        value.decode("latin-1")
        for name, value in request.first_values.items()
        if name.endswith(_CREDENTIAL_HEADERS)
    ]
    found += [each.partition(" ")[2].strip() for each in found if each.lower().startswith(_SCHEMES)]
    parameters = parse_qsl(request.query)
    found += [value for name, value in parameters if name.lower() in _CREDENTIAL_PARAMETERS]
    return frozenset(found) - {""}


def hideable(credentials: Set[str]) -> tuple[str, ...]:
    """Return the credentials that are hidden wherever they stand, the longest first."""
    long = (each for each in credentials if len(each) >= MIN_KNOWN)
    return tuple(sorted(long, key=len, reverse=True))
