"""The live page: three files, which say nothing of a server. The script asks the control API for
what its reader may see.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mockllm.endpoints.control.answers import asset
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.request import ControlRequest
from mockllm.engine.decision import Decision

_FOLDER = Path(__file__).parent / "page"


def wants_page(asked: ControlRequest) -> bool:
    """Return True if a client accepts HTML, as browsers do."""
    return b"text/html" in asked.request.first_values.get(b"accept", b"").lower()


def show_page(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the page."""
    return asset(b"text/html", _read("page.html"))


def show_script(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the script of the page."""
    return asset(b"text/javascript", _read("page.js"))


def show_style(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the style of the page."""
    return asset(b"text/css", _read("page.css"))


@cache
def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
