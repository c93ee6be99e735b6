"""The plugin beside pytest-asyncio, anyio, pytest-xdist, pytest-rerunfailures, pytest-mockllm."""

from __future__ import annotations

import re

import pytest

from tests.support.plugins import PLUGIN_OPTIONS

for needed in ("pytest_asyncio", "pytest_mockllm", "pytest_rerunfailures", "trio"):
    pytest.importorskip(needed)
if PLUGIN_OPTIONS:
    pytest.skip("mockllm is not installed", allow_module_level=True)

pytest_plugins = ["pytester"]

IN_ORDER = ("-p", "no:randomly")
INI = """
[pytest]
addopts = --strict-markers --strict-config
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
CLIENT = """
import pytest
from openai import OpenAI, AsyncOpenAI, APIStatusError

MESSAGE = {"role": "user", "content": "Hello"}

def ask(**options):
    with OpenAI(**options) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[MESSAGE])
        return answer.choices[0].message.content

async def ask_async(**options):
    async with AsyncOpenAI(**options) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=[MESSAGE])
        return answer.choices[0].message.content
"""
ASYNC = """
import anyio
from mockllm import AsyncSession, Session

async def test_waiting(llm_server, llm_env):
    assert isinstance(llm_server, AsyncSession)
    hello = llm_server.add(reply="Hi")
    async with anyio.create_task_group() as group:
        group.start_soon(ask_async)
        await llm_server.wait_for_calls(1, timeout=20)
    hello.assert_called_once()

async def test_waiting_in_vain(llm_server):
    await llm_server.wait_for_calls(1, timeout=0)

async def test_giving_up(llm_server):
    with anyio.move_on_after(0.01):
        await llm_server.wait_for_calls(1, timeout=60)

class TestMethod:
    async def test_unmatched(self, llm_server, answer):
        assert isinstance(llm_server, AsyncSession)
        assert answer is None

def test_not_async(llm_server):
    assert isinstance(llm_server, Session)
"""
ANSWER = """
async def answer(llm_server, llm_env):
    with pytest.raises(APIStatusError):
        await ask_async()
"""
WAITED_IN_VAIN = [
    ">       await llm_server.wait_for_calls(1, timeout=0)",
    "E       AssertionError: expected 1 call within 0 s, found no call",
]
UNMATCHED = "1 request was not answered by a mock:"


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Run `tests`, which have an agent called `ask`, in a process of its own."""
    pytester.makeini(INI)
    pytester.makepyfile(CLIENT + tests)
    return pytester.runpytest_subprocess(*options)


def no_frame_of_ours(result: pytest.RunResult) -> None:
    result.stdout.no_fnmatch_line("*mockllm/*.py:*")


@pytest.mark.parametrize(
    ("mode", "fixture", "mark"),
    [
        ("strict", "import pytest_asyncio\n@pytest_asyncio.fixture", "@pytest.mark.asyncio"),
        ("auto", "@pytest.fixture", ""),
    ],
)
def test_pytest_asyncio(pytester: pytest.Pytester, mode: str, fixture: str, mark: str) -> None:
    tests = re.sub(r"^( *)(?=async def test)", rf"\1{mark}\n\1", ASYNC, flags=re.MULTILINE)

    result = run(pytester, fixture + ANSWER + tests, *IN_ORDER, f"--asyncio-mode={mode}")

    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines([*WAITED_IN_VAIN, "*", UNMATCHED])
    no_frame_of_ours(result)


def test_anyio_with_both_backends(pytester: pytest.Pytester) -> None:
    tests = "@pytest.fixture" + ANSWER + ASYNC + "\npytestmark = pytest.mark.anyio\n"

    result = run(pytester, tests, *IN_ORDER)

    result.assert_outcomes(passed=5, failed=4)
    result.stdout.fnmatch_lines(["*_ test_waiting_in_vain[[]trio[]] _*", *WAITED_IN_VAIN])
    result.stdout.fnmatch_lines(["*_ TestMethod.test_unmatched[[]trio[]] _*", UNMATCHED])
    no_frame_of_ours(result)


APPLICATION = """
@pytest.fixture(scope="session")
def application(llm_base_url):
    with OpenAI(base_url=f"{llm_base_url}/v1", api_key="any") as client:
        yield lambda: client.responses.create(model="gpt-4o", input="Hello").output_text

@pytest.mark.parametrize("number", range(24))
def test_it(application, llm_server, llm_env, number):
    llm_server.add(sequence=[f"{number} first", f"{number} second"])
    assert (application(), ask()) == (f"{number} first", f"{number} second")
    llm_server.assert_all_called()
    assert [call.api for call in llm_server.calls] == ["responses", "chat"]

def test_unmatched(llm_server, llm_env):
    with pytest.raises(APIStatusError):
        ask()
"""


def test_four_processes_in_random_order(pytester: pytest.Pytester) -> None:
    result = run(pytester, APPLICATION, "-n", "4", "-p", "randomly")

    result.assert_outcomes(passed=24, failed=1)
    result.stdout.fnmatch_lines(["*_ test_unmatched _*", "*", UNMATCHED])


NEIGHBOURS = """
import unittest

class TestLoop(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def _server(self, llm_server, llm_env):
        self.llm_server = llm_server

    async def test_matched(self):
        self.llm_server.add(reply="Hi")
        self.assertEqual(await ask_async(), "Hi")
        await self.llm_server.wait_for_calls(1)

    async def test_unmatched(self):
        with self.assertRaises(APIStatusError):
            await ask_async()

runs = []

@pytest.mark.flaky(reruns=2)
def test_flaky(llm_server, llm_env):
    assert llm_server.calls == []
    runs.append("run")
    if len(runs) < 3:
        with pytest.raises(APIStatusError):
            ask()
    else:
        llm_server.add(sequence=["Hi"])
        assert ask() == "Hi"

def test_pytest_mockllm(llm_server, llm_env, mock_openai):
    import mockllm, pytest_mockllm
    mock_openai.add_response("theirs")
    assert ask() == "theirs"
    assert llm_server.calls == []
"""


def test_reruns_another_mockllm_and_the_last_failed(pytester: pytest.Pytester) -> None:
    result = run(pytester, NEIGHBOURS)

    assert result.parseoutcomes() == {"passed": 3, "failed": 1, "rerun": 2}
    result.stdout.fnmatch_lines(["*_ TestLoop.test_unmatched _*", UNMATCHED])

    last_failed = pytester.runpytest_subprocess("--lf")

    last_failed.assert_outcomes(failed=1, deselected=3)


def test_tests_are_collected_without_an_sdk(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import sys

class NoSDK:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("openai", "anthropic", "pydantic", "orjson", "uvloop"):
            raise ImportError(name)

sys.meta_path.insert(0, NoSDK())
"""
    )
    pytester.makeini(INI)
    pytester.makepyfile(
        """
import pytest

@pytest.mark.llm_server(config={})
def test_it(llm_server, llm_env):
    pass

def test_plain():
    pass
"""
    )

    result = pytester.runpytest_subprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["2 tests collected*"])
    pytester.runpytest_subprocess("-k", "plain").assert_outcomes(passed=1, deselected=1)
