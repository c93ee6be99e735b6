"""Turns on the control API of a server: its token, and what it needs of the loop."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field

from mockllm.app import App
from mockllm.endpoints.control.access import Access
from mockllm.endpoints.control.api import ControlAPI
from mockllm.endpoints.control.desk import Desk
from mockllm.errors import MockLLMError
from mockllm.observers.journal import Journal
from mockllm.serve.clock import Clock
from mockllm.serve.waiting import wait_for_count

TOKEN_VARIABLE = "MOCKLLM_CONTROL_TOKEN"  # noqa: S105  # its name
MIN_TOKEN = 8  # characters; a made one has 43
_TOKEN = re.compile(rf"[!-~]{{{MIN_TOKEN},512}}")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The parameters of the control API. With `is_open`, clients of this machine need no token."""

    token: str = field(repr=False)
    is_open: bool = False
    allows_templates: bool = False
    strict_config: bool = False
    """Refuse mocks with likely mistakes."""


def given_token() -> str | None:
    """Return the token in the environment; None if there is none.

    Raises:
        MockLLMError: it is too short, or no header could have it.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if token is not None and not _TOKEN.fullmatch(token):
        expected = f"at least {MIN_TOKEN} characters, all of them printable ASCII without spaces"
        raise MockLLMError(f"{TOKEN_VARIABLE}: expected {expected}")
    return token


def make_token() -> str:
    """Return the token in the environment, or a new one that nobody can guess.

    Raises:
        MockLLMError: as `given_token` does.
    """
    return given_token() or secrets.token_urlsafe(32)


def turn_on(
    app: App,
    settings: ControlSettings,
    *,
    journal: Journal | None,
    clock: Clock,
    host: str,
    is_tls: bool,
) -> None:
    """Let `app` answer the control API, in the loop of the server."""

    async def wait(session: str | None, count: int, timeout: float) -> bool:  # noqa: ASYNC109  # the client's
        assert journal is not None  # or the API has refused to wait
        return await wait_for_count(journal, session, count, timeout)

    access = Access(settings.token, settings.is_open, host, is_tls)
    desk = Desk(
        app,
        access,
        journal,
        clock,
        wait,
        _name_session,
        strict_config=settings.strict_config,
        allows_templates=settings.allows_templates,
    )
    app.control = ControlAPI(desk)


def _name_session() -> str:
    return f"session-{secrets.token_hex(8)}"
