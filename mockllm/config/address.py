"""Where a server listens, as the user writes it."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
MAX_PORT = 65535


def parse_address(text: str) -> tuple[str | None, int | None]:
    """Host and port of ``HOST:PORT``, ``:PORT``, ``PORT`` or ``HOST``; None for what is absent.

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon and not port.isdecimal():
        return port or None, None
    if not port.isdecimal() or int(port) > MAX_PORT:
        raise ValueError(f"expected HOST:PORT, found {text!r}")
    return host.strip("[]") or None, int(port)


def checked_address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError:
        raise PydanticCustomError("address", "expected HOST:PORT") from None
    return text
