"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from mockllm import Control, Server
from tests.support.http_library import httpx
from tests.support.plugins import PLUGIN_OPTIONS
from tests.support.processes import posix, write
from tests.support.served import nothing_left_behind
from tests.support.workers import TOKEN, serving

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parents[1]
PLUGIN = (*PLUGIN_OPTIONS, "-p", "no:randomly", "-p", "no:cacheprovider")
AGENT = """
import pytest
from openai import OpenAI, AsyncOpenAI, APIStatusError

def ask(text, **options):
    with OpenAI(**options) as client:
        message = {"role": "user", "content": text}
        answer = client.chat.completions.create(model="gpt-4o", messages=[message])
        return answer.choices[0].message.content
"""


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import all that the inner runs need. What they import first is gone from `sys.modules` at
    their end, while other modules hold parts of it, whose types pydantic then cannot resolve."""
    with (
        Server({"mocks": [{"reply": "Hi"}]}, strict_requests=True) as server,
        OpenAI(base_url=server.openai_base_url, api_key="any") as client,
    ):
        server.add(reply="Hello").remove()
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def run(
    pytester: pytest.Pytester, tests: str, *options: str, name: str = "test_it"
) -> pytest.RunResult:
    """Run `tests`, which have an agent called `ask`, in this process."""
    pytester.makepyfile(**{name: AGENT + tests})
    return pytester.runpytest_inprocess(*PLUGIN, *options)


def test_a_test_has_a_server_and_the_variables_that_lead_to_it(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
def test_one(llm_server, llm_env):
    weather = llm_server.add(user={"contains": "weather"}, reply="Sunny")
    assert ask("the weather") == "Sunny"
    weather.assert_called_once()
    assert llm_env["OPENAI_BASE_URL"] == llm_server.openai_base_url

def test_without_variables(llm_server):
    llm_server.add(reply="Hi")
    assert ask("x", base_url=llm_server.openai_base_url, api_key="k") == "Hi"
    assert [call.user for call in llm_server.calls] == ["x"]
""",
    ).assert_outcomes(passed=2)


def test_each_test_has_its_own_mocks_and_calls(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
@pytest.mark.parametrize("reply", ["a", "b/c d", "é"])
def test_it(llm_server, llm_env, reply):
    assert llm_server.calls == []
    llm_server.add(sequence=[reply])
    assert ask("x") == reply
""",
    ).assert_outcomes(passed=3)


def test_an_unmatched_request_fails_a_test_that_passes_otherwise(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
def test_it(llm_server, llm_env):
    llm_server.add(name="greet", user="Hello", reply="Hi")
    with pytest.raises(APIStatusError):
        ask("Hallo")
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "1 request was not answered by a mock:",
            '  - 404  [[]no match[]]  gpt-4o  "Hallo"',
            "       closest mock: added[[]0[]] 'greet': *expected 'Hello'*",
        ]
    )
    result.stdout.no_fnmatch_line("*requests to llm_server*")
    result.stdout.no_fnmatch_line("*hidden*")
    result.stdout.no_fnmatch_line("*mockllm/*.py*")


def test_a_failed_test_reports_its_requests_instead(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(llm_server, llm_env):
    llm_server.add(name="greet", user="Hello", reply="Hi")
    ask("Hello")
    try:
        ask("Hallo")
    except APIStatusError:
        pass
    assert False, "my own reason"
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*my own reason*",
            "*- requests to llm_server -*",
            "2 requests so far:",
            "  1. 200  'greet' *",
            "  2. 404 *",
            "request 2: closest mock: *",
        ]
    )


def test_requests_that_an_assertion_lists_are_not_listed_again(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(llm_server, llm_env):
    greet = llm_server.add(name="greet", reply="Hi")
    ask("Hello")
    greet.assert_not_called()
""",
    )

    result.stdout.fnmatch_lines(["E * expected no call of 'greet', found 1 call", "E *  1. 200 *"])
    result.stdout.no_fnmatch_line("*requests to llm_server*")


def test_a_failed_assertion_shows_no_frame_of_ours(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(llm_server):
    handle = llm_server.add(name="greet", reply="Hi")
    handle.assert_called_once()
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">   *handle.assert_called_once()",
            "E   *AssertionError: expected 1 call of 'greet', found no call",
            "E   *there was no request",
        ]
    )
    result.stdout.no_fnmatch_line("*mockllm/serve*")


def test_a_mistake_in_a_mock_shows_no_frame_of_ours(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_added(llm_server):
    llm_server.add(user={"contians": "weather"}, reply="Sunny")

def test_named(llm_server):
    llm_server.add(name="weather", reply="Sunny")
    llm_server.mocks["wether"].assert_called()
""",
    )

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            ">   *llm_server.add(user=*",
            "E   *ConfigError: added?0?: match.user.contians: *did you mean 'contains'?*",
            '>   *llm_server.mocks?"wether"?.assert_called()',
            "E   *KeyError: \"there is no mock 'wether'; did you mean 'weather'?\"",
        ]
    )
    result.stdout.no_fnmatch_line("*mockllm/serve*")
    result.stdout.no_fnmatch_line("*mockllm/config*")


@pytest.mark.parametrize("config", ["{'mocks': [{'mtch': {}, 'reply': 'x'}]}", "'missing.json'"])
def test_a_mistake_in_a_configuration_shows_no_frame_at_all(
    pytester: pytest.Pytester, config: str
) -> None:
    result = run(
        pytester,
        f"""
@pytest.mark.llm_server(config={config})
def test_it(llm_server):
    pass
""",
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", "llm_server: *m[ti][cs][hs]*"])
    result.stdout.no_fnmatch_line("*mockllm/*")


def test_an_error_of_a_function_fails_a_test_with_its_own_traceback(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
def reply(prompt):
    return {"text": NAMES[prompt.user]}

def test_it(llm_server, llm_env):
    llm_server.add(name="made", reply=reply)
    with pytest.raises(APIStatusError):
        ask("Hello")
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "    def reply(prompt):",
            ">       return {*NAMES[[]prompt.user[]]}",
            "E       NameError: name 'NAMES' is not defined",
            "*requests to llm_server*",
            "  1. 500  'made' *",
            "request 1: added[[]0[]] 'made': reply: *",
        ]
    )


def test_the_marker_sets_mocks_and_what_passes(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
CONFIG = {"mocks": [{"name": "all", "match": {"user": "a"}, "reply": "configured"}]}
pytestmark = pytest.mark.llm_server(config=CONFIG)

def test_config(llm_server, llm_env):
    assert ask("a") == "configured"
    llm_server.mocks["all"].assert_called_once()

@pytest.mark.llm_server(allow_unmatched=True)
def test_unmatched(llm_server, llm_env):
    with pytest.raises(APIStatusError):
        ask("b")

@pytest.mark.llm_server(config={})
def test_other_config(llm_server, llm_env):
    assert list(llm_server.mocks) == []
""",
    ).assert_outcomes(passed=3)


def test_other_processes_may_drive_the_session_of_a_test(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
from mockllm import Control

@pytest.mark.llm_server(control=True)
def test_driven(llm_server, llm_env):
    with Control(llm_server.base_url, token=llm_server.control_token) as control:
        control.add(user="a", reply="from elsewhere")
        assert ask("a") == "from elsewhere"
        assert [call.text for call in control.calls] == ["a"]

def test_not_driven(llm_server):
    with pytest.raises(RuntimeError, match="give it control=True"):
        llm_server.control_token
""",
    ).assert_outcomes(passed=2)


def test_requests_that_are_invalid_may_fail_a_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def invalid(llm_server):
    llm_server.add(reply="Hi")
    with OpenAI() as client, pytest.raises(APIStatusError):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": 1}])

def test_reported_only(llm_server, llm_env):
    invalid(llm_server)

@pytest.mark.llm_server(strict_requests=True)
def test_strict(llm_server, llm_env):
    invalid(llm_server)
""",
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_strict*"])


@pytest.mark.parametrize("arguments", ["'x'", "confg={}"])
def test_a_marker_with_other_arguments_is_an_error(
    pytester: pytest.Pytester, arguments: str
) -> None:
    result = run(
        pytester,
        f"""
@pytest.mark.llm_server({arguments})
def test_it(llm_server):
    pass
""",
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*takes config=, allow_unmatched=, strict_requests=, control=; found '*'"],
        consecutive=False,
    )


def test_a_configuration_may_be_that_of_the_run(pytester: pytest.Pytester) -> None:
    pytester.makefile(".json", mocks='{"mocks": [{"reply": "from the file"}]}')
    tests = """
def test_it(llm_server, llm_env):
    assert ask("a") == "from the file"
"""

    run(pytester, tests, "--llm-server-config=mocks.json").assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nllm_server_config = mocks.json\n")
    run(pytester, tests).assert_outcomes(passed=1)


def test_an_application_may_be_started_once(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
@pytest.fixture(scope="session")
def app(llm_base_url):
    with OpenAI(base_url=f"{llm_base_url}/v1", api_key="k") as client:
        def answer(text):
            message = {"role": "user", "content": text}
            answer = client.chat.completions.create(model="m", messages=[message])
            return answer.choices[0].message.content
        yield answer

@pytest.mark.parametrize("reply", ["a", "b"])
def test_it(app, llm_server, reply):
    llm_server.add(reply=reply)
    assert app("x") == reply
    assert len(llm_server.calls) == 1
""",
    ).assert_outcomes(passed=2)


def test_async_tests_wait_without_blocking(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
import asyncio
from mockllm import AsyncSession

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_it(llm_server, llm_env):
    assert isinstance(llm_server, AsyncSession)
    llm_server.add(reply="a")
    async with AsyncOpenAI() as client:
        waiting = asyncio.create_task(llm_server.wait_for_calls(1, timeout=20))
        message = {"role": "user", "content": "x"}
        await client.chat.completions.create(model="m", messages=[message])
        await waiting
""",
        "-p",
        "anyio",
    ).assert_outcomes(passed=1)


def test_unittest_fails_in_its_call_too(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import unittest

@pytest.mark.usefixtures("llm_server", "llm_env")
class TestIt(unittest.TestCase):
    def test_it(self):
        with self.assertRaises(APIStatusError):
            ask("a")
""",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["1 request was not answered by a mock:"])


def test_retries_of_injected_errors_cost_no_time(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
def test_it(llm_server, llm_env):
    busy = llm_server.add(name="busy", reply="ok", first=[{"error": "overloaded", "times": 2}])
    assert ask("a") == "ok"
    busy.assert_called_once()
    busy.assert_requested(times=3)

def test_header(llm_server):
    llm_server.add(user="a", error="rate_limit")
    llm_server.add(user="b", error={"as": "rate_limit", "retry_after": "2s"})
    llm_server.add(user="c", error="bad_request")
    url = {"base_url": llm_server.openai_base_url, "api_key": "k", "max_retries": 0}
    found = []
    for text in "abc":
        with pytest.raises(APIStatusError) as caught:
            ask(text, **url)
        found.append(caught.value.response.headers.get("retry-after-ms"))
    assert found == ["1", "2000", None]
""",
    ).assert_outcomes(passed=2)


def test_a_server_that_runs_elsewhere_has_urls_alone(pytester: pytest.Pytester) -> None:
    with Server({"mocks": [{"reply": "elsewhere"}]}) as server:
        result = run(
            pytester,
            """
def test_it(llm_server, llm_env, llm_base_url):
    assert ask("a") == "elsewhere"
    assert llm_server.base_url.startswith(f"{llm_base_url}/session/test_it.")
    with pytest.raises(AttributeError, match="no 'add' with --llm-server-url"):
        llm_server.add

@pytest.mark.llm_server(config={})
def test_config(llm_server):
    pass
""",
            f"--llm-server-url={server.base_url}/",
        )

        result.assert_outcomes(passed=1, skipped=1)
        assert len(server.calls) == 1


@pytest.fixture(params=[1, pytest.param(4, marks=posix)], ids="workers={}".format)
def driven(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Control]:
    """A client of a server that runs elsewhere, whose token is in the environment."""
    monkeypatch.setenv("MOCKLLM_CONTROL_TOKEN", TOKEN)
    with contextlib.ExitStack() as running:
        if request.param == 1:
            url = running.enter_context(Server(ELSEWHERE, control=True)).base_url
        else:
            config = write(tmp_path / "elsewhere.json", ELSEWHERE)
            url = running.enter_context(serving(monkeypatch, config)).command.url
        yield running.enter_context(Control(url, token=TOKEN))


ELSEWHERE: dict[str, Any] = {
    "mocks": [
        {"name": "there", "match": {"user": "there"}, "reply": "elsewhere"},
        {"name": "held", "match": {"user": "hold"}, "reply": "x", "fault": {"hold": "g"}},
    ]
}


def test_a_server_that_runs_elsewhere_is_driven_with_its_token(
    pytester: pytest.Pytester, driven: Control
) -> None:
    result = run(
        pytester,
        """
def test_words(llm_server, llm_env):
    weather = llm_server.add(user={"contains": "weather"}, reply="Sunny")
    assert [ask("the weather"), ask("there")] == ["Sunny", "elsewhere"]
    weather.assert_called_once()
    llm_server.mocks["there"].assert_called_once()
    llm_server.assert_order(weather, "there")
    assert [call.user for call in llm_server.calls] == ["the weather", "there"]
    llm_server.wait_for_calls(2)

def test_unmatched(llm_server, llm_env):
    llm_server.add(name="greet", user="Hello", reply="Hi")
    with pytest.raises(APIStatusError):
        ask("Hallo")

def test_failed(llm_server, llm_env):
    ask("there")
    assert False, "my own reason"

@pytest.mark.llm_server(config={"mocks": [{"reply": "of the test"}]})
def test_config(llm_server, llm_env):
    assert ask("there") == "of the test"

@pytest.mark.llm_server(config={"seed": 1})
def test_more_than_mocks(llm_server):
    pass

@pytest.mark.llm_server(config={"mocks": [{"mtch": {}, "reply": "x"}]})
def test_mistake(llm_server):
    pass

@pytest.mark.llm_server(allow_unmatched=True)
def test_allowed(llm_server, llm_env):
    with pytest.raises(APIStatusError):
        ask("nobody")

@pytest.mark.anyio
async def test_asynchronous(llm_server, llm_env, anyio_backend):
    async with AsyncOpenAI() as client:
        message = {"role": "user", "content": "there"}
        await client.chat.completions.create(model="gpt-4o", messages=[message])
    await llm_server.wait_for_calls(1)
    await llm_server.gate("g").reached(0)

@pytest.fixture
def anyio_backend():
    return "asyncio"
""",
        f"--llm-server-url={driven.base_url}/",
    )

    result.assert_outcomes(passed=4, failed=2, skipped=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "llm_server: mocks?0?: mtch: unknown key*",
            "1 request was not answered by a mock:",
            '  - 404  [[]no match[]]  gpt-4o  "Hallo"',
            "       closest mock: added[[]*[]] 'greet': *expected 'Hello'*",
            "*my own reason*",
            "*- requests to llm_server -*",
            "  1. 200  'there' *",
        ]
    )
    result.stdout.no_fnmatch_line("*mockllm/*.py*")
    assert all(call.session for call in driven.calls)


def test_tests_of_many_processes_do_not_see_each_other_on_one_server(
    pytester: pytest.Pytester, driven: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    pytester.makepyfile(
        """
import json
import urllib.error
import urllib.request

import pytest

late_url = []

def ask(url, text):
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    asked = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
    asked.add_header("Authorization", "Bearer any")
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]

@pytest.mark.parametrize("number", range(16))
def test_it(llm_server, number):
    mock = llm_server.add(name="same", sequence=[f"{number}", f"{number}!"])
    url = llm_server.base_url
    assert [ask(url, "a"), ask(url, "b")] == [f"{number}", f"{number}!"]
    assert [call.text for call in llm_server.calls] == ["a", "b"]
    mock.assert_called(times=2)
    llm_server.assert_order("same", "same")
    assert sorted(llm_server.mocks) == ["held", "same", "there"]
    llm_server.reset_state()
    assert ask(url, "c") == f"{number}"

@pytest.fixture
def late():
    urls = []
    yield urls
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(urls[0], "late")

def test_late(late, llm_server):
    late.append(llm_server.base_url)
"""
    )

    result = pytester.runpytest_subprocess(
        *PLUGIN, "-n", "8", f"--llm-server-url={driven.base_url}"
    )

    result.assert_outcomes(passed=17)
    result.stdout.fnmatch_lines(
        [
            "*requests to llm_server after the end of their test*",
            "test_late: POST /v1/chat/completions",
        ]
    )
    assert len(driven.calls) == 16 * 3 + 1
    headers = {"authorization": f"Bearer {TOKEN}"}
    listed = httpx.get(f"{driven.base_url}/__mockllm/sessions", headers=headers)
    assert listed.json()["sessions"] == []


def test_answers_that_are_held_elsewhere_are_told(
    pytester: pytest.Pytester, driven: Control
) -> None:
    result = run(
        pytester,
        """
import threading

def test_it(llm_server):
    url = llm_server.openai_base_url
    options = {"base_url": url, "api_key": "k", "max_retries": 0}

    def hold():
        with pytest.raises(Exception):
            ask("hold", **options)

    threading.Thread(target=hold).start()
    llm_server.gate("g").reached()
""",
        f"--llm-server-url={driven.base_url}",
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it: 1 held at gate 'g'"])


def test_a_server_elsewhere_that_refuses_is_an_error_of_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCKLLM_CONTROL_TOKEN", "another-token")
    with Server({}) as server:
        result = run(
            pytester,
            """
def test_it(llm_server):
    pass
""",
            f"--llm-server-url={server.base_url}",
        )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["llm_server: *is it a mockllm server with --control?*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*transport.py*")


def test_a_server_elsewhere_that_goes_away_is_told_in_a_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server({}, control=True) as server:
        monkeypatch.setenv("MOCKLLM_CONTROL_TOKEN", server.control_token)
        monkeypatch.setattr(pytest, "stop_server", server.stop, raising=False)
        result = run(
            pytester,
            """
import pytest

def test_it(llm_server):
    llm_server.add(reply="Hi")
    pytest.stop_server()

def test_next(llm_server):
    pass
""",
            f"--llm-server-url={server.base_url}",
        )

    result.assert_outcomes(failed=1, errors=3)  # the setup of the second, and both ends
    result.stdout.fnmatch_lines(["llm_server: GET http://127.0.0.1:*/calls*: no answer: *"])
    result.stdout.fnmatch_lines(["llm_server: PUT http://127.0.0.1:*/sessions/*: no answer: *"])
    result.stdout.no_fnmatch_line("*Error: *")
    result.stdout.no_fnmatch_line("*transport.py*")


def test_tests_in_many_processes_have_servers_of_their_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    pytester.makepyfile(
        AGENT
        + """
@pytest.mark.parametrize("number", range(8))
def test_it(llm_server, llm_env, number):
    llm_server.add(sequence=[f"{number}", f"{number}!"])
    assert [ask("a"), ask("a")] == [f"{number}", f"{number}!"]

def test_failure(llm_server, llm_env):
    with pytest.raises(APIStatusError):
        ask("a")
"""
    )

    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "2")

    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(["1 request was not answered by a mock:"])


@pytest.mark.parametrize("processes", ["0", "1"])
def test_requests_after_the_end_of_their_test_are_listed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    pytester.makepyfile(
        AGENT
        + """
@pytest.fixture
def late():
    url = []
    yield url
    with pytest.raises(APIStatusError):
        ask("late", base_url=url[0], api_key="k")

def test_it(late, llm_server):
    late.append(llm_server.openai_base_url)
"""
    )

    result = pytester.runpytest_subprocess(*PLUGIN, "-n", processes)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*requests to llm_server after the end of their test*",
            "test_it: POST /v1/chat/completions",
        ]
    )


HELD = """
import threading

def held(llm_server):
    llm_server.add(reply="Hi", fault={"hold": "approval"})
    options = {"base_url": llm_server.openai_base_url, "api_key": "k", "max_retries": 0}
    thread = threading.Thread(target=quietly, args=(options,))
    thread.start()
    llm_server.gate("approval").reached()
    return thread

def quietly(options):
    try:
        ask("x", **options)
    except Exception:
        pass

@pytest.fixture
def threads():
    started = []
    yield started
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
"""


def test_answers_that_are_held_at_the_end_of_a_test_are_reported(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        HELD
        + """
def test_good(threads, llm_server):
    threads.append(held(llm_server))

def test_bad(threads, llm_server):
    threads.append(held(llm_server))
    assert False

def test_released(threads, llm_server):
    thread = held(llm_server)
    llm_server.gate("approval").release()
    thread.join()
    llm_server.assert_all_called()
""",
    )

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*requests to llm_server*",
            "answers that are held: 1 at 'approval'",
            "*requests to llm_server after the end of their test*",
            "test_good: 1 held at gate 'approval'",
            "test_bad: 1 held at gate 'approval'",
        ]
    )
    result.stdout.no_fnmatch_line("test_released: *")


def test_servers_of_tests_with_configurations_are_few(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
import threading

@pytest.mark.parametrize("number", range(12))
def test_it(number, request):
    config = {"mocks": [{"reply": f"{number}"}]}
    request.applymarker(pytest.mark.llm_server(config=config))
    server = request.getfixturevalue("llm_server")
    assert ask("a", base_url=server.openai_base_url, api_key="k") == f"{number}"
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("mockllm-server") <= 8
""",
    ).assert_outcomes(passed=12)


def test_a_test_without_the_fixtures_imports_nothing_of_the_server() -> None:
    script = (
        "import sys, mockllm.pytest_plugin;"
        "print(sorted(each for each in sys.modules if 'mockllm' in each or each == 'openai'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("['mockllm', 'mockllm.pytest_plugin']\n", "")


def test_the_plugin_is_an_entry_point() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"mockllm_server": "mockllm.pytest_plugin"}
