"""Writes to the socket of a transport at once, where the transport would do so later or slower.

Before 0.23, uvloop collects what is written in one iteration of the loop and hands it over at its
end. That is late for the first of a thousand steps that are due together, and takes a microsecond
more each. asyncio's own transports write at once, and those of TLS encrypt: both are left to
themselves.
"""

from __future__ import annotations

import asyncio
import os

NO_DESCRIPTOR = -1

try:
    from uvloop.loop import TCPTransport, UnixTransport  # type: ignore[attr-defined]  # not in its stub
except ImportError:  # it is not used on Windows and PyPy
    _LATE: tuple[type, ...] = ()
else:
    _LATE = (TCPTransport, UnixTransport)


def descriptor_of(transport: asyncio.Transport) -> int:
    """Return the number of the socket to write to, with `write`; `NO_DESCRIPTOR` if the transport
    writes at once, or not to a socket. It is valid until the transport is closing."""
    if not isinstance(transport, _LATE):
        return NO_DESCRIPTOR
    number: int = transport.get_extra_info("socket").fileno()
    return number


def write_next(transport: asyncio.Transport, descriptor: int, data: bytes) -> bool:
    """Do what `write` does, where it is known that nothing waits to be written. Returns False if
    something may wait now, so that this is not known any more."""
    if descriptor == NO_DESCRIPTOR:
        transport.write(data)
        return True
    try:
        written = os.write(descriptor, data)
    except OSError:
        written = 0
    if written == len(data):
        return True
    transport.write(data[written:])
    return False


def is_empty(transport: asyncio.Transport, descriptor: int) -> bool:
    """Return True if `write_next` may follow: nothing waits to be written, or the transport itself
    writes everything."""
    return descriptor == NO_DESCRIPTOR or not transport.get_write_buffer_size()


def write(transport: asyncio.Transport, descriptor: int, data: bytes) -> None:
    """Write to a transport that is not closing: to its socket as much as it takes, unless something
    waits to be written. The transport keeps the rest, and handles errors."""
    if descriptor != NO_DESCRIPTOR and not transport.get_write_buffer_size():
        try:
            written = os.write(descriptor, data)
        except OSError:  # nothing was written: the peer reads slowly, or is gone
            written = 0
        if written == len(data):
            return
        data = data[written:]
    transport.write(data)
