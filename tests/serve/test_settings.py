"""The parameters of a server, and the signatures that show them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mockllm import AsyncServer, Limits, ListenError, Server
from mockllm.serve.settings import Settings
from tests.support.processes import posix

SIGNATURE = {
    "config": inspect.Parameter.empty,
    "host": "127.0.0.1",
    "port": 0,
    "uds": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "strict": False,
    "strict_config": False,
    "strict_requests": False,
    "cors": True,
    "latency": None,
    "speed": 1.0,
    "limits": None,
    "drain_timeout": 0.25,
    "journal": 10_000,
    "quick_retries": False,
    "hold_for": 60.0,
    "control": False,
    "control_templates": False,
}


@pytest.mark.parametrize("server", [AsyncServer, Server])
def test_the_signature_shows_every_parameter(server: type[AsyncServer | Server]) -> None:
    parameters = inspect.signature(server).parameters

    assert {name: each.default for name, each in parameters.items()} == SIGNATURE
    assert {name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY} == (
        SIGNATURE.keys() - {"config"}
    )


def test_the_defaults_of_a_server_are_those_of_the_settings() -> None:
    settings = Settings()

    shared = SIGNATURE.keys() & {"host", "port", "uds", "ssl_certfile", "ssl_keyfile"}
    assert {name: getattr(settings, name) for name in shared} == {
        name: SIGNATURE[name] for name in shared
    }
    assert settings.limits == Limits()
    assert settings.drain_timeout == 10.0  # the command has clients that it must not cut


def test_bind_opens_the_port_that_its_url_names() -> None:
    with Settings().bind() as bound, bound.sock:
        assert bound.url == f"http://127.0.0.1:{bound.sock.getsockname()[1]}"
        assert bound.tls is None


@posix
def test_the_file_of_a_unix_socket_exists_while_it_is_bound(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"

    with Settings(uds=path).bind() as bound, bound.sock:
        assert path.is_socket()
        assert bound.url == "http://localhost"

    assert not path.exists()


def test_a_missing_certificate_is_found_before_the_address_is_bound(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    settings = Settings(uds=path, ssl_certfile=tmp_path / "none.pem")

    with pytest.raises(ListenError, match="cannot serve TLS"), settings.bind():
        pytest.fail("bound")

    assert not path.exists()
