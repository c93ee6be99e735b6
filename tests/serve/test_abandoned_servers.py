"""Servers that are not stopped: said at once, and no process waits for them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mockllm import AsyncServer, Server
from tests.support.served import PATIENCE

NEVER_STOPPED = (
    "the {} at {} was never stopped, and nothing refers to it now; {}. Keep it and stop it: "
)


def run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program that must end by itself."""
    command = [sys.executable, *options, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


SCRIPT = """\
import urllib.request
from mockllm import Server
url = Server({{}}).start(){after}
print(urllib.request.urlopen(url + "/health").status)
"""


@pytest.mark.parametrize("after", ["", "; import gc; gc.collect()"])
def test_a_server_whose_object_is_gone_serves_and_says_so(after: str) -> None:
    done = run(SCRIPT.format(after=after))
    assert (done.returncode, done.stdout) == (0, "200\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("the Server at http://127.0.0.1:")
    assert line.endswith(
        " was never stopped, and nothing refers to it now; it serves until the process ends. "
        "Keep it and stop it: 'with Server(...) as server:'"
    )


def test_it_is_a_resource_warning_too() -> None:
    done = run(SCRIPT.format(after=""), "-W", "default")
    assert "ResourceWarning: the Server at http://" in done.stderr


def test_a_process_ends_with_a_server_that_it_did_not_stop() -> None:
    script = "from mockllm import Server; server = Server({}); server.start(); print('end')"
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_ends_too() -> None:
    script = """\
import os, sys
from mockllm import Server
with Server({}):
    if os.fork() == 0:
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = run(script, "-W", "ignore::DeprecationWarning")
    assert (done.returncode, done.stdout) == (0, "3\n")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the sockets
def test_an_async_server_whose_object_is_gone_serves_and_says_so(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "socket"

    async def serve() -> tuple[str, int]:
        with pytest.warns(ResourceWarning, match="never stopped"):
            url = await AsyncServer({}).start()
        with pytest.warns(ResourceWarning, match="never stopped"):
            await AsyncServer({}, uds=path).start()
        gc.collect()
        assert path.exists()
        return url, await asyncio.to_thread(_status, f"{url}/health")

    with asyncio.Runner() as runner:
        url, status = runner.run(serve())
        assert status == 200
        expected = NEVER_STOPPED.format("AsyncServer", url, "it serves until its event loop ends")
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
        assert caplog.records[0].getMessage().startswith(expected)
    gc.collect()
    assert not path.exists()


def test_an_async_server_whose_loop_was_closed_says_so_and_is_released(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    server = AsyncServer({}, uds=path)
    asyncio.run(server.start())
    assert path.exists()
    with pytest.warns(ResourceWarning, match="never stopped"):
        del server
    end = "its event loop was closed, and the server with it"
    expected = NEVER_STOPPED.format("AsyncServer", "http://localhost", end)
    assert caplog.records[0].getMessage().startswith(expected)
    assert not path.exists()


def test_a_server_that_was_stopped_or_never_started_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Server({}):
        pass
    Server({})
    AsyncServer({})
    with pytest.raises(TypeError):
        Server(None)  # type: ignore[arg-type]  # an object that was not made
    gc.collect()
    assert caplog.records == []


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310  # of our server
        status: int = answer.status
        return status
