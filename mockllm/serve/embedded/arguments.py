"""Checks the arguments of a server that a program starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from mockllm.config.latency import Latency, read_latency
from mockllm.config.models import Config, Mock


def check_config(config: object, taker: str) -> None:
    """Check that a server of the class `taker` can load `config`.

    Raises:
        TypeError: it is no configuration, nor the path of one.
    """
    if not isinstance(config, (Config, Mapping, str, Path)):
        raise TypeError(
            f"{taker} takes a Config, a dict in the form of a configuration file, or the path of a "
            f"file or a directory of files; found {config!r:.100}{_as_config(config)}"
        )


def _as_config(mocks: object) -> str:
    """Return what to write instead of mocks alone; empty if these are none."""
    first = mocks[0] if isinstance(mocks, list) and mocks else mocks
    return "; write Config(mocks=[...])" if isinstance(first, (Mock, dict)) else ""


def check_address(
    port: object,
    uds: str | Path | None,
    ssl_certfile: str | Path | None,
    ssl_keyfile: str | Path | None,
) -> None:
    """Check that the arguments about where a server listens go together.

    Raises:
        TypeError: the port is not a number.
        ValueError: they do not.
    """
    check_type("port", port, int, "an integer")
    if uds is not None and port:
        raise ValueError("uds cannot be combined with port")
    if ssl_keyfile is not None and ssl_certfile is None:
        raise ValueError("ssl_keyfile needs ssl_certfile")


def check_type(name: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Check that the argument called `name` is of a `kind`, and no bool.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {expected}, found {value!r:.100}")


def check_count(name: str, value: int) -> None:
    """Check that an argument is a number of requests.

    Raises:
        TypeError, ValueError: it is not.
    """
    check_type(name, value, int, "a number of requests")
    if value < 0:
        raise ValueError(f"{name}: expected 0 or more, found {value}")


def check_seconds(name: str, value: float, *, is_finite: bool = False) -> None:
    """Check that an argument is a number of seconds; infinity is one unless it `is_finite`.

    Raises:
        TypeError, ValueError: it is not.
    """
    check_type(name, value, (int, float), "a number of seconds")
    if not value >= 0:
        raise ValueError(f"{name}: expected 0 or more, found {value}")
    if is_finite and value == math.inf:
        raise ValueError(f"{name}: expected a number of seconds, found infinity")


def checked_latency(value: str | Latency | Mapping[str, object] | None) -> Latency | None:
    """Return what was given as `latency`.

    Raises:
        ValueError: it is invalid.
    """
    try:
        return None if value is None else read_latency(value)
    except ValueError as exc:
        raise ValueError(f"latency: {exc}") from exc
