"""Requests that differ in nothing that anything reads: `test_repeats` has the specification."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest

from mockllm import bounded_cache
from mockllm.app import App
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from mockllm.serve import repeats
from mockllm.serve.alike import WatchedRequest
from mockllm.serve.connections import Service
from tests.support.http.answers import read_answers
from tests.support.http.messages import CHAT, HELLO, RESPONSES, asking, message, post
from tests.support.http.serving import CHANGES, CONFIGURATIONS, MOCKS, Serving, received

NUMBERS = count(10_000)


def with_id(body: bytes = HELLO, target: str = CHAT) -> bytes:
    """A request with an id of its own."""
    return post(f"X-Request-Id: {next(NUMBERS)}", body=body, target=target)


def parsed(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that are parsed, or put together, from now on."""
    found: list[bytes] = []
    recall = serving.service.heads.recall

    def noted(data: bytes) -> Any:
        found.append(data)
        return recall(data)

    monkeypatch.setattr(serving.service.heads, "recall", noted)
    return found


async def both(*reads: bytes) -> tuple[bytes, bytes]:
    """What a service writes after these reads, and one that reuses nothing."""
    kept, plain = (Serving(CONFIGURATIONS[0], reuse=reuse) for reuse in (True, False))
    return await received(kept, *reads), await received(plain, *reads)


# --- What is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        with_id,
        lambda: with_id(asking("Hello", stream=True)),
        lambda: with_id(asking("Hello", user="x" * 10_000)),
        lambda: with_id(b'{"model":"m","input":"Hello"}', RESPONSES),
        lambda: post(f"X-Request-Id: {next(NUMBERS)}", "X-Tenant: a", body=asking("any")),
        lambda: with_id(target="/v1/unknown"),
    ],
    ids=["whole", "streamed", "long", "responses", "a header that is read", "unknown path"],
)
def test_of_requests_with_ids_of_their_own_only_the_shape_is_read(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers() -> tuple[bytes, bytes, int]:
        serving, plain = (Serving(CONFIGURATIONS[0], reuse=reuse) for reuse in (True, False))
        reads = [ask() for _ in range(9)]
        await received(serving, *reads[:6])
        heads = parsed(serving, monkeypatch)
        for data in reads[6:]:
            await serving.receive(-1, data)
        return serving.written[-1], await received(plain, *reads), len(heads)

    written, expected, heads = asyncio.run(answers())

    assert written == expected
    assert heads == 0


@pytest.mark.parametrize(
    ("loaded", "line"),
    [
        (CONFIGURATIONS[0], "X-Tenant: %d"),  # a mock looks at it
        (CONFIGURATIONS[0], "X-Mockllm-Session: s%d"),
        (CONFIGURATIONS[2], "X-Request-Id: %d"),  # the session is named by a header, or not
        (CONFIGURATIONS[2], "X-Test: s%d"),
        (CONFIGURATIONS[3], "X-Request-Id: %d"),  # traffic begins and ends
    ],
)
def test_what_something_reads_is_not_kept(loaded: Any, line: str) -> None:
    async def kept() -> int:
        serving = Serving(loaded, reuse=True)
        await received(serving, *[post(line % (number % 3)) for number in range(20)])
        return len(serving.service.alike)

    assert asyncio.run(kept()) == 0


@pytest.mark.parametrize("require_auth", [True, False])
def test_credentials_that_differ_are_read_where_they_are_required(require_auth: bool) -> None:
    loaded = load(Config.from_dict({"mocks": MOCKS, "require_auth": require_auth}))
    end = ("Accept: */*", "X-A: a", f"Content-Length: {len(HELLO)}")

    async def answers() -> tuple[list[int], int]:
        serving = Serving(loaded, reuse=True)
        keys = [f"Bearer {number}" for number in range(10, 20)] + ["Basic no", "Bearer yes"]
        lines = [(f"POST {CHAT} HTTP/1.1", "Host: h", f"Authorization: {key}") for key in keys]
        written = await received(serving, *[message(*each, *end, body=HELLO) for each in lines])
        return [answer.status for answer in read_answers(written)], len(serving.service.alike)

    expected = 401 if require_auth else 200
    assert asyncio.run(answers()) == ([200] * 10 + [expected, 200], 0 if require_auth else 1)


@pytest.mark.parametrize("metered", [True, False])
def test_marks_of_retries_are_read_by_metrics(metered: bool) -> None:
    async def kept() -> tuple[int, Any, Any]:
        serving, plain = (
            Serving(CONFIGURATIONS[0], reuse=reuse, metered=metered) for reuse in (True, False)
        )
        reads = [post(f"x-stainless-retry-count: {number % 3}") for number in range(20)]
        for each in (serving, plain):
            await received(each, *reads)
        return len(serving.service.alike), serving.counts, plain.counts

    number, counted, expected = asyncio.run(kept())

    assert number == (0 if metered else 1)
    assert counted == expected


@pytest.mark.parametrize("seen_by", ["observed", "recorded"])
def test_whoever_wants_to_see_each_request_does(seen_by: str) -> None:
    async def kept() -> tuple[int, int, int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True, **{seen_by: True})
        await received(serving, *[with_id() for _ in range(20)])
        seen = serving.exchanges or serving.entries
        return len(serving.service.alike), len(seen), len({repr(each) for each in seen})

    assert asyncio.run(kept()) == (0, 20, 20)


def test_of_unmatched_requests_each_is_observed() -> None:
    async def seen() -> int:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[with_id(asking("nobody")) for _ in range(20)])
        return len({repr(exchange) for exchange in serving.exchanges})

    assert asyncio.run(seen()) == 20


def test_state_is_not_kept() -> None:
    reads = [with_id(asking("next")) for _ in range(10)]

    written, expected = asyncio.run(both(*reads))

    assert written == expected


def test_without_reuse_nothing_is_kept_or_looked_up() -> None:
    async def kept() -> tuple[int, bool]:
        serving = Serving(CONFIGURATIONS[0], reuse=False)
        await received(serving, *[with_id() for _ in range(10)])
        return len(serving.service.alike), serving.service.alike.rest > 10**9

    assert asyncio.run(kept()) == (0, True)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MAX_BYTES", 100_000)

    async def kept() -> list[int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[with_id() for _ in range(5)])
        numbers = []
        for number in range(60):
            body = asking("Hello", user=f"{number:02} {'x' * 5_000}")
            await received(serving, *[with_id(body) for _ in range(3)])
            numbers.append(len(serving.service.alike))
        return numbers

    numbers = asyncio.run(kept())

    assert 0 < max(numbers) < 12


def test_long_bodies_that_look_alike_are_told_apart() -> None:
    """By their answers, which repeat the instructions."""
    text = b"a" * 5 * repeats.MAX_HASHED
    same = b'{"model":"m","input":"Hello","instructions":"%b"}' % text
    bodies = [bytearray(same) for _ in range(3)]
    for place, body in enumerate(bodies):
        body[1_001 + place] = ord("b")
    assert len({repeats.sample(bytes(body)) for body in bodies}) == 1
    reads = [with_id(bytes(body), RESPONSES) for _ in range(6) for body in bodies]

    kept, plain = asyncio.run(both(*reads))

    assert kept == plain


# --- When it does not hold ------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_drops_all(change: str) -> None:
    async def answers() -> tuple[list[bytes], int]:
        serving, plain = (Serving(CONFIGURATIONS[0], reuse=reuse) for reuse in (True, False))
        reads = [with_id() for _ in range(9)]
        for each in (serving, plain):
            await received(each, *reads[:-1])
            CHANGES[change](each.app)
            await each.receive(-1, reads[-1])
        return [*serving.written, *plain.written], len(serving.service.alike)

    (written, expected), kept = asyncio.run(answers())

    assert written == expected
    assert kept == 0


@pytest.mark.parametrize("cut", [1, -1])
def test_more_or_less_than_one_request_is_parsed(cut: int) -> None:
    """The length of a body is one of the values that differ."""
    body = asking("Hello")
    longer = body + b" " * 20

    reads = [with_id(each) for each in (body, longer, body, longer, body, longer)] * 2
    whole = with_id(longer)
    if cut > 0:  # what looks like a whole request is the beginning of another
        at = len(whole) - 20
        reads += [whole[:at], whole[at:]]
    else:  # or there is more behind it
        reads += [with_id(body) + b" " * 20, with_id(body)]

    written, expected = asyncio.run(both(*reads))

    assert written == expected


def test_a_server_that_drains_keeps_nothing() -> None:
    async def draining() -> tuple[bytes, int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        await received(serving, *[with_id() for _ in range(8)])
        serving.service.drain(last_call=9.0)
        await serving.receive(-1, with_id())
        for _ in range(8):
            await received(serving, with_id())
        return serving.written[0], len(serving.service.alike)

    data, kept = asyncio.run(draining())
    *_, last = read_answers(data)
    assert last.closes
    assert kept == 0


def test_wishes_of_clients_are_read() -> None:
    async def kept() -> int:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        serving.service = Service(App(Engine(CONFIGURATIONS[0], client_faults=True)))
        wishes = [f"x-mockllm-latency: {number}ms" for number in (1, 2)] * 10
        await received(serving, *map(post, wishes))
        return len(serving.service.alike)

    assert asyncio.run(kept()) == 0


def test_they_are_looked_up_again_after_many_in_vain() -> None:
    async def kept() -> tuple[int, int]:
        serving = Serving(CONFIGURATIONS[0], reuse=True)
        differing = (with_id(asking("Hello", user=f"{n:06}")) for n in count())
        await received(serving, *[next(differing) for _ in range(bounded_cache.PATIENCE + 20)])
        resting = serving.service.alike.rest
        same = asking("Hello", user="always")
        await received(serving, *[with_id(same) for _ in range(4 * bounded_cache.RARELY)])
        return resting, len(serving.service.alike)

    resting, number = asyncio.run(kept())

    assert 0 < resting < bounded_cache.RARELY
    assert number == 1


# --- What is asked for ---------------------------------------------------------------------------


def watched() -> WatchedRequest:
    headers = ((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"))
    return WatchedRequest.watch(Request.of("POST", "/", headers, b"{}"))


def test_a_watched_request_notes_the_names_that_are_asked_for() -> None:
    request = watched()

    assert request.asked == set()
    assert request.first_values[b"x-a"] == b"1"
    assert request.first_values.get(b"x-c") is None
    assert b"x-d" not in request.first_values
    assert request.asked == {b"x-a", b"x-c", b"x-d"}


@pytest.mark.parametrize(
    "look",
    [
        lambda request: request.headers,
        lambda request: dict(request.first_values),
        lambda request: list(request.first_values.items()),
        lambda request: len(request.first_values),
    ],
)
def test_to_list_headers_is_to_ask_for_all(look: Any) -> None:
    request = watched()

    look(request)

    assert request.asked == {b"x-a", b"x-b"}
