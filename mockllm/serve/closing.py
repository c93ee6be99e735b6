"""Closes a connection from this side.

It knows what a transport forgets. It does not know why a connection is closed.
"""

from __future__ import annotations

import asyncio


def close(transport: asyncio.Transport) -> None:
    """Close a transport, unless it is closing: asyncio's for TLS forgets its connection when it is
    closed again (CPython 3.11), and can then neither be asked how much is unsent nor be aborted."""
    if not transport.is_closing():
        transport.close()
