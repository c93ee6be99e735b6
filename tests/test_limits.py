"""The default limits: consistent with each other, and wide enough for the official clients."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import anthropic
import openai
import pytest

from mockllm.limits import KIB, MIB, Limits

LIMITS = Limits()


def test_every_limit_is_above_zero() -> None:
    assert [name for name, limit in asdict(LIMITS).items() if limit <= 0] == []


def test_a_limit_may_be_changed_alone() -> None:
    assert asdict(Limits(body=1)) == asdict(LIMITS) | {"body": 1}


def test_units_are_binary() -> None:
    assert (KIB, MIB) == (2**10, 2**20)


def test_a_whole_head_fits_into_the_bytes_read_ahead() -> None:
    """Or a pipelined request could never be read while another is answered."""
    assert LIMITS.head < LIMITS.unread < LIMITS.body


@pytest.mark.parametrize("sdk", [openai, anthropic], ids=["openai", "anthropic"])
def test_an_idle_connection_outlives_the_pool_of_a_client(sdk: Any) -> None:
    """Or a client would send a request into a connection that is being closed."""
    expiry: float = sdk.DEFAULT_CONNECTION_LIMITS.keepalive_expiry
    assert LIMITS.keep_alive > expiry


@pytest.mark.parametrize(
    ("client", "idle"),
    [
        ("nginx", 60.0),
        ("Go, reqwest", 90.0),
        ("OkHttp", 300.0),
        ("Java before version 20", 1200.0),
        ("Envoy", 3600.0),
    ],
)
def test_an_idle_connection_outlives_the_pools_of_other_clients(client: str, idle: float) -> None:
    assert LIMITS.keep_alive > idle
