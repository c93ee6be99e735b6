"""A server that is driven from another process: the words of `Server`."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from mockllm import (
    ConfigError,
    Control,
    Mock,
    RemoteError,
    RemoteSession,
    Reply,
    Server,
    Session,
    ToolCall,
    contains,
)
from mockllm.client import words
from mockllm.client.words import RemoteGate, RemoteMock, RemoteWords
from mockllm.endpoints.control import calls
from mockllm.serve.embedded.gate_handles import Gate
from mockllm.serve.embedded.verifiable import MockHandle
from tests.support.processes import posix
from tests.support.served import chat_request

KEY = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


def say(where: RemoteWords, *texts: str, retries: int = 0) -> list[str | None]:
    said: list[str | None] = []
    with OpenAI(base_url=where.openai_base_url, api_key=KEY, max_retries=retries) as client:
        for text in texts:
            try:
                answer = client.chat.completions.create(**chat_request(text))
            except APIStatusError:
                said.append(None)
            else:
                said.append(answer.choices[0].message.content)
    return said


def lines_of(check: Callable[[], None]) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value).splitlines()


# --- The same words -------------------------------------------------------------------------------


ASSERTIONS = (
    *("assert_all_called", "assert_no_unmatched", "assert_order", "describe_calls"),
    *("fail_on_errors", "wait_for_calls"),
)
VERIFIABLE = (
    *("add", "calls", "clear_calls", "gate", "mocks", "reset_state", *ASSERTIONS),
    *("anthropic_base_url", "base_url", "openai_base_url"),
)
HANDLE = (
    *("assert_called", "assert_called_once", "assert_not_called", "assert_requested", "call_count"),
    *("called", "calls", "remove", "requests"),
)
CALL = (
    *("api", "asked_for", "attempt", "body", "delivery", "ended", "held_at"),
    *("input_tokens", "is_body_cut", "is_late", "is_unmatched", "messages", "method", "mock"),
    *("model", "near_miss", "number", "outcome", "output_tokens", "path", "session"),
    *("started", "status", "step", "stream", "system", "text", "tools"),
    *("traceback", "traffic", "ttft", "turn", "user"),
)


@pytest.mark.parametrize(
    ("own", "remote", "names"),
    [
        (Session, RemoteSession, (*VERIFIABLE, "end", "traffic")),
        (
            Server,
            Control,
            (*VERIFIABLE, "session", "use_session", "speed", "timing", "traffic"),
        ),
        (MockHandle, RemoteMock, HANDLE),
        (Gate, RemoteGate, ("held", "open", "reached", "release")),
    ],
)
def test_the_words_are_those_of_a_server_of_this_process(
    own: type, remote: type, names: tuple[str, ...]
) -> None:
    for name in names:
        ours, theirs = getattr(own, name), getattr(remote, name)
        if inspect.isfunction(ours) and name != "session":
            assert inspect.signature(ours).parameters.keys() == (
                inspect.signature(theirs).parameters.keys()
            ), name


# --- Mocks ----------------------------------------------------------------------------------------


def test_mocks_are_added_and_removed(control: Control) -> None:
    handle = control.add(name="new", user=contains("new"), reply="Sunny")
    assert say(control, "a new one") == ["Sunny"]
    assert handle.name == "new"
    assert {"new", "ask"} <= set(control.mocks)

    handle.remove()
    handle.remove()

    assert say(control, "a new one") == [None]
    assert (handle.called, handle.call_count, handle.requests) == (True, 1, 1)
    assert [call.text for call in handle.calls] == ["a new one"]
    with pytest.raises(RemoteError, match="is the configuration's"):
        control.mocks["ask"].remove()


def test_a_mock_is_added_by_keywords(control: Control) -> None:
    with pytest.raises(TypeError, match=r"add\(\) takes keywords only"):
        control.add(Mock(reply="x"))  # type: ignore[arg-type]  # the mistake


def test_objects_of_python_are_sent(control: Control) -> None:
    reply = Reply(tool_calls=[ToolCall(name="f", arguments={"a": 1})])
    handle = control.add(user="call", reply=reply, not_={"model": "other"}, first=True)

    assert say(control, "call") == [None]
    handle.assert_called_once()
    handle.remove()


def test_large_mocks_are_sent(control: Control) -> None:
    value = [{"number": number} for number in range(5_000)]
    handle = control.add(user="large", reply={"json": value})
    assert say(control, "large") == [json.dumps(value, separators=(",", ":"))]
    handle.remove()


def test_all_mistakes_are_those_of_python(control: Control, controlled: Server) -> None:
    bad: dict[str, Any] = {"user": {"contain": "x"}, "reply": {"txt": "x"}, "name": 3}
    with pytest.raises(ConfigError) as theirs:
        control.add(**bad)
    with pytest.raises(ConfigError) as ours:
        controlled.add(**bad)

    assert [each.message for each in theirs.value.problems] == (
        [each.message for each in ours.value.problems]
    )


def test_a_word_that_is_unknown_has_the_text_of_python(
    control: Control, controlled: Server
) -> None:
    told = []
    for each in (control, controlled):
        with pytest.raises(ConfigError) as caught:
            each.add(usr="a", reply="x")  # type: ignore[call-arg]  # what is tested
        told.append(str(caught.value))

    assert told[0] == told[1]
    assert told[0].startswith("add(): unknown key 'usr'")


@pytest.mark.parametrize("value", [lambda prompt: "x", {"text": object()}, Reply(text="a"), b"x"])
def test_what_has_no_json_is_not_sent(control: Control, value: Any) -> None:
    if isinstance(value, Reply):
        value = {"sequence": [{"reply": lambda prompt: "x"}]}
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        control.add(reply=value)


def test_a_handle_of_a_mock_that_is_not_there_is_an_error(control: Control) -> None:
    with pytest.raises(KeyError, match="there is no mock 'aks'"):
        control.mocks["aks"]
    assert len(control.mocks) == 3
    assert repr(control.mocks).startswith("<RemoteMocks [")


# --- Calls and assertions -------------------------------------------------------------------------


def test_calls_have_the_words_of_python(control: Control, controlled: Server) -> None:
    say(control, "the weather", "nobody")
    ours, theirs = controlled.calls, control.calls

    for name in CALL:
        assert getattr(ours[0], name) == getattr(theirs[0], name), name
    assert dict(ours[0].headers) == dict(theirs[0].headers)
    assert theirs[0].headers["Content-Type"] == "application/json"
    assert (theirs[0].sent_credential(KEY), theirs[0].sent_credential("x")) == (True, False)
    assert (theirs[1].mock, theirs[1].is_unmatched) == (None, True)
    assert repr(theirs[0]) == "<RemoteCall POST /v1/chat/completions 200 'ask' attempt=1>"


def test_many_calls_are_read_page_by_page(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_PAGE", 1)
    texts = [f"{number}" for number in range(5)]
    say(control, *texts)

    assert [call.text for call in control.calls] == texts


def test_failures_have_the_text_of_python(control: Control, controlled: Server) -> None:
    say(control, "the weather", "nobody")
    checks: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (
            lambda: control.mocks["ask"].assert_called(times=2),
            lambda: controlled.mocks["ask"].assert_called(times=2),
        ),
        (control.mocks["steps"].assert_called_once, controlled.mocks["steps"].assert_called_once),
        (control.mocks["ask"].assert_not_called, controlled.mocks["ask"].assert_not_called),
        (
            lambda: control.mocks["ask"].assert_requested(at_least=2, at_most=3),
            lambda: controlled.mocks["ask"].assert_requested(at_least=2, at_most=3),
        ),
        (control.assert_no_unmatched, controlled.assert_no_unmatched),
        (control.assert_all_called, controlled.assert_all_called),
        (
            lambda: control.assert_order("steps", "ask"),
            lambda: controlled.assert_order("steps", "ask"),
        ),
        (
            lambda: control.wait_for_calls(3, 0.01),
            lambda: controlled.wait_for_calls(3, 0.01),
        ),
        (
            lambda: control.gate("unused").reached(2, 0.01),
            lambda: controlled.gate("unused").reached(2, 0.01),
        ),
    ]

    for theirs, ours in checks:
        assert lines_of(theirs) == lines_of(ours)
    assert control.describe_calls() == controlled.describe_calls()


def test_what_holds_does_not_fail(control: Control) -> None:
    say(control, "the weather", "steps", "steps")
    ask, steps = control.mocks["ask"], control.mocks["steps"]

    ask.assert_called_once()
    steps.assert_called(at_least=1, at_most=2)
    control.mocks["held"].assert_not_called()
    control.assert_order(ask, steps, "steps")
    control.assert_order()
    control.assert_no_unmatched()
    control.fail_on_errors()
    control.wait_for_calls(3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"times": 1, "at_least": 1}, TypeError),
        ({"at_least": 2, "at_most": 1}, ValueError),
        ({"times": -1}, ValueError),
        ({"times": "1"}, TypeError),
    ],
)
def test_wrong_arguments_are_errors_as_in_python(
    control: Control, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        control.mocks["ask"].assert_called(**arguments)
    with pytest.raises(error):
        control.wait_for_calls(-1 if error is ValueError else "1")  # type: ignore[arg-type]  # what is tested


def test_a_failure_shows_no_frame_of_ours(control: Control) -> None:
    with pytest.raises(AssertionError) as caught:
        control.mocks["ask"].assert_called_once()

    frames = [frame for frame in caught.traceback if "mockllm/client" in str(frame.path)]
    assert frames
    assert all(frame.frame.f_locals.get("__tracebackhide__") for frame in frames)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda control: control.add(usr="a", reply="b"), ConfigError),
        (lambda control: control.mocks["aks"], KeyError),
    ],
)
def test_a_mistake_shows_no_frame_of_ours(
    control: Control, act: Callable[[Control], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match="did you mean") as caught:
        act(control)

    frames = [frame for frame in caught.traceback if "mockllm/client" in str(frame.path)]
    assert frames
    assert all(frame.frame.f_locals.get("__tracebackhide__") for frame in frames)


def test_calls_are_dropped_and_sequences_begin_anew(control: Control) -> None:
    assert say(control, "steps") == ["one"]
    control.clear_calls()
    control.reset_state()

    assert control.calls == []
    assert say(control, "steps") == ["one"]


def test_a_long_wait_is_divided(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_WAIT", 0.02)

    text = lines_of(lambda: control.wait_for_calls(1, 0.07))

    assert text[0] == "expected 1 call within 0.07 s, found no call"


def test_calls_that_come_end_a_wait(control: Control) -> None:
    speaker = threading.Thread(target=say, args=(control, "the weather"))
    speaker.start()
    control.wait_for_calls(1)
    speaker.join()


# --- Sessions, gates, traffic ---------------------------------------------------------------------


def test_a_session_has_the_same_words(control: Control, controlled: Server) -> None:
    with control.session("a") as session, control.session() as other:
        handle = session.add(user="x", reply="of a")
        assert (say(session, "x"), say(other, "x"), say(control, "x")) == (["of a"], [None], [None])
        assert session.base_url == f"{controlled.base_url}/session/a"
        handle.assert_called_once()
        assert [len(each.calls) for each in (session, other)] == [1, 1]
        with Control(session.base_url, token=session.control_token) as narrow:
            assert len(narrow.calls) == 1
            narrow.add(user="y", reply="narrow")
            with pytest.raises(RemoteError, match="403 forbidden"):
                narrow.speed = 2
        assert (say(session, "y"), say(control, "y")) == (["narrow"], [None])
    assert say(session, "late") == [None]
    assert session.calls[-1].is_late
    with pytest.raises(RuntimeError, match="the session 'a' has ended"):
        session.add(reply="x")


def test_a_session_may_be_that_of_all_requests(control: Control) -> None:
    control.use_session("current")
    say(control, "x")
    control.use_session(None)

    assert [call.session for call in control.calls] == ["current"]


@pytest.mark.parametrize("name", ["", "a/b", "..", 3])
def test_a_wrong_name_of_a_session_is_not_sent(control: Control, name: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        control.session(name)
    with pytest.raises((ValueError, TypeError)):
        control.use_session(name)


def test_gates_of_a_session_that_has_ended_are_not_let_go(control: Control) -> None:
    with control.session("over") as session:
        gate = session.gate("g")
    for act in (gate.release, gate.open, lambda: gate.reached(timeout=0)):
        with pytest.raises(RuntimeError, match="the session 'over' has ended"):
            act()


@pytest.mark.parametrize(("name", "error"), [("a b", ValueError), ("", ValueError), (5, TypeError)])
def test_a_wrong_name_of_a_gate_is_not_sent(
    control: Control, name: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="the name of a gate"):
        control.gate(name)


def test_gates_are_let_go(control: Control) -> None:
    with control.session("gated") as session:
        gate = session.gate("g")
        speaker = threading.Thread(target=say, args=(session, "hold"))
        speaker.start()
        gate.reached()
        assert (gate.held, session.gate("other").held) == (1, 0)
        gate.release()
        speaker.join()
        gate.open()
        assert say(session, "hold") == ["x"]


def test_traffic_is_started_and_replaced(control: Control) -> None:
    busy = control.traffic["busy"]
    assert (list(control.traffic), len(control.traffic), busy.holds) == (["busy"], 1, False)
    busy.start()
    busy.stop()
    busy.reset()
    with pytest.raises(KeyError, match="no traffic 'x'"):
        control.traffic["x"]
    control.set_traffic([{"name": "now", "match": {"user": "t"}, "error": "overloaded"}])
    with control.session("of-traffic") as session:
        held = [control.traffic["now"].holds]
        session.traffic["now"].stop()
        held.append(control.traffic["now"].holds)
        assert (list(session.traffic), held) == (["now"], [True, False])
    with pytest.raises(ConfigError, match="nothing would happen"):
        control.set_traffic([{"name": "now"}])
    control.set_traffic(
        [{"name": "busy", "match": {"user": "t"}, "from": "1h", "error": "timeout"}]
    )


def test_the_speed_is_set(control: Control, controlled: Server) -> None:
    control.speed = 4
    assert (control.speed, controlled.speed) == (4.0, 4.0)
    control.speed = 1
    with pytest.raises(RemoteError, match="expected at least 1e-06, found 0"):
        control.speed = 0


def test_the_timing_is_that_of_the_server() -> None:
    config = {"mocks": [{"reply": "one two three", "latency": {"ttft": 0.001, "itl": 0.001}}]}
    with (
        Server(config, control=True) as server,
        Control(server.base_url, token=server.control_token) as control,
    ):
        assert control.timing.verdict == "no answer was paced"
        say(control, "x", "y")
        assert control.timing == server.timing
        assert control.timing.requests == 2


def test_a_session_of_a_credential_is_that_of_its_requests() -> None:
    config = {"session": "credential", "mocks": [{"reply": "x"}]}
    with (
        Server(config, control=True) as server,
        Control(server.base_url, token=server.control_token) as control,
        control.session(credential=KEY) as session,
    ):
        session.add(user="mine", reply="of the key")
        assert say(control, "mine") == ["of the key"]
        assert [call.text for call in session.calls] == ["mine"]
        assert session.name == server.session(credential=KEY).name
        assert control.session(credential=KEY.encode()).name == session.name
        assert control.session(credential="other").calls == []


def test_a_session_has_one_name(control: Control) -> None:
    with pytest.raises(TypeError, match="the name of a session, or credential="):
        control.session("a", credential="b")
    with pytest.raises(ValueError, match="found an empty text"):
        control.session(credential="")
    with pytest.raises(ValueError, match="utf-8"):
        control.session(credential=b"\xff")
    with pytest.raises(RemoteError, match="API keys do not tell sessions apart") as caught:
        control.session(credential=KEY)
    assert (caught.value.status, caught.value.code) == (409, "no_sessions_of_credentials")
    assert KEY not in str(caught.value)


# --- Reaching it ----------------------------------------------------------------------------------


def test_a_wrong_token_is_told(controlled: Server) -> None:
    with Control(controlled.base_url, token="wrong") as control:
        with pytest.raises(RemoteError, match="not valid for this server") as caught:
            _ = control.calls
        assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_a_server_without_control_is_told() -> None:
    with (
        Server({}) as server,
        Control(server.base_url, token="any") as control,
        pytest.raises(RemoteError, match="is it a mockllm server with --control"),
    ):
        _ = control.calls


def test_a_server_that_is_gone_is_told() -> None:
    with Server({}, control=True) as server:
        control = Control(server.base_url, token=server.control_token)
        assert control.calls == []
    with pytest.raises(RemoteError, match="no answer"):
        _ = control.calls
    control.close()


@posix
def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with (
        Server({}, uds=path, control=True) as server,
        Control(server.base_url, token=server.control_token, uds=path) as control,
    ):
        control.add(reply="x").assert_not_called()
        assert server.mocks["added[0]"].call_count == 0


def test_the_url_of_a_session_means_that_one(controlled: Server) -> None:
    with controlled.session("in-url") as session:
        tokens = (session.control_token, controlled.control_token)
        for token in tokens:
            with Control(f"{session.base_url}/", token=token) as narrow:
                assert (narrow.base_url, narrow.calls) == (session.base_url, [])
                narrow.add(name="narrow", reply="x").assert_not_called()
        assert session.mocks["narrow"].name == "narrow"
    assert "narrow" not in controlled.mocks
    with pytest.raises(ValueError, match="Invalid session name"):
        Control(f"{controlled.base_url}/session/a/v1")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://h", "http://h/v1", "http://h?x=1", ""])
def test_a_wrong_url_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="found"):
        Control(url)


def test_many_threads_use_one_client(control: Control) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with control.session(f"of-{number}") as session:
                for _ in range(5):
                    session.add(user=f"{number}", reply="x").assert_not_called()
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
