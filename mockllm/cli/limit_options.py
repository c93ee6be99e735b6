"""The options for the limits of a server, as one table."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, fields
from typing import Any

from mockllm.config.address import shown
from mockllm.limits import Limits

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
MAX_SIZE = 1024**4  # bytes; the decoders of compressed bodies take no more than 8 EiB
MAX_SECONDS = 1_000_000.0  # 11 days; the system's timers end at 24
_SIZE = re.compile(r"([0-9]{1,4000})\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9.]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LimitOption:
    """The option for a field of `Limits`: its name, the name of its value, and its help."""

    option: str
    metavar: str
    help: str


LIMIT_OPTIONS = {
    "head": LimitOption("--max-head", "BYTES", "size of a request line and headers"),
    "headers": LimitOption("--max-headers", "N", "number of header lines in a request"),
    "body": LimitOption("--max-body", "BYTES", "size of a request body, decoded"),
    "unread": LimitOption("--max-unread", "BYTES", "data buffered while a response is in progress"),
    "connections": LimitOption("--max-connections", "N", "open connections in each worker"),
    "keep_alive": LimitOption("--keep-alive", "SECONDS", "idle timeout of a connection"),
    "head_time": LimitOption("--head-time", "SECONDS", "time to receive a request's headers"),
    "body_grace": LimitOption(
        "--body-grace", "SECONDS", "time before --min-body-rate applies to a body"
    ),
    "body_rate": LimitOption("--min-body-rate", "BYTES", "minimum bytes per second of a body"),
    "write_time": LimitOption("--write-time", "SECONDS", "timeout of a client that reads nothing"),
    "linger": LimitOption(
        "--linger", "SECONDS", "time to keep reading from a client after refusing its request"
    ),
}
"""The option of each field of `Limits`."""


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `Limits` to `parser`."""
    group = parser.add_argument_group("limits", "Sizes accept units: 512KiB, 64M.")
    for field in fields(Limits):
        limit = LIMIT_OPTIONS[field.name]
        group.add_argument(
            limit.option,
            dest=_dest(field.name),
            type=size if isinstance(field.default, int) else seconds,
            default=field.default,
            metavar=limit.metavar,
            help=f"{limit.help}; default {_shown(limit, field.default)}",
        )


def limits_of(options: argparse.Namespace) -> Limits:
    """Return the limits given by parsed options."""
    return Limits(**{field.name: getattr(options, _dest(field.name)) for field in fields(Limits)})


def size(text: str) -> int:
    """Parse a size or a count: ``100``, ``64KiB``, ``64 MB``. K, M and G are powers of 1024.

    Raises:
        argparse.ArgumentTypeError: `text` is not a positive size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        remedy = "a number, to which K, M or G may be added, such as 64KiB"
        raise argparse.ArgumentTypeError(f"expected at least 1, found {shown(text)}; {remedy}")
    number = int(found[1]) * UNITS[found[2].lower()]
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {shown(text)}")
    if number > MAX_SIZE:
        raise argparse.ArgumentTypeError(f"expected at most 1024G, found {shown(text)}")
    return number


def seconds(text: str) -> float:
    """Parse a duration in seconds: ``10``, ``0.5``.

    Raises:
        argparse.ArgumentTypeError: `text` is not a finite duration, or negative.
    """
    try:
        number = float(text) if _SECONDS.fullmatch(text) else -1.0
    except ValueError:
        number = -1.0
    if number < 0:
        remedy = "" if text.startswith("-") else "; a number of seconds, such as 0.5"
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {shown(text)}{remedy}")
    if number > MAX_SECONDS:
        most = f"{MAX_SECONDS:,.0f} seconds"
        raise argparse.ArgumentTypeError(f"expected at most {most}, found {shown(text)}")
    return number


def _shown(limit: LimitOption, default: Any) -> str:
    """Format a default for the help: ``64 KiB``, ``100,000``, ``30 seconds``."""
    if limit.metavar == "SECONDS":
        return f"{default:g} seconds"
    if limit.metavar == "BYTES":
        for size, unit in ((1024**2, "MiB"), (1024, "KiB")):
            if default >= size and default % size == 0:
                return f"{default / size:g}{unit}"
        return f"{default:,g} bytes"
    return f"{default:,}"


def _dest(name: str) -> str:
    return f"limit_{name}"
