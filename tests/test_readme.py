"""README.md and docs/: their examples work, their links resolve, their references are complete."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mockllm.cli.main import main
from mockllm.config.models import Config
from mockllm.engine.loading import load
from mockllm.limits import Limits

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def blocks(language: str) -> list[object]:
    """The fenced blocks of all pages in `language`, one parameter set each."""
    return [
        pytest.param(block, id=f"{page.name}-{index}")
        for page in PAGES
        for index, block in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        )
    ]


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("example", blocks("json"))
def test_a_configuration_loads_and_has_mocks(example: str) -> None:
    loaded = load(Config.from_dict(json.loads(example)))

    assert sum(len(table.mocks) for table in loaded.tables) > 0
    assert loaded.warnings == ()


PASSED, NO_TESTS = pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED  # some are no tests


@pytest.mark.parametrize("example", blocks("python"))
def test_a_python_example_passes(example: str, tmp_path: Path) -> None:
    file = tmp_path / "test_example.py"
    file.write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode in (PASSED, NO_TESTS), done.stdout


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

    names = ("configuration.md", "conditions.md", "errors.md")
    pages = [(ROOT / "docs" / name).read_text() for name in names]
    documented = {key for page in pages for key in re.findall(r"`(\w+)`", page)}

    assert keys <= documented
