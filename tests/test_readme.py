"""README.md and docs/: their examples work, their links resolve, their references are complete."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mockllm.cli.main import main
from mockllm.config.models import Config
from mockllm.engine.building import build_engine
from mockllm.engine.loading import load
from mockllm.limits import Limits
from mockllm.prompt import ConversationMessage, Prompt, ToolCall, ToolResult
from tests.support.apps import LoneApp
from tests.support.conversations import Conversation, as_chat, as_messages, as_responses
from tests.support.engines import ANTHROPIC, KEY, ask, told
from tests.support.pages import files_of, lone_examples
from tests.support.plugins import PLUGIN_OPTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

JSON = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXT = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FIRST_PAGES = ("README.md", "docs/configuration.md")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def blocks(code: re.Pattern[str]) -> list[object]:
    """The fenced blocks of all pages, one parameter set each."""
    return [
        pytest.param(block, id=f"{page.name}-{index}")
        for page in PAGES
        for index, block in enumerate(code.findall(page.read_text()))
    ]


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("example", blocks(JSON))
def test_a_configuration_loads_and_has_mocks(example: str) -> None:
    loaded = load(Config.from_dict(json.loads(example)))

    assert sum(len(table.mocks) for table in loaded.tables) > 0
    assert loaded.warnings == ()


FIRST_EXAMPLES = {name: JSON.findall((ROOT / name).read_text())[0] for name in FIRST_PAGES}
CALL = ToolCall("call_1", "get_weather")
QUESTION = ConversationMessage("user", ("How is the weather?",))
ROUND = (
    ConversationMessage("assistant", calls=(CALL,)),
    ToolResult(texts=("15 degrees, sunny",), call_id=CALL.call_id),
)


@pytest.mark.parametrize("page", FIRST_EXAMPLES)
@pytest.mark.parametrize(
    ("path", "headers", "write"),
    [
        ("/v1/chat/completions", KEY, as_chat),
        ("/v1/responses", KEY, as_responses),
        ("/v1/messages", ANTHROPIC, as_messages),
    ],
    ids=["chat", "responses", "messages"],
)
def test_the_first_example_ends_an_agents_loop_in_every_api(
    page: str, path: str, headers: dict[str, str], write: Callable[[Conversation], Prompt]
) -> None:
    app = LoneApp(build_engine(json.loads(FIRST_EXAMPLES[page])))

    def answer(*messages: ConversationMessage) -> str:
        asked = write(Conversation([], [CALL.name], [*messages]))
        return json.dumps(told(ask("POST", path, headers, dict(asked.body), engine=app)))

    assert CALL.name in answer(QUESTION)
    assert "It is 15 degrees in Paris." in answer(QUESTION, *ROUND)


@pytest.mark.parametrize("page", FIRST_EXAMPLES)
def test_the_first_example_has_ten_lines(page: str) -> None:
    assert len(FIRST_EXAMPLES[page].splitlines()) <= 10


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in a folder."""
    plain = ["-q", "-p", "no:cacheprovider", *PLUGIN_OPTIONS]
    command = [sys.executable, "-m", "pytest", *plain, *options, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).write_text(content)


def test_the_python_examples_pass(tmp_path: Path) -> None:
    """In one process, because it takes seconds to import the SDKs."""
    for page in PAGES:
        prefix = f"test_{page.stem.replace('-', '_')}"
        examples = enumerate(lone_examples(page))
        write(tmp_path, {f"{prefix}_{index}.py": example for index, example in examples})
        write(tmp_path, files_of(page))

    done = run(tmp_path)

    assert done.returncode == 0, done.stdout


def test_failures_read_as_the_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "testing-an-agent.md"
    files = files_of(page)
    agent = files["openai_agent.py"].replace("timeout=timeout)", "timeout=timeout, max_retries=0)")
    write(tmp_path, {**files, "openai_agent.py": agent.replace("in calls:", "in calls[:1]:")})

    done = run(tmp_path, "-p", "no:randomly", "-k", "openai and (two_tools or overloaded)")

    assert "2 failed" in done.stdout
    for failure in TEXT.findall(page.read_text()):
        assert failure in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    links = LINK.findall(page.read_text())

    broken = [
        (path, anchor)
        for path, anchor in links
        if not (target := page.parent / path if path else page).exists()
        or (anchor and anchor not in _anchors(target))
    ]

    assert broken == []


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))

    documented = set(re.findall(r"--[a-z][a-z-]+", (ROOT / "docs" / "options.md").read_text()))

    assert options - documented == {"--help"}


def test_every_limit_is_documented() -> None:
    limits = {field.name for field in dataclasses.fields(Limits)}

    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "options.md").read_text()))

    assert limits <= documented


def test_every_key_of_the_configuration_is_documented() -> None:
    schema = Config.model_json_schema()
    objects = [schema, *schema["$defs"].values()]
    keys = {key for each in objects for key in each.get("properties", {})}

    pages = [page.read_text() for page in PAGES]
    documented = {key for page in pages for key in re.findall(r"`(\w+)`", page)}

    assert keys <= documented
