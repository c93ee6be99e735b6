"""Real agents, against mocks that are not made for agents: a user's plain text matches.

`testdata/agents/` holds a request of each as it was recorded, with its long texts cut. Where the
agents are installed (`npm install @anthropic-ai/claude-code @openai/codex` in the project's folder,
or anywhere on the PATH) they are started too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, Server
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Request
from tests.support.apps import LoneApp
from tests.support.goldens import TESTDATA
from tests.support.served import messages_mock, messages_saying, responses_mock, responses_saying

PROMPT = "Say the magic word"
ANSWER = "Abracadabra"
CONFIG = {
    "openai_response": [responses_mock(PROMPT, responses_saying(ANSWER), match_type="contains")],
    "anthropic": [messages_mock(PROMPT, messages_saying(ANSWER), match_type="contains")],
}
PATIENCE = 120  # seconds for an agent to start and answer on a busy machine
BINARIES = Path(__file__).parents[2] / "node_modules" / ".bin"


def recorded(name: str) -> Request:
    request: dict[str, Any] = orjson.loads((TESTDATA / "agents" / f"{name}.json").read_bytes())
    headers = tuple((k.encode(), v.encode()) for k, v in request["headers"].items())
    body = orjson.dumps(request["body"])
    return Request.of(request["method"], request["path"], headers, body, query=request["query"])


@pytest.mark.parametrize("name", ["claude_code", "codex"])
def test_a_recorded_request_matches_a_plain_user_mock(name: str) -> None:
    decision = LoneApp(Engine(load(Config.from_dict(CONFIG)))).decide(recorded(name))

    assert decision.match.outcome.value == "matched"
    assert decision.reply.streamed
    assert ANSWER.encode() in decision.reply.body


def test_a_recorded_request_is_counted() -> None:
    request = recorded("claude_code")._replace(path="/v1/messages/count_tokens")

    counted = orjson.loads(
        LoneApp(Engine(load(Config.from_dict(CONFIG)))).decide(request).reply.body
    )

    assert counted["input_tokens"] > 100


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(CONFIG) as server:
        yield server


def run(agent: str, *arguments: str, home: Path, **environment: str) -> str:
    """The output of `agent`, started in an empty home."""
    found = shutil.which(agent, path=f"{BINARIES}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{agent} is neither in {BINARIES} nor on the PATH")
    done = subprocess.run(
        [found, *arguments],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_claude_code_prints_the_answer(server: Server, tmp_path: Path) -> None:
    printed = run(
        "claude",
        "-p",
        PROMPT,
        home=tmp_path,
        ANTHROPIC_BASE_URL=server.anthropic_base_url,
        ANTHROPIC_API_KEY="any",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
    )

    assert printed == f"{ANSWER}\n"


def test_codex_prints_the_answer(server: Server, tmp_path: Path) -> None:
    """With its own provider, which asks for a WebSocket first."""
    (tmp_path / "auth.json").write_bytes(orjson.dumps({"OPENAI_API_KEY": "any"}))

    printed = run(
        "codex",
        "exec",
        "--skip-git-repo-check",
        "-c",
        f'openai_base_url="{server.openai_base_url}"',
        PROMPT,
        home=tmp_path,
        CODEX_HOME=str(tmp_path),
    )

    assert printed == f"{ANSWER}\n"
