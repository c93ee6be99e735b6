"""What a client asks for by headers, in the words of a mock's `error` and `fault`.

x-mockllm-error: overloaded
x-mockllm-error: {"as": "rate_limit", "retry_after": "1ms"}
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
from mockllm.config.mistakes import problems
from mockllm.config.objects import ConfigObject
from mockllm.errors import RequestError
from mockllm.wire import jsontext

ERROR, FAULT = b"x-mockllm-error", b"x-mockllm-fault"

_ENDS = ("cut", "reset", "hang")


class Wishes(ConfigObject):
    """The wishes of one client."""

    error: AnyError | None = None
    """The failure that it gets, whatever answers the request."""
    fault: AnyFaults | None = None
    """What goes wrong while its answer is sent, in place of the mock's own faults."""

    @property
    def failure(self) -> Error | None:
        """`error` as an object: validation has converted words."""
        return cast("Error | None", self.error)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """`fault` as a tuple."""
        return listed(self.fault)


NO_WISHES = Wishes()


def has_wishes(headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a client asks for something, by its headers."""
    return ERROR in headers or FAULT in headers


def read_wishes(headers: Mapping[bytes, bytes]) -> Wishes:
    """Return what a client asks for by its headers.

    Raises:
        RequestError: 400, a wish is not one that a mock could have.
    """
    if not has_wishes(headers):
        return NO_WISHES
    return _read(headers.get(ERROR), headers.get(FAULT))


@lru_cache(maxsize=256)  # a client repeats itself
def _read(error: bytes | None, fault: bytes | None) -> Wishes:
    written: dict[str, Any] = {}
    if error is not None:
        written["error"] = _decode(ERROR, error)
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


def _invalid(message: str) -> RequestError:
    return RequestError(400, message, code="invalid_wish")
