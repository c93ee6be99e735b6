"""The options for the limits of a server, as one table."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, fields

from mockllm.limits import Limits

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)


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
            help=f"{limit.help}; default %(default)s",
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
    number = int(found[1]) * UNITS[found[2].lower()] if found else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text!r}")
    return number


def seconds(text: str) -> float:
    """Parse a duration in seconds: ``10``, ``0.5``.

    Raises:
        argparse.ArgumentTypeError: `text` is not a finite duration, or negative.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {text!r}")
    return number


def _dest(name: str) -> str:
    return f"limit_{name}"
