"""The limits of a server as options of a command line, from one table."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, fields

from mockllm.limits import Limits

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LimitOption:
    """How a field of `Limits` is called on the command line, what it takes, what it bounds."""

    option: str
    metavar: str
    help: str


LIMIT_OPTIONS = {
    "head": LimitOption("--max-head", "BYTES", "of a request line and headers"),
    "headers": LimitOption("--max-headers", "N", "header lines of a request"),
    "body": LimitOption("--max-body", "BYTES", "of a request's body, decoded"),
    "unread": LimitOption("--max-unread", "BYTES", "taken behind a request being answered"),
    "connections": LimitOption("--max-connections", "N", "at once, in each worker"),
    "keep_alive": LimitOption("--keep-alive", "SECONDS", "that a connection may be idle"),
    "head_time": LimitOption("--head-time", "SECONDS", "in which a request's head must come"),
    "body_grace": LimitOption("--body-grace", "SECONDS", "in which a body may come slowly"),
    "body_rate": LimitOption("--min-body-rate", "BYTES", "a second that a body must come at"),
    "write_time": LimitOption("--write-time", "SECONDS", "for a peer to take a part of an answer"),
    "linger": LimitOption("--linger", "SECONDS", "in which a refused peer may go on sending"),
}
"""Of each field of `Limits`."""


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Give `parser` an option for each field of `Limits`."""
    group = parser.add_argument_group("limits", "Sizes may have a unit: 512KiB, 64M.")
    for field in fields(Limits):
        words = LIMIT_OPTIONS[field.name]
        group.add_argument(
            words.option,
            dest=_dest(field.name),
            type=size if isinstance(field.default, int) else seconds,
            default=field.default,
            metavar=words.metavar,
            help=f"{words.help}; default %(default)s",
        )


def limits_of(options: argparse.Namespace) -> Limits:
    """The limits that `options` say."""
    return Limits(**{field.name: getattr(options, _dest(field.name)) for field in fields(Limits)})


def size(text: str) -> int:
    """A number of bytes, or of anything: ``100``, ``64KiB``, ``64 MB`` (1024 is a K)."""
    found = _SIZE.fullmatch(text.strip())
    number = int(found[1]) * UNITS[found[2].lower()] if found else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text!r}")
    return number


def seconds(text: str) -> float:
    """A number of seconds, or of anything that may be less than one."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {text!r}")
    return number


def _dest(name: str) -> str:
    return f"limit_{name}"
