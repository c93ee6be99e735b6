"""The recipe of docs/control.md for a shell, as a shell runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.served import PATIENCE, occupied_port

ROOT = Path(__file__).parents[2]
RECIPE = re.compile(r"^<!-- recipe -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)

needs_shell = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)


@needs_shell
def test_the_recipe_for_a_shell_works(tmp_path: Path) -> None:
    (recipe,) = RECIPE.findall((ROOT / "docs" / "control.md").read_text())
    (tmp_path / "mocks.json").write_text(json.dumps({"mocks": []}))
    command = tmp_path / "bin" / "mockllm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mockllm "$@"\n')
    command.chmod(0o755)
    with occupied_port() as port:
        pass
    script = f"set -emu\n{recipe.replace('8000', str(port))}wait\n"
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )

    assert '{"status":"ready"}' in done.stdout, done.stderr
    assert '"id":"added[0]","name":"ask"' in done.stdout
    assert '"content":"Sunny"' in done.stdout
    assert '"user":"How is the weather?"' in done.stdout
    assert '{"holds":true}' in done.stdout
    assert "2 requests so far:\n" in done.stdout
    assert "a-token-for-tests" not in done.stdout + done.stderr
