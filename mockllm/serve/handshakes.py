"""Ends the handshakes of a listening TCP socket before it is closed.

To close a listening socket resets the connections in its queue, and between the last of them that
is accepted and the close another may join. A filter in the kernel can keep new ones out meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # of Linux, asm-generic/socket.h; `socket` does not have it
FLAGS = 13  # offset of the flags in a TCP header (RFC 9293 section 3.1)
SYN = 0x02
DROP_SYN = (  # classic BPF (linux/filter.h): code, jump if true, jump if false, operand
    (0x30, 0, 0, FLAGS),  # load a byte
    (0x45, 0, 1, SYN),  # does it have the bit?
    (0x06, 0, 0, 0),  # return: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # return: keep the whole packet
)


def keep_new_clients_out(sock: socket.socket) -> None:
    """Have the kernel ignore new clients of `sock`, which listens on a TCP port and is about to be
    closed. They ask again after a second, as TCP does, and are refused then. Handshakes that have
    begun are completed. Does nothing where the kernel has no such filter (all but Linux)."""
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in DROP_SYN))
    program = struct.pack("HP", len(DROP_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # without it, clients of the last moment are reset
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
