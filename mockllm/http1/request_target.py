"""Request targets and Host values (RFC 9112, section 3.2).

h11 accepts any visible characters for either. Targets that are invalid by RFC 3986 are rejected
here, and equivalent ones are normalised to the same path.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from mockllm.errors import HTTPError

_UNRESERVED = rb"A-Za-z0-9._~\-"
_REG_NAME = re.compile(rb"(?:[%b!$&'()*+,;=]|%%[0-9A-Fa-f]{2})*" % _UNRESERVED)
_LITERAL = re.compile(rb"\[(?:([0-9A-Fa-f:.]+)|v[0-9A-Fa-f]+\.[%b!$&'()*+,;=:]+)\]" % _UNRESERVED)
_PORT = re.compile(rb"(?::[0-9]*)?")

# Clients send a few characters more than RFC 3986 allows. Those excluded here are ambiguous or
# dangerous.
_ORIGIN = re.compile(r"/(?:[!$&-;=?-\[\]-~]|%[0-9A-Fa-f]{2})*")
_ABSOLUTE = re.compile(r"https?://([^/?]*)([/?].*)?", re.IGNORECASE)
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def resolve(method: str, target: str) -> tuple[str, str]:
    """Split a request target into path and query.

    The authority of an absolute target is dropped: mocks answer for any host. Encoded characters
    that need no encoding are decoded in the path (RFC 3986, section 6.2.2.2); dot segments
    are kept.

    Raises:
        HTTPError: 400, the target is invalid for this method; 501, the method is CONNECT.
    """
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        if host and port.isdecimal() and is_host(target.encode()):
            raise HTTPError(501, "CONNECT is not supported: this server is not a proxy")
        raise _invalid_target()
    if target == "*" and method == "OPTIONS":
        return "*", ""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        authority, rest = absolute[1].encode(), absolute[2] or "/"
        if not is_host(authority) or authority[:1] in (b"", b":"):
            raise _invalid_target()
        target = rest if rest.startswith("/") else f"/{rest}"
    if not _ORIGIN.fullmatch(target):
        raise _invalid_target()
    path, _, query = target.partition("?")
    return _ENCODED.sub(_decoded, path) if "%" in path else path, query


def is_host(value: bytes) -> bool:
    """True for a valid Host value: a host with an optional port, or nothing (RFC 9110, section
    7.2)."""
    literal = _LITERAL.match(value)
    if literal is not None:
        return _PORT.fullmatch(value, literal.end()) is not None and _is_address(literal[1])
    name = _REG_NAME.match(value)
    return name is not None and _PORT.fullmatch(value, name.end()) is not None


def _is_address(address: bytes | None) -> bool:
    """True for an IPv6 address, and for None, which is an address of a future version."""
    try:
        return address is None or bool(str(IPv6Address(address.decode())))
    except AddressValueError:
        return False


def _decoded(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    return character if character in _PLAIN else encoded[0]


def _invalid_target() -> HTTPError:
    """An error that does not quote the target, which may contain a credential."""
    return HTTPError(400, "Not a valid HTTP request: invalid request target")
