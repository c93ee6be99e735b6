"""Wishes: the error, the latency and the faults that a client asks for by headers, in the words of
a mock.

x-mockllm-error: overloaded
x-mockllm-error: {"as": "rate_limit", "retry_after": "1ms"}
x-mockllm-latency: vllm-8b,ttft=1s
x-mockllm-latency: {"ttft": "350ms", "tps": 100}
x-mockllm-fault: reset
x-mockllm-fault: {"end": "cut", "after": {"tokens": 5}}
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from pydantic import ValidationError

from mockllm.config.error import AnyError, Error
from mockllm.config.fault import AnyFaults, Fault, listed
from mockllm.config.latency import AnyLatency, Latency, read_members
from mockllm.config.mistakes import problems
from mockllm.config.objects import ConfigObject
from mockllm.errors import RequestError
from mockllm.wire import jsontext

ERROR, LATENCY, FAULT = b"x-mockllm-error", b"x-mockllm-latency", b"x-mockllm-fault"

_ENDS = ("cut", "reset", "hang")


class Wishes(ConfigObject):
    """The wishes of one client."""

    error: AnyError | None = None
    """The failure that it gets, whatever answers the request."""
    latency: AnyLatency | None = None
    """How long its answer takes, in place of what the mock says."""
    fault: AnyFaults | None = None
    """What goes wrong while its answer is sent, in place of the mock's own faults."""

    @property
    def failure(self) -> Error | None:
        """`error` as an object: validation has converted words."""
        return cast("Error | None", self.error)

    @property
    def pace(self) -> Latency | None:
        """`latency` as an object: validation has converted presets."""
        return cast("Latency | None", self.latency)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """`fault` as a tuple."""
        return listed(self.fault)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked for: ``error``, ``latency``, ``fault``."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


NO_WISHES = Wishes()


def has_wishes(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a client asks for something, by its headers."""
    return ERROR in headers or FAULT in headers or LATENCY in headers


def read_wishes(headers: Mapping[bytes, bytes]) -> Wishes:
    """Return what a client asks for by its headers.

    Raises:
        RequestError: 400, a wish is not one that a mock could have.
    """
    if not has_wishes(headers):
        return NO_WISHES
    return _read(*map(headers.get, (ERROR, LATENCY, FAULT)))


@lru_cache(maxsize=256)  # a client repeats itself
def _read(error: bytes | None, latency: bytes | None, fault: bytes | None) -> Wishes:
    written: dict[str, Any] = {}
    if error is not None:
        written["error"] = _decode(ERROR, error)
    if latency is not None:
        written["latency"] = _decode_latency(latency)
    if fault is not None:
        value = _decode(FAULT, fault)
        written["fault"] = {"end": value} if value in _ENDS and isinstance(value, str) else value
    try:
        return Wishes.model_validate(written)
    except ValidationError as exc:
        found = problems(exc, Wishes, written, "")
        raise _invalid("; ".join(f"x-mockllm-{each}" for each in found)) from exc


def _decode(name: bytes, value: bytes) -> Any:
    """Return the value of a header: JSON if it is an object or a list, else a word."""
    if not value.startswith((b"{", b"[")):
        return value.decode("ascii", "replace")
    try:
        return jsontext.loads(value)
    except ValueError as exc:
        raise _invalid(f"{name.decode()}: expected a word or JSON, found {exc}") from exc


def _decode_latency(value: bytes) -> Any:
    """Return the value of the header: JSON if it is an object, else its members."""
    decoded = _decode(LATENCY, value)
    if not isinstance(decoded, str):
        return decoded
    try:
        return read_members(decoded)
    except ValueError as exc:
        raise _invalid(f"{LATENCY.decode()}: {exc}") from exc


def _invalid(message: str) -> RequestError:
    return RequestError(400, message, code="invalid_wish")
