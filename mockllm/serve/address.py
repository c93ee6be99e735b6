"""Addresses that a server listens on: TCP ports, Unix sockets, and TLS on either."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from mockllm.config.address import MAX_PORT, parse_host, shown
from mockllm.errors import ListenError

BACKLOG = 4096  # connections that may wait to be accepted; the system may allow fewer
MAX_SHOWN_PORT = 10**30
PROBE_TIME = 1.0  # seconds to wait for a server behind a Unix socket

FileId = tuple[int, int, int]
"""Identity of a file, whatever its name: device, inode, modification time."""


# --- TCP -----------------------------------------------------------------------------------------


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a TCP socket bound to the first address of `host`, preferring IPv4. With `shared`
    other sockets of this program may be bound to the same port (SO_REUSEPORT); a port that another
    program listens on still counts as in use.

    Raises:
        ListenError: there is no such address, or it is in use.
    """
    if shared and port:
        bind(host, port).close()
    return _bind(host, port, shared=shared)


def bind_beside(sock: socket.socket) -> socket.socket:
    """Return another socket bound to the address of `sock`, which must be bound with `shared`.

    Raises:
        ListenError: the address is no longer available.
    """
    host, port = sock.getsockname()[:2]
    return _bind(host, port, shared=True)


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        parse_host(host)
        if not 0 <= port <= MAX_PORT:  # some systems truncate it to 16 bits
            raise OverflowError(f"expected a port from 0 to {MAX_PORT}")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0])
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            if os.name == "posix":  # on Windows it would let two servers share a port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
    except (OSError, OverflowError, ValueError) as exc:
        raise ListenError(f"cannot listen on {_where(host, port)}: {reason_of(exc)}") from exc
    return sock


def _where(host: str, port: int) -> str:
    """``127.0.0.1:8000`` or ``[::1]:8000``; what is no host is quoted."""
    number = str(port) if abs(port) < MAX_SHOWN_PORT else "?"  # `str` refuses 5,000 digits
    try:
        parse_host(host)
    except ValueError:
        return f"{shown(host)}:{number}"
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


# --- Unix sockets --------------------------------------------------------------------------------


@contextlib.contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Bind a Unix socket to `path` and remove its file on exit, unless another server has replaced
    it meanwhile. A file left behind by a dead server is replaced.

    Raises:
        ListenError: the path is in use, or cannot be created.
    """
    path = path.absolute()
    sock = _bind_unix(path)
    made = _file_id(path)
    try:
        yield sock
    finally:
        with contextlib.suppress(OSError):
            if _file_id(path) == made:
                path.unlink()


def _bind_unix(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ListenError(f"cannot listen on {path}: this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        _remove_stale(path)
        sock.bind(str(path))
    except (OSError, UnicodeError, ValueError) as exc:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {reason_of(exc)}") from exc
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove a socket left behind by a server that did not exit cleanly."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {path}: a file that is not a socket exists there")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_TIME)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, "in use")


def _file_id(path: Path) -> FileId:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns  # inodes are reused


# --- URLs ----------------------------------------------------------------------------------------


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """Return the base URL of a bound socket for clients on this machine. Through a Unix socket any
    host name reaches the server."""
    scheme = "https" if tls else "http"
    if is_unix(sock):
        return f"{scheme}://localhost"
    host, port = sock.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared only
    return f"{scheme}://[{local}]:{port}" if ":" in local else f"{scheme}://{local}:{port}"


def is_unix(sock: socket.socket) -> bool:
    """Return True if `sock` is bound to a path, not a port."""
    return sock.family not in (socket.AF_INET, socket.AF_INET6)


def is_local(sock: socket.socket | None, peer: object) -> bool:
    """Return True if a connection is one of this machine: through a Unix socket, or from a loopback
    address (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). `peer` is the address of its other
    end, as a socket returns it. What is not known is not local."""
    if sock is not None and is_unix(sock):
        return True
    try:
        host = ip_address(str(peer[0]).partition("%")[0]) if isinstance(peer, tuple) else None
    except (ValueError, IndexError):
        return False
    mapped = getattr(host, "ipv4_mapped", None)  # a client by IPv4 of a socket for both
    return host is not None and (mapped or host).is_loopback


# --- TLS -----------------------------------------------------------------------------------------


def tls_context(certfile: str | Path, keyfile: str | Path | None = None) -> ssl.SSLContext:
    """Return a context that serves TLS with a certificate. Without `keyfile` the private key is
    read from `certfile`.

    Raises:
        ListenError: a file cannot be read, or does not hold what it should.
    """
    for file in (certfile, keyfile or certfile):
        try:
            Path(file).open("rb").close()
        except OSError as exc:
            raise ListenError(f"cannot serve TLS: {file}: {reason_of(exc)}") from exc
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(
            certfile, keyfile, password=""
        )  # or OpenSSL would prompt for it on the terminal
    except (OSError, ValueError) as exc:
        names = f"{certfile} and {keyfile}" if keyfile else f"{certfile}"
        expected = "expected a PEM certificate with its unencrypted private key"
        raise ListenError(f"cannot serve TLS: {names}: {expected} ({reason_of(exc)})") from exc
    return context


def reason_of(error: Exception) -> str:
    """Describe an error of an address or a file in words."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the address is in use; choose another one, or port 0 for a free one"
    return getattr(error, "strerror", None) or str(error)
