"""The answers of the control API: JSON that no page of another origin can read, and its errors.

{"error": {"code": "invalid_mock", "message": "...", "problems": [{"place", "message"}, ...]}}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.control.refusals import ControlError
from mockllm.engine.decision import Decision, Outcome
from mockllm.errors import ClientError, Problem, RequestError
from mockllm.exchange import Headers, Reply, Request, Step
from mockllm.providers.envelope import DATE, JSON
from mockllm.replies.prepared import make_ready
from mockllm.wire import jsontext

_CLOSED: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    DATE,
)
"""The headers of every answer. None of them is one of CORS."""
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'"
)
"""The content security policy of the page: it loads its own files, and nothing is markup that was
text."""
_PAGE: Headers = ((b"content-security-policy", POLICY), (b"x-frame-options", b"DENY"))


def answer(
    value: Any, status: int = 200, *, etag: str | None = None, headers: Headers = ()
) -> Decision:
    """Return the decision to answer with a JSON value, and the version of what it shows."""
    own = headers if etag is None else (*headers, (b"etag", etag.encode()))
    return answer_with(jsontext.dumps(value), status, headers=own)


def answer_with(text: bytes, status: int = 200, *, headers: Headers = ()) -> Decision:
    """Return the decision to answer with a JSON text."""
    own = ((b"content-type", JSON), *headers)
    return _decision(Reply.whole(status, own + _CLOSED, text))


def answer_in_pieces(pieces: Sequence[bytes]) -> Decision:
    """Return the decision to answer with a JSON text that is in pieces: to join 10 MB takes 5 ms,
    and to let go of the pieces as long."""
    own = ((b"content-type", JSON),)
    return _decision(Reply(200, own + _CLOSED, (Step(tuple(pieces)),)))


def no_content(headers: Headers = ()) -> Decision:
    """Return the decision to answer 204."""
    return _decision(Reply(204, headers + _CLOSED, ()))


def plain_text(text: str) -> Decision:
    """Return the decision to answer with a text for people."""
    own = ((b"content-type", b"text/plain; charset=utf-8"),)
    return _decision(Reply.whole(200, own + _CLOSED, text.encode()))


def asset(kind: bytes, content: bytes) -> Decision:
    """Return the decision to answer with a file of the page, in UTF-8."""
    own = ((b"content-type", kind + b"; charset=utf-8"), *_PAGE)
    return _decision(Reply.whole(200, own + _CLOSED, content))


def render_error(error: ClientError) -> Reply:
    """Return an error in the form of the control API."""
    default = "internal" if error.status == 500 else "bad_request"
    body: dict[str, Any] = {
        "code": getattr(error, "code", None) or default,
        "message": error.message,
    }
    problems = getattr(error, "problems", ())
    if problems:
        body["problems"] = [describe(each) for each in problems]
    own = ((b"content-type", JSON), *error.headers)
    return Reply.whole(error.status, own + _CLOSED, jsontext.dumps({"error": body}))


def refuse(error: RequestError) -> Decision:
    """Return the decision to answer with an error."""
    return _decision(render_error(error))


def describe(problem: Problem) -> dict[str, str]:
    """Return a problem as JSON."""
    return {
        "place": str(problem.place),
        "message": problem.message,
        "severity": problem.severity.value,
    }


def version_of(value: Any) -> str:
    """Return the ETag of what has this value (RFC 9110, section 8.8.3)."""
    return f'"{sha256(jsontext.canonical(value)).hexdigest()[:20]}"'


def has_condition(request: Request) -> bool:
    """Return True if `check_version` has something to check."""
    return b"if-match" in request.first_values


def check_version(request: Request, find: Callable[[], str | None]) -> None:
    """Check that what a request changes is still as its client has seen it (RFC 9110, section
    13.1.1). `find` returns its ETag, None if it does not exist.

    Raises:
        ControlError: 412.
    """
    expected = request.first_values.get(b"if-match")
    if expected is None:
        return
    etag = find()
    listed = [each.strip() for each in expected.decode("latin-1").split(",")]
    if etag is None or (etag not in listed and listed != ["*"]):
        found = "it does not exist" if etag is None else f"it is now at {etag}"
        raise ControlError(
            412, "changed_meanwhile", f"What 'if-match' expects has changed meanwhile: {found}"
        )


def _decision(reply: Reply) -> Decision:
    decision = endpoint_decision(reply, outcome=Outcome.CONTROL)
    reply, ready = make_ready(reply)
    return decision._replace(reply=reply, ready=ready)
