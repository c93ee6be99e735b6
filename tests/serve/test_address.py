"""Addresses by themselves: what may be bound, what a failure says, and the URLs of sockets."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from mockllm.errors import ListenError
from mockllm.serve.address import (
    bind,
    bind_beside,
    is_local,
    is_unix,
    reason_of,
    tls_context,
    unix_socket,
    url_of,
)

LOOPBACK = "127.0.0.1"
IN_USE = "the address is in use; choose another one, or port 0 for a free one"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another socket listens on."""
    with socket.create_server((LOOPBACK, 0)) as other:
        yield other.getsockname()[1]


def _abandoned(path: Path) -> int:
    """Leave the file of a Unix socket behind, as a killed server does; returns its inode."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    return path.stat().st_ino


# -- TCP --


def test_port_0_becomes_a_free_port() -> None:
    with bind(LOOPBACK, 0) as sock:
        host, port = sock.getsockname()
        assert host == LOOPBACK
        assert port > 0


def test_a_bound_socket_never_blocks() -> None:
    with bind(LOOPBACK, 0) as sock:
        assert not sock.getblocking()


def test_a_name_with_both_kinds_of_address_is_bound_to_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = socket.SOCK_STREAM
    both = [
        (socket.AF_INET6, kind, 0, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, kind, 0, "", (LOOPBACK, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with bind("two-stacks", 0) as sock:
        assert sock.family == socket.AF_INET


@needs_ipv6
def test_binds_an_ipv6_address() -> None:
    with bind("::1", 0) as sock:
        assert sock.family == socket.AF_INET6
        assert sock.getsockname()[0] == "::1"


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_is_listened_on_is_in_use(taken: int, shared: bool) -> None:
    with pytest.raises(ListenError) as caught:
        bind(LOOPBACK, taken, shared=shared)
    assert str(caught.value) == f"cannot listen on {LOOPBACK}:{taken}: {IN_USE}"


def test_a_port_shared_by_a_listening_server_is_in_use_for_the_next_one() -> None:
    """SO_REUSEPORT alone would let both of them listen and divide the connections."""
    with bind(LOOPBACK, 0, shared=True) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match="the address is in use"):
            bind(LOOPBACK, port, shared=True)


@pytest.mark.parametrize("port", [-1, 65536, 2**16 + 8000, 2**80])
def test_a_port_out_of_range_is_an_error(port: int) -> None:
    with pytest.raises(ListenError) as caught:
        bind(LOOPBACK, port)
    expected = f"cannot listen on {LOOPBACK}:{port}: expected a port from 0 to 65535"
    assert str(caught.value) == expected


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "\ud800"])
def test_a_host_that_is_no_name_is_an_error(host: str) -> None:
    with pytest.raises(ListenError, match=r"^cannot listen on .+:0: .+"):
        bind(host, 0)


def test_an_unknown_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ListenError) as caught:
        bind("nowhere.invalid", 80)
    assert str(caught.value) == "cannot listen on nowhere.invalid:80: Name or service not known"


@pytest.mark.skipif(os.name != "posix", reason="Windows needs no option for it")
def test_a_port_is_free_again_at_once_after_its_server_closed_a_connection() -> None:
    """Though the system keeps the end of that connection for minutes (TIME_WAIT)."""
    with bind(LOOPBACK, 0) as first:
        first.setblocking(True)
        first.listen()
        address = first.getsockname()
        with socket.create_connection(address) as client:
            first.accept()[0].close()
            assert client.recv(1) == b""
    with bind(*address) as second:
        assert second.getsockname() == address


def test_a_socket_beside_another_has_its_address_and_listens_too() -> None:
    with bind(LOOPBACK, 0, shared=True) as first:
        first.listen()
        with bind_beside(first) as second:
            second.listen()
            assert second.getsockname() == first.getsockname()


def test_there_is_no_socket_beside_one_that_does_not_share() -> None:
    with bind(LOOPBACK, 0) as first:
        first.listen()
        with pytest.raises(ListenError, match="the address is in use"):
            bind_beside(first)


# -- Unix sockets --


def test_a_unix_socket_has_a_file_until_the_exit(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as sock, sock:
        assert path.is_socket()
        assert not sock.getblocking()
    assert not path.exists()


def test_the_file_is_removed_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pytest.raises(RuntimeError, match="stop"), unix_socket(path) as sock, sock:
        raise RuntimeError("stop")
    assert not path.exists()


def test_a_relative_path_is_removed_from_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with unix_socket(Path("socket")) as sock, sock:
        assert (tmp_path / "socket").is_socket()
        os.chdir(elsewhere)
    assert not (tmp_path / "socket").exists()


def test_a_file_left_behind_by_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    _abandoned(path)
    with unix_socket(path) as sock, sock, socket.socket(socket.AF_UNIX) as client:
        sock.listen()
        client.connect(str(path))
    assert not path.exists()


def test_a_path_with_a_living_server_is_in_use_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as first, first:
        first.listen()
        with pytest.raises(ListenError) as caught, unix_socket(path):
            pass
        assert str(caught.value) == f"cannot listen on {path}: {IN_USE}"
        assert path.is_socket()


def test_the_file_of_a_server_that_took_the_path_over_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as sock, sock:
        path.rename(tmp_path / "old")
        inode = _abandoned(path)
    assert path.stat().st_ino == inode


def test_a_file_removed_by_someone_else_does_not_disturb_the_exit(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix_socket(path) as sock, sock:
        path.unlink()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_an_error_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ListenError, match=r"a file that is not a socket exists there$"):
        unix_socket(path).__enter__()
    assert path.read_text() == "mine"


def test_a_directory_is_not_a_socket(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"a file that is not a socket exists there$"):
        unix_socket(tmp_path).__enter__()


def test_a_missing_directory_is_named_by_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "socket"
    with pytest.raises(ListenError) as caught:
        unix_socket(path).__enter__()
    assert str(caught.value) == f"cannot listen on {path}: {os.strerror(errno.ENOENT)}"


@pytest.mark.parametrize("name", ["a" * 200, "a\0b", "\ud800"])
def test_a_path_that_no_socket_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ListenError, match=r"(?s)^cannot listen on .+: .+"):
        unix_socket(tmp_path / name).__enter__()


def test_a_system_without_unix_sockets_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ListenError, match=r"this system has no Unix sockets$"):
        unix_socket(tmp_path / "socket").__enter__()


# -- URLs --


@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])  # noqa: S104  # the wildcard is the case
@pytest.mark.parametrize(("tls", "scheme"), [(False, "http"), (True, "https")])
def test_the_url_of_ipv4_is_that_of_this_machine(host: str, tls: bool, scheme: str) -> None:
    with bind(host, 0) as sock:
        assert url_of(sock, tls=tls) == f"{scheme}://{LOOPBACK}:{sock.getsockname()[1]}"


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "::"])
def test_the_url_of_ipv6_is_in_brackets(host: str) -> None:
    with bind(host, 0) as sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


@pytest.mark.parametrize(("tls", "url"), [(False, "http://localhost"), (True, "https://localhost")])
def test_the_url_of_a_unix_socket_has_no_port(tmp_path: Path, tls: bool, url: str) -> None:
    with unix_socket(tmp_path / "socket") as sock, sock:
        assert url_of(sock, tls=tls) == url


def test_only_a_socket_with_a_path_is_unix(tmp_path: Path) -> None:
    with bind(LOOPBACK, 0) as tcp, unix_socket(tmp_path / "socket") as unix, unix:
        assert (is_unix(tcp), is_unix(unix)) == (False, True)


# -- TLS --


@pytest.mark.parametrize("missing", ["cert.pem", "key.pem"])
def test_a_missing_file_of_tls_is_named(tmp_path: Path, missing: str) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.touch()
    key.touch()
    (tmp_path / missing).unlink()
    with pytest.raises(ListenError) as caught:
        tls_context(cert, key)
    reason = os.strerror(errno.ENOENT)
    assert str(caught.value) == f"cannot serve TLS: {tmp_path / missing}: {reason}"


def test_a_file_that_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("not PEM")
    key.write_text("not PEM")
    expected = "expected a PEM certificate with its unencrypted private key"
    with pytest.raises(ListenError) as alone:
        tls_context(cert)
    assert str(alone.value).startswith(f"cannot serve TLS: {cert}: {expected} (")
    with pytest.raises(ListenError) as both:
        tls_context(cert, key)
    assert str(both.value).startswith(f"cannot serve TLS: {cert} and {key}: {expected} (")


# -- Reasons --


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EADDRINUSE, "whatever the system says"), IN_USE),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("no number"), "no number"),
        (ssl.SSLError(1, "bad file"), "bad file"),
        (ValueError("embedded null byte"), "embedded null byte"),
    ],
)
def test_the_reason_of_an_error_is_in_words(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


# -- peers --


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.9.1", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("::ffff:10.0.0.1", 1, 0, 0), False),
        (("10.0.0.1", 1), False),
        (("fe80::1%eth0", 1, 0, 2), False),
        (("localhost", 1), False),
        ((), False),
        ("", False),
        (None, False),
    ],
)
def test_peers_of_this_machine_are_told_by_their_address(peer: object, expected: bool) -> None:
    with socket.socket() as sock:
        assert is_local(sock, peer) is expected
        assert is_local(None, peer) is expected


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_peers_of_a_unix_socket_are_of_this_machine() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        assert is_local(sock, "")
