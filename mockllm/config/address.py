"""Parses the address that a server listens on, and suggests what a wrong one was meant to be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pydantic_core import PydanticCustomError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
MAX_PORT = 65535
MAX_HOST = 253  # characters of a name in the DNS (RFC 1035, section 2.3.4)
MAX_SHOWN = 100  # characters of a wrong address in a message
MIN_PORT_DIGITS = 4  # of a port, as opposed to the last group of an IPv6 address

_PORT = re.compile(r"[0-9]{1,5}")  # unlike `str.isdecimal`, without the digits of other scripts
_NAME = re.compile(r"[^\s/:\[\]-][^\s/:\[\]]*")
_SCHEME = re.compile(r"[a-z]+://", re.IGNORECASE)


def parse_address(text: str) -> tuple[str | None, int]:
    """Split ``HOST:PORT``, ``:PORT`` or ``PORT`` into host and port; without a host, it is None. An
    IPv6 address is in brackets: ``[::1]:8000``.

    Raises:
        ValueError: `text` has none of these forms; the message has the remedy.
    """
    address = _split(text)
    if address is None:
        raise ValueError(f"expected HOST:PORT, found {shown(text)}; {_remedy(text)}")
    return address


def parse_host(text: str) -> str:
    """Validate a host name or an IP address, which is without brackets; returns it unchanged.

    Raises:
        ValueError: `text` is not a host; the message has the remedy, if there is one.
    """
    if _is_host(text):
        return text
    bare = _bare(text)
    host, _, port = bare.rpartition(":")
    remedy = ""
    if _is_host(host) and _port(port) is not None and ("]:" in text or not _is_ipv6(bare)):
        remedy = f"; did you mean {host!r}, and the port {port} by itself?"
    elif _is_host(bare) and bare != text:
        remedy = f"; did you mean {bare!r}?"
    raise ValueError(f"expected a host name or an IP address, found {shown(text)}{remedy}")


def checked_address(text: str) -> str:
    """Validate an address in a configuration; returns it unchanged. An empty one is none.

    Raises:
        PydanticCustomError: `text` is not an address.
    """
    try:
        if text:
            parse_address(text)
    except ValueError as exc:
        raise PydanticCustomError("address", "{reason}", {"reason": str(exc)}) from None
    return text


def shown(text: str) -> str:
    """Return `text` in quotes on one line, cut after `MAX_SHOWN` characters."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")


def _split(text: str) -> tuple[str | None, int] | None:
    before, _, port = text.rpartition(":")
    host = before.removeprefix("[").removesuffix("]")
    number = _port(port)
    if number is None or before not in ("", _before_port(host)) or (host and not _is_host(host)):
        return None
    return host or None, number


def _remedy(text: str) -> str:
    if text.startswith(("unix:", "/", "./")):
        return "a Unix socket is given with --uds PATH"
    meant = next(filter(_split, _candidates(text)), None)
    if meant is not None and len(meant) <= MAX_SHOWN:
        return f"did you mean {meant!r}?"
    if not _bare(text):
        return f"for example, '{DEFAULT_HOST}:{DEFAULT_PORT}'"
    if _port(text.rpartition(":")[2]) is None:
        return f"a port is a number from 0 to {MAX_PORT}"
    return "the host is a name or an IP address, IPv6 in brackets"


def _candidates(text: str) -> Iterator[str]:
    """Yield addresses that `text` may have been meant to be, the most likely one first."""
    bare = _bare(text)
    host, colon, port = bare.rpartition(":")
    if _is_ipv6(host) and ("]:" in text or len(port) >= MIN_PORT_DIGITS):
        yield f"[{host}]:{port}"
    if _is_ipv6(bare):
        yield f"[{bare}]:{DEFAULT_PORT}"
    if _is_host(bare) or (colon and not port):
        yield f"{bare.removesuffix(':')}:{DEFAULT_PORT}"
    yield bare


def _bare(text: str) -> str:
    """Return `text` without scheme, path, brackets, and white space around it."""
    return re.sub(r"[\[\]]", "", _SCHEME.sub("", text.strip()).partition("/")[0])


def _is_host(text: str) -> bool:
    """True if `text` may be a host; digits alone are a port."""
    if len(text) > MAX_HOST or text.isdecimal():
        return False
    return (text.isprintable() and _NAME.fullmatch(text) is not None) or _is_ipv6(text)


def _before_port(host: str) -> str:
    return f"[{host}]" if _is_ipv6(host) else host


def _port(text: str) -> int | None:
    number = int(text) if _PORT.fullmatch(text) else None
    return None if number is None or number > MAX_PORT else number


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
