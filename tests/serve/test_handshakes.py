"""Sockets that let no new client in."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from mockllm.serve.handshakes import keep_new_clients_out

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def connecting(listening: socket.socket) -> socket.socket:
    """A client whose first packet is sent; over the loopback the answer has come by now."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listening.getsockname())
    return client


def test_a_socket_with_the_filter_queues_no_new_client(listening: socket.socket) -> None:
    keep_new_clients_out(listening)

    with connecting(listening), pytest.raises(BlockingIOError):
        listening.accept()


def test_clients_of_before_are_still_accepted_and_heard(listening: socket.socket) -> None:
    with connecting(listening) as client:
        keep_new_clients_out(listening)
        client.sendall(b"hi")

        accepted = listening.accept()[0]
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(2) == b"hi"


def test_a_unix_socket_is_left_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(path)
        listening.listen()
        keep_new_clients_out(listening)
        client.connect(path)
