"""The form of errors of the control API."""

from __future__ import annotations

import pytest

from mockllm.endpoints.control.answers import render_error
from mockllm.errors import ClientError
from mockllm.wire import jsontext


@pytest.mark.parametrize(("status", "code"), [(400, "bad_request"), (500, "internal")])
def test_an_error_without_a_code_has_that_of_its_status(status: int, code: str) -> None:
    reply = render_error(ClientError(status, "what is wrong"))

    assert jsontext.loads(reply.body) == {"error": {"code": code, "message": "what is wrong"}}
