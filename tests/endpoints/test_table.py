from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config
from mockllm.endpoints.table import ROUTES
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, CONFIG, KEY, ask
from tests.support.goldens import FRESH
from tests.support.served import MODEL


@pytest.mark.parametrize("path", ["/health", "/v1/models", f"/v1/models/{MODEL}"])
def test_head_is_allowed_wherever_get_is(path: str) -> None:
    assert ask("HEAD", path).reply.status == 200


def test_a_head_request_of_the_root_is_a_200() -> None:
    assert ask("HEAD", "/", {}).reply.status == 200
    assert ask("GET", "/", {}).reply.status == 404


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = st.sampled_from(("model", "prompt", "input", "messages", "stream", "stream_options"))
BODIES = st.dictionaries(MEMBERS, JSON | st.just("hi")).map(orjson.dumps) | st.binary(max_size=9)


@pytest.fixture(scope="module")
def engine() -> LoneApp:
    one = LoneApp(Engine(load(Config.from_dict(CONFIG))))
    body = orjson.dumps({"model": "m", "input": "hi", "background": True})
    request = Request.of("POST", "/v1/responses", ((b"authorization", b"Bearer x"),), body)
    one.responses.store(request, one.decide(request), FRESH)
    return one


@given(
    method=st.sampled_from(("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT")),
    template=st.sampled_from([route.template for route in ROUTES]),
    name=st.sampled_from(
        (MODEL, f"resp_{FRESH.unique_id.decode()}", "%ff", "a%2Fb", "", "{id}", "{id...}")
    ),
    query=st.sampled_from(("", "stream=true&starting_after=99", "limit=0", "order=asc&after=x")),
    body=BODIES,
)
def test_no_request_raises(
    engine: LoneApp, method: str, template: str, name: str, query: str, body: bytes
) -> None:
    path = template.replace("{id}", name).replace("{id...}", name)
    headers = tuple((name.encode(), value.encode()) for name, value in (KEY | ANTHROPIC).items())

    decision = engine.decide(Request.of(method, path, headers, body, query=query))

    assert decision.reply.status < 500


def test_generated_vectors_are_not_cached() -> None:
    engine = LoneApp(Engine(load(Config())))
    for _ in range(3):
        decision = ask("POST", "/v1/embeddings", body={"model": "m", "input": "hi"}, engine=engine)
        assert decision.match.outcome.value == "generated"

    assert engine._engine.match_cache is not None
    assert len(engine._engine.match_cache) == 0
