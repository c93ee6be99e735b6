"""Routes to endpoints, and the context that these are given."""

from __future__ import annotations

import pytest

from mockllm import Config
from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.route import Context, Route
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Reply
from mockllm.state.responses import StoredResponses

REPLY = Reply.whole(204, (), b"")


def context(*peers: int) -> Context:
    """The context of a worker with `peers`."""
    return Context(Engine(load(Config())), lambda: True, StoredResponses(), frozenset(peers))


# -- Peers --


@pytest.mark.parametrize(
    ("peers", "slot", "expected"),
    [
        ((), None, False),
        ((), 0, False),
        ((0,), None, True),
        ((0,), 0, True),
        ((1, 2), 0, False),
        ((1, 2), 2, True),
    ],
)
def test_there_is_a_peer_in_a_slot_or_in_any(
    peers: tuple[int, ...], slot: int | None, expected: bool
) -> None:
    assert context(*peers).has_peer(slot) is expected


# -- Routes --


def test_a_route_needs_credentials_unless_it_is_public() -> None:
    assert not Route("GET", "/a", lambda *_: endpoint_decision(REPLY)).public
