"""The types of the command line's values: each reads a text, or says what it expected instead.

Each raises `argparse.ArgumentTypeError` for a text that is not of its type.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mockllm.cli.limit_options import seconds
from mockllm.config.address import MAX_PORT, parse_address, parse_host, shown
from mockllm.config.latency import Latency, parse_latency
from mockllm.limits import MAX_SPEED, MIN_SPEED
from mockllm.serve.distant.redis_address import RedisAddress, parse_redis_address

T = TypeVar("T")

MAX_WORKERS = 1024
MAX_JOURNAL = 10_000_000  # requests
TOKEN, OPEN = "token", "open"  # the values of --control
REFUSE, ALLOW = "refuse", "allow"  # the values of --state-lost
OWN, VLLM = "own", "vllm"  # the values of --metrics
_NUMBER = re.compile(r"[0-9]{1,9}")


def listen_addr(text: str) -> str:
    """Return HOST:PORT as it is, if it is one."""
    _parsed(parse_address, text)
    return text


def host_name(text: str) -> str:
    """Return the name or address of a host."""
    return _parsed(parse_host, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def path(text: str) -> Path:
    """Return the path of a file or directory."""
    if not text.strip():  # of an unset variable; as a path, it is the current directory
        raise argparse.ArgumentTypeError(f"expected a path, found {text!r}")
    return Path(text)


def port_number(text: str) -> int:
    """Return a port, or 0 for a free one."""
    return _whole_number(text, 0, MAX_PORT)


def worker_count(text: str) -> int:
    """Return a number of processes."""
    return _whole_number(text, 1, MAX_WORKERS)


def _whole_number(text: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {shown(text)}")
    return int(text)


def seconds_above_zero(text: str) -> float:
    """Return a time in seconds that is not 0."""
    number = seconds(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected more than 0")
    return number


def latency_of(text: str) -> Latency:
    """Return a latency: a preset, members, or both."""
    return _parsed(parse_latency, text)


def speed_of(text: str) -> float:
    """Return the factor by which times are shortened."""
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not MIN_SPEED <= speed <= MAX_SPEED:
        message = f"expected a number from {MIN_SPEED:g} to {MAX_SPEED:g}, found {shown(text)}"
        raise argparse.ArgumentTypeError(message)
    return speed


def control_mode(text: str) -> str:
    """Return who may use the control API."""
    if text not in (TOKEN, OPEN):
        raise argparse.ArgumentTypeError(
            f"expected --control or --control=open, found {shown(text)}"
        )
    return text


def metric_names(text: str) -> str:
    """Return whose names the metrics have."""
    if text not in (OWN, VLLM):
        raise argparse.ArgumentTypeError(
            f"expected --metrics or --metrics vllm, found {shown(text)}"
        )
    return text


def state_address(text: str) -> RedisAddress:
    """Return the address of the Redis that has the state."""
    return _parsed(parse_redis_address, text)


def journal_size(text: str) -> int:
    """Return a number of requests to keep."""
    return _whole_number(text, 0, MAX_JOURNAL)
