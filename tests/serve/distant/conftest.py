"""Fixtures of tests with a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.redis_servers import RedisServer, new_prefix


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with closing(RedisServer()) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """The prefix of the keys of one test, without the colon that ends it."""
    return new_prefix().strip(":")
