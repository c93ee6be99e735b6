"""The suite of docs/testing-an-agent.md with all its agents, that of LangChain included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.agents.weather import PAGE
from tests.support.pages import files_of
from tests.support.plugins import PLUGIN_OPTIONS

pytest.importorskip("langchain_openai")


def test_every_agent_passes_the_suite(tmp_path: Path) -> None:
    for name, content in files_of(PAGE.with_name("testing-an-agent.md")).items():
        (tmp_path / name).write_text(content)
    options = ["-q", "-W", "default", "-p", "no:cacheprovider", *PLUGIN_OPTIONS]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "60 passed" in done.stdout, done.stdout
