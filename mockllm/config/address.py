"""Parses the address that a server listens on."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
MAX_PORT = 65535


def parse_address(text: str) -> tuple[str | None, int | None]:
    """Split ``HOST:PORT``, ``:PORT``, ``PORT`` or ``HOST`` into host and port, each of
    which may be None.

    Raises:
        ValueError: `text` has none of these forms.
    """
    host, colon, port = text.rpartition(":")
    if not colon and not port.isdecimal():
        return port or None, None
    if not port.isdecimal() or int(port) > MAX_PORT:
        raise ValueError(f"expected HOST:PORT, found {text!r}")
    return host.strip("[]") or None, int(port)


def checked_address(text: str) -> str:
    """Validate an address in a configuration; returns it unchanged.

    Raises:
        PydanticCustomError: `text` is not an address.
    """
    try:
        parse_address(text)
    except ValueError:
        raise PydanticCustomError("address", "expected HOST:PORT") from None
    return text
