"""Sessions by credential: each API key has its own, whichever URL its requests are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import NotFoundError

from mockllm import Server
from mockllm.state.session_names import session_of_credential
from tests.serve.embedded.test_session import COUNTING, asked
from tests.support.served import nothing_left_behind

BY_CREDENTIAL = {"session": "credential", **COUNTING}


@pytest.fixture
def server() -> Iterator[Server]:
    with nothing_left_behind(), Server(BY_CREDENTIAL) as server:
        yield server


def test_a_credential_has_a_session_of_its_own(server: Server) -> None:
    with server.session(credential="sk-a") as one:
        assert asked(server.openai_base_url, "sk-a") == "0"
        assert asked(server.openai_base_url, "sk-b") == "0"
        assert asked(server.openai_base_url, "sk-b") == "1"
        assert asked(one.openai_base_url, "sk-b") == "1"

    with pytest.raises(NotFoundError, match="has ended"):
        asked(server.openai_base_url, "sk-a")
    assert asked(server.openai_base_url, "sk-b") == "2"


@pytest.mark.parametrize("key", ["sk-a", b"sk-a"])
def test_a_session_of_a_credential_has_a_name_that_hides_it(
    server: Server, key: str | bytes
) -> None:
    name = server.session(credential=key).name

    assert name == session_of_credential(b"sk-a")
    assert "sk-a" not in name
