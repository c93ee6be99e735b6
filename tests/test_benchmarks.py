"""The pure parts of the benchmarks: requests, checks of answers, figures. Nothing is measured."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest

from benchmarks import (
    conditions,
    exchange,
    footprint,
    h2load,
    load_tools,
    loads,
    machine,
    measure,
    paced,
    paced_peer,
    picture,
    report,
    service,
    verdict,
    wrk,
)
from benchmarks.__main__ import select_loads
from benchmarks.conditions import KINDS, Kind
from benchmarks.exchange import Received, WrongAnswerError
from benchmarks.loads import (
    CONDITIONS,
    CONFIGS,
    GROUPS,
    LARGE,
    LIMIT,
    LOADS,
    OURS,
    PACED_ITL,
    Answer,
    Load,
    Template,
)
from benchmarks.measure import Figure, Row
from benchmarks.outcome import LoadError, Outcome
from benchmarks.paced_picture import Round
from benchmarks.servers import CONTENDERS, as_installed
from benchmarks.servers.paced_limit import split_reply
from benchmarks.verdict import Baseline
from mockllm import Server
from mockllm.providers.openai.chat import CHAT
from tests.support.matches import compile_rule
from tests.support.strategies import ask_chat

EVERY_LOAD = pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)


def body_of(request: bytes) -> bytes:
    """The body of one complete request, as h11 parses it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    body = b""
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.Request), event
    assert server.trailing_data == (b"", False)
    return body


# --- requests and loads --------------------------------------------------------------------------


@EVERY_LOAD
def test_every_numbered_request_is_valid(load: Load) -> None:
    for number in (0, 9, 10_000_015):
        assert json.loads(body_of(load.request.render(number)))["messages"]


@EVERY_LOAD
def test_the_bytes_at_the_end_of_a_request_occur_only_there(load: Load) -> None:
    request = load.request.render(7)
    assert request.index(loads.END) == len(request) - len(loads.END)


@EVERY_LOAD
def test_a_load_is_measured_against_the_limit_or_a_load_of_its_group(load: Load) -> None:
    (group,) = (group for group in GROUPS if load in group)
    others = {other.name for other in group if OURS in other.servers}
    assert load.against in ({LIMIT} if LIMIT in load.servers else others)
    assert load.config in CONFIGS
    assert set(load.servers) <= set(CONTENDERS)


def test_names_of_loads_are_unique() -> None:
    assert sum(map(len, GROUPS)) == len(LOADS)


def test_requests_repeat_unless_the_load_varies() -> None:
    constant = {name for name, load in LOADS.items() if len(_rendered(load)) == 1}
    assert constant == {
        *("small", "small_h2load", "workers_2", "idle", "limited", "limited_places", "sdk_headers"),
        *("pool_2", "shared_pool_2", "conversation", "stream", "not_found"),
    }
    assert len({body_of(one) for one in _rendered(LOADS["heads_differ"])}) == 16
    for name in set(LOADS) - constant - {"heads_differ"}:
        assert len({body_of(one) for one in _rendered(LOADS[name])}) == 50


def _rendered(load: Load) -> set[bytes]:
    return {load.request.render(number) for number in range(50)}


def test_the_conversation_is_as_long_as_its_name_says() -> None:
    assert len(LOADS["conversation"].request.render(0)) == pytest.approx(35_000, rel=0.02)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("long", [False, True])
def test_one_of_the_mocks_that_differ_in_a_condition_answers(kind: Kind, long: bool) -> None:
    rules = [compile_rule(CHAT, kind.match(number), number) for number in range(conditions.COUNT)]
    for number in (conditions.FIRST[long], conditions.LAST[long]):
        members, messages = kind.ask(number, long)
        prompt = ask_chat(messages, **members)

        assert [rule.index for rule in rules if rule.difference(prompt, {}) is None] == [number]
        size = len(json.dumps(messages))
        assert size == pytest.approx(35_000, rel=0.15) if long else size < 2_000


def test_loads_of_conditions_are_measured_if_they_are_selected() -> None:
    assert set(LOADS) >= CONDITIONS
    assert not CONDITIONS & select_loads([], quick=False)
    assert select_loads(["conditions"], quick=True) == CONDITIONS


def test_the_baseline_names_only_loads_and_metrics_that_exist() -> None:
    baseline = Baseline.read()
    of_servers = {metric.name for server in CONTENDERS for metric in footprint.of_server(server)}
    of_ours = {
        metric.name
        for metric in (
            footprint.START_ALL,
            footprint.START_MANY,
            footprint.MEMORY_MANY,
            footprint.MEMORY_WORKER,
            footprint.START_EMBEDDED,
            footprint.OF_TESTS,
            footprint.ADD_MANY,
            footprint.MEMORY_SLOW,
            footprint.BESIDE_SLOW,
            footprint.DRAIN,
        )
    }
    assert set(baseline.ratios_at_least) <= set(LOADS)
    of_paced = {metric.name for metric in (paced.CPU, paced.LATE, paced.MEMORY, paced.ARRIVALS)}
    of_paced |= {crowd.metric.name for crowd in paced.CROWDS}
    of_tools = {each.name for tool in load_tools.TOOLS for each in load_tools.metrics_of(tool)}
    of_service = {each.name for one in service.SERVICE for each in service.metrics_of(one)}
    others = of_paced | of_tools | of_service
    assert set(baseline.footprint_at_most) <= of_servers | of_ours | others


def test_the_tokenizer_of_load_generators_knows_every_byte(tmp_path: Path) -> None:
    load_tools.write_tokenizer(tmp_path)

    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    symbols = tokenizer["model"]["vocab"]
    assert sorted(symbols.values()) == list(range(256))
    assert (symbols["A"], symbols["Ġ"], symbols["Ċ"]) == (0x41, 0x20, 0x0A)


@pytest.mark.skipif(sys.platform != "linux", reason="benchmarks need Linux")
def test_the_lateness_of_the_server_stands_beside_the_figures_of_a_load_generator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = load_tools.Report(loads.LOAD_TOOL_TTFT * 2, loads.LOAD_TOOL_ITL)

    def ask(port: int, *_: Path) -> list[str]:
        body = {"model": "mock", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"authorization": "Bearer any", "content-type": "application/json"}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        call = f"urlopen(Request({url!r}, {json.dumps(body).encode()!r}, {headers})).read()"
        return [sys.executable, "-c", f"from urllib.request import *; {call}"]

    tool = load_tools.Tool("true", ask, lambda _: told)
    monkeypatch.setattr(load_tools, "TOOLS", [tool])
    cores = machine.Cores.of_this_process()

    found = load_tools.measure(measure.Bench(measure.QUICK, cores, tmp_path, lambda _: None))

    ttft, itl, late = found
    assert (ttft.metric.name, ttft.value) == ("true_ttft", 1.0)
    assert (itl.metric.name, itl.value) == ("true_itl", 0.0)
    assert late.metric.name == "true_late"
    assert late.value is not None, late.why
    assert late.value >= 0


def test_an_answer_without_lateness_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "fetch", lambda *_: Received(200, b'{"status":"ok"}', b""))

    with pytest.raises(WrongAnswerError, match="/health answered"):
        exchange.read_late(1)


def test_the_frames_of_the_paced_limit_are_the_answer_in_as_many_writes_as_tokens() -> None:
    with Server(CONFIGS["one_paced"](), latency="instant") as server:
        port = int(server.base_url.rpartition(":")[2])
        raw = exchange.fetch(port, LOADS["stream"].request.render(0)).raw

    frames = split_reply(raw)

    assert b"".join(frames) == raw
    assert len(frames) == loads.PACED_WORDS
    assert all(frame.count(b"chunk") for frame in frames)


def test_paced_streams_are_read_to_their_ends() -> None:
    config = CONFIGS["one_paced"]()
    with Server(config, speed=100) as server:
        port = int(server.base_url.rpartition(":")[2])
        request = LOADS["stream"].request.render(0)
        with exchange.Streams(port, request, 3, spread=0.0) as streams:
            streams.ask()
            streams.read()
        timing = json.loads(exchange.fetch(port, exchange.HEALTH).body)["timing"]

    assert timing["steps"] == 3 * loads.PACED_WORDS


# --- the script of the load generator ------------------------------------------------------------


def test_a_constant_request_is_one_text_in_the_script() -> None:
    script = wrk.script(Template('POST /"a\\b" HTTP/1.1\r\n\r\n', "{}"))
    assert 'local whole = "POST /\\034a\\092b\\034 HTTP/1.1\\013\\010\\013\\010{}"' in script


def test_placeholders_become_expressions_in_the_script() -> None:
    script = wrk.script(Template("x: <trace>\r\nlength: <length>\r\n", "<n> <user>"))
    assert 'local body = string.format("%d", n) .. " " .. ("u"):rep(1 + n % 16)' in script
    head = '"x: " .. string.format("%032x", n) .. "\\013\\010length: " .. #body .. "\\013\\010"'
    assert f"return {head} .. body" in script


# --- the other load generator --------------------------------------------------------------------


def test_what_h2load_tells_is_an_outcome() -> None:
    printed = (
        "finished in 1.00s, 100.00 req/s, 32.31MB/s\n"
        "requests: 116 total, 116 started, 100 done, 98 succeeded, 3 failed, 1 errored, 0 timeout\n"
        "status codes: 97 2xx, 0 3xx, 2 4xx, 1 5xx\n"
    )
    log = "".join(f"{number}\t200\t{number}\n" for number in range(1, 101))

    assert h2load.outcome(printed, log, 1) == Outcome(100, 1_000_000, 3, 1, 50, 100)
    with pytest.raises(LoadError, match="no counts: could not connect"):
        h2load.outcome("could not connect\n", log, 1)


@pytest.mark.skipif(not h2load.is_installed(), reason=h2load.MISSING)
def test_h2load_sends_the_request_of_a_load(tmp_path: Path) -> None:
    load = LOADS["small_h2load"]
    with Server(CONFIGS[load.config](), journal=1_000_000, control=True) as server:
        port = int(server.base_url.rpartition(":")[2])
        told = h2load.run(port, load.request, tmp_path, seconds=1)
        received = server.calls[0].headers

    measure.check_outcome(told, load)
    assert 0 < told.p50 <= told.p99
    assert received["authorization"]
    assert received["content-type"] == "application/json"


# --- answers -------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(set(CONFIGS) - LARGE), scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The name of a configuration, and the port of a mockllm server with it."""
    with Server(CONFIGS[request.param]()) as server:
        yield request.param, int(server.base_url.rpartition(":")[2])


def test_the_load_of_slow_readers_requests_5_mb() -> None:
    with Server(CONFIGS["one_and_long"]()) as server:
        port = int(server.base_url.rpartition(":")[2])
        received = exchange.fetch(port, loads.LONG_STREAM.render(0))
        with exchange.slow_readers(port, loads.LONG_STREAM.render(0), 2):
            exchange.check(exchange.fetch(port, LOADS["small"].request.render(0)), Answer())

    exchange.check(received, loads.LONG_ANSWER)
    assert len(received.raw) == pytest.approx(5_000_000, rel=0.05)


def test_the_server_answers_the_loads(served: tuple[str, int]) -> None:
    config, port = served
    for load in LOADS.values():
        if load.config == config:
            exchange.check(exchange.fetch(port, load.request.render(3)), load.answer)


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def test_an_expected_answer_passes() -> None:
    exchange.check(Received(200, completion("Hi"), b""), Answer(text="Hi"))


@pytest.mark.parametrize(
    ("received", "wanted", "message"),
    [
        (Received(500, b"oh", b""), Answer(), "status 500 instead of 200: oh"),
        (Received(200, completion("Hi"), b""), Answer(404, ""), "status 200 instead of 404"),
        (Received(200, completion("Ho"), b""), Answer(text="Hi"), "'Ho' instead of 'Hi'"),
        (Received(200, b"[]", b""), Answer(), "not a chat completion"),
        (Received(200, b"<html>", b""), Answer(), "not a chat completion"),
        (
            Received(200, b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', b""),
            Answer(text="Hi", chunks=2),
            "1 chunks with text instead of 2",
        ),
    ],
)
def test_a_wrong_answer_is_reported(received: Received, wanted: Answer, message: str) -> None:
    with pytest.raises(WrongAnswerError, match=message):
        exchange.check(received, wanted)


# --- figures -------------------------------------------------------------------------------------


def row(load: str, server: str, *costs: float) -> Row:
    return Row(load, server, tuple(Figure(cost, 1000, 10, 100) for cost in costs))


ROWS = (
    row("small", LIMIT, 8, 80, 7),
    row("small", OURS, 20, 16, 1),
    row("idle", OURS, 32),
    Row("stream", OURS, why="a socket error"),
)


def test_a_ratio_divides_the_medians_of_the_reference_and_the_load() -> None:
    assert verdict.ratios(ROWS) == {("small", OURS): 0.5, ("idle", OURS): 0.5}


def test_a_figure_within_its_bound_is_not_reported() -> None:
    baseline = Baseline({"small": 0.5}, {"start": 1.0})
    metric = footprint.Metric("start", "start-up", "s")
    measurements = [footprint.Measurement(metric, 1.0)]
    assert list(verdict.missed(ROWS, measurements, baseline, {"small", "start"})) == []


def test_figures_beyond_their_bound_or_not_measured_are_reported() -> None:
    baseline = Baseline(
        {"small": 0.51, "stream": 0.1, "conversation": 0.1}, {"start": 1.0, "end": 1}
    )
    metric = footprint.Metric("start", "start-up", "s")
    measurements = [footprint.Measurement(metric, 1.5)]
    selected = {"small", "stream", "start", "end"}
    assert list(verdict.missed(ROWS, measurements, baseline, selected)) == [
        "small: the ratio is 0.500, its baseline is 0.51",
        "stream: not measured: a socket error",
        "start: 1.500 s, at most 1.0",
        "end: not measured: it did not run",
    ]


def test_a_round_with_an_error_is_not_a_figure() -> None:
    load = LOADS["small"]
    measure.check_outcome(Outcome(5, 1, 0, 0, 1, 1), load)
    for outcome, message in (
        (Outcome(5, 1, 0, 1, 1, 1), "1 socket errors or timeouts"),
        (Outcome(5, 1, 2, 0, 1, 1), "2 of 5 answers with a wrong status"),
        (Outcome(0, 1, 0, 0, 1, 1), "no request was answered"),
    ):
        with pytest.raises(WrongAnswerError, match=message):
            measure.check_outcome(outcome, load)


def test_a_status_other_than_the_expected_404_is_an_error() -> None:
    load = LOADS["not_found"]
    measure.check_outcome(Outcome(5, 1, 5, 0, 1, 1), load)
    with pytest.raises(WrongAnswerError, match="1 of 5 answers with a wrong status"):
        measure.check_outcome(Outcome(5, 1, 4, 0, 1, 1), load)


def test_the_table_has_a_line_for_every_row() -> None:
    lines = list(report.table(ROWS, Baseline({"small": 0.51}, {})))
    assert [" ".join(line.split()) for line in lines] == [
        "load server CPU µs least req/s p50 µs p99 µs ratio",
        "small request limit 8.0 7.0 1,000 10 100",
        "mockllm 16.0 1.0 1,000 10 100 0.500 at least 0.51: missed",
        f"{LOADS['idle'].title} mockllm 32.0 32.0 1,000 10 100 0.500 of small request",
        "stream of 50 chunks mockllm not measured: a socket error",
    ]


def test_the_picture_has_a_bar_for_every_figure() -> None:
    drawn = ElementTree.fromstring(picture.draw(ROWS, "a < b"))  # noqa: S314  # our own text
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in ("8.0", "16.0", "32.0")] == ["8.0", "16.0", "32.0"]
    assert "a < b" in texts
    assert LOADS["stream"].title not in texts


def test_results_are_json_with_every_round() -> None:
    results = json.loads(json.dumps(report.as_json(ROWS, [], {"machine": {"cpu": "x"}})))
    assert [len(one["rounds"]) for one in results["rows"]] == [3, 3, 1, 0]
    assert results["rows"][1]["ratio"] == 0.5
    assert results["machine"] == {"cpu": "x"}


def test_the_drift_of_a_token_is_counted_from_the_first_of_its_stream() -> None:
    stream = paced_peer.Stream()
    first, further = b'{"content":""} {"content":"chunk"}', b'{"content":" chunk"}'

    stream.read(first, 10.0)
    stream.read(b"", 10.01)
    stream.read(further, 10.0 + PACED_ITL)
    stream.read(further * 2, 10.0 + 3 * PACED_ITL)

    assert stream.tokens == 4
    assert stream.drifts == pytest.approx([0.0, PACED_ITL, 0.0])


def test_the_picture_of_paced_streams_has_the_medians_of_all_servers(tmp_path: Path) -> None:
    rounds = [
        Round(server, streams, cpu + extra, 0.5, 7.0 * streams + extra, 99.0, 2.0)
        for server, cpu in ((loads.LIMIT, 4.0), (OURS, 8.0), (loads.AIMOCK, 26.0))
        for streams in (5, 2_000)
        for extra in (0.25, 0.75)
        if (server, streams) != (loads.AIMOCK, 2_000)
    ]

    paced_peer.write(rounds, tmp_path)

    written = json.loads((tmp_path / "paced.json").read_text())
    assert [Round(**one) for one in written["rounds"]] == rounds
    drawn = ElementTree.fromstring((tmp_path / "paced.svg").read_text())  # noqa: S314  # our own text
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("2,000 streams") == 1
    assert [texts.count(figure) for figure in ("4.5", "8.5", "26.5")] == [2, 2, 1]
    assert [texts.count(figure) for figure in ("35.5", "14,000")] == [3, 2]


def test_servers_start_from_bytecode_like_installed_ones() -> None:
    assert as_installed({"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1"}) == {"PATH": "/bin"}
