"""The sessions of a test run on a server in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mockllm import Config, Control, Mock, Server
from mockllm.client.control import AwaitedSession
from mockllm.client.suite import Suite, connect, lists_of
from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.processes import write

MOCKS: dict[str, Any] = {"mocks": [{"name": "a", "reply": {"text": "b"}}]}


def test_a_server_is_driven_with_the_token_of_the_environment(
    controlled: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, controlled.control_token)
    control = connect(controlled.base_url)
    assert control is not None
    assert control.calls == []
    control.close()


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_a_server_is_not_driven(
    controlled: Server, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    if token is not None:
        monkeypatch.setenv(TOKEN_VARIABLE, token)

    assert connect(controlled.base_url) is None


def test_sessions_have_names_that_no_other_run_has(control: Control) -> None:
    suites = [Suite(control, "one"), Suite(control, "two")]
    begun = [each.begin("t", awaits=False, strict_requests=True) for each in suites]

    assert [each.name for each in begun] == ["t.one-1", "t.two-1"]
    assert all(each.strict_requests for each in begun)
    assert isinstance(suites[0].begin("t", awaits=True, strict_requests=False), AwaitedSession)
    assert [each.end(session) for each, session in zip(suites, begun, strict=True)] == [{}, {}]
    assert suites[0].late() == []
    assert Suite(control, "three").late() == []


def test_mocks_of_a_configuration_are_lists(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", MOCKS)
    config = Config(mocks=[Mock(name="a", reply="b")])

    assert lists_of(MOCKS) == lists_of(file) == lists_of(config) == MOCKS
    assert lists_of({}) == {}
    assert [*lists_of({"mocks": [{"reply": "x"}], "openai": [{"reply": "y"}]})] == [
        "openai",
        "mocks",
    ]


def test_other_members_and_functions_cannot_be_set_for_one_test() -> None:
    with pytest.raises(ValueError, match="'latency', 'seed' cannot be set for one test"):
        lists_of({"seed": 1, "latency": {"ttft": 1}, "mocks": []})
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        lists_of({"mocks": [{"reply": lambda prompt: "x"}]})
