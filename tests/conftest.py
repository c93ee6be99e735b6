"""Setup of every test: nothing of the machine's environment, asyncio as the loop, and no test of
what the installed SDKs are too old for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# so that a failed assert shows what it compared
pytest.register_assert_rewrite("tests.support")

# The machines are shared: time proves nothing. What lands or rejects a change judges it by the same
# examples each time; everyone else searches anew in each run.
settings.register_profile("shared", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of what the installed SDKs are too old for."""
    from tests.support import old_sdks  # once its asserts are rewritten

    old_sdks.skip(items)


def pytest_collection_finish() -> None:
    """Spare the tests and what they import to each search for garbage, which else takes up to half
    a second: it is there until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _bare_environment(request: pytest.FixtureRequest) -> Iterator[None]:
    """No key, base URL, header or proxy of the machine reaches a client or a server. What servers
    keep of the SDKs is in the cache of pytest, not in that of the user, and processes keep their
    bytecode: to compile the source anew at each start takes 0.45 s of CPU."""
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("MOCKLLM_CACHE_DIR", "" if cache is None else str(cache.mkdir("mockllm")))
        for name in tuple(os.environ):
            if name.startswith(("OPENAI_", "ANTHROPIC_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The loop that `anyio` tests run in, one for each module."""
    return "asyncio"
