"""``POST /login``: buys the cookie by which a browser needs no header."""

from __future__ import annotations

from mockllm.endpoints.control.access import unauthorized
from mockllm.endpoints.control.answers import no_content
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.request import ControlBody, ControlRequest
from mockllm.engine.decision import Decision


class Login(ControlBody):
    """The body of ``POST /login``."""

    token: str
    """The token of the server, as it stands in the fragment of the link."""


def log_in(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with a cookie.

    Raises:
        ControlError: 400; 401, the token is not valid.
    """
    given: Login = asked.read(Login)
    if not desk.access.is_token(given.token):
        raise unauthorized("The token is not valid for this server")
    return no_content(((b"set-cookie", desk.access.cookie(asked.request)),))
