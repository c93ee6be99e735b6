"""One request to the control API, as its routes read it: its path, its query and its body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from mockllm.config.json_file import read_json
from mockllm.config.mistakes import validated
from mockllm.config.objects import ConfigObject
from mockllm.endpoints.control.access import Grant
from mockllm.endpoints.control.refusals import ControlError, bad_parameter, forbidden, invalid
from mockllm.errors import ConfigError
from mockllm.exchange import Request
from mockllm.limits import KIB, MIB
from mockllm.providers.routes import Values
from mockllm.state.session_names import describe_mistake, is_session_name
from mockllm.state.sessions import COMMON

MAX_BODY = 4 * MIB  # of mocks and traffic; the largest mocks are responses of some 100 kB
MAX_FORM = 128 * KIB  # of other bodies, which are read at once: 5 ms
MAX_DIGITS = 18  # of a number in a query


class ControlBody(ConfigObject):
    """The body of a request to the control API."""


F = TypeVar("F", bound=ControlBody)


class ControlRequest(NamedTuple):
    """A request that is admitted: the values in its path, its query, and what it may see."""

    request: Request
    values: Values
    query: Mapping[str, str]
    grant: Grant

    def scope(self, *, common: bool = False) -> str | None:
        """Return the session that the request is about: the one of its token, else the one that its
        query names, or None for all. If it may be the `common` one, that has the empty name.

        Raises:
            ControlError: 400, 403.
        """
        named = self.query.get("session")
        if named is not None and not (common and named == COMMON):
            check_session_name(named)
        if self.grant.session is None:
            return named
        if named not in (None, self.grant.session):
            raise forbidden(f"The token is that of the session {self.grant.session!r} alone")
        return self.grant.session

    def number(self, name: str, default: int, *, most: int | None = None) -> int:
        """Return a number of the query.

        Raises:
            ControlError: 400, it is none.
        """
        text = self.query.get(name)
        if text is None:
            return default
        is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if not is_number or (most is not None and int(text) > most):
            bound = "" if most is None else f" up to {most:,}"
            raise bad_parameter(name, f"a whole number{bound}", text)
        return int(text)

    def flag(self, name: str) -> bool | None:
        """Return true or false of the query; None if it is not there.

        Raises:
            ControlError: 400, it is neither.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text not in ("true", "false"):
            raise bad_parameter(name, "true or false", text)
        return text == "true"

    def body(self, *, most: int = MAX_BODY) -> Any:
        """Return the body as JSON: an object of at most so many bytes. An empty body is one without
        members.

        Raises:
            ControlError: 400, 413.
        """
        content = self.request.body
        if len(content) > most:
            message = f"A body has at most {most:,} bytes here, found {len(content):,}"
            raise ControlError(413, "too_large", message)
        if not content:
            return {}
        try:
            data, problems, _ = read_json(content)
        except ConfigError as exc:
            raise invalid("invalid_json", "The body is not JSON", exc.problems) from exc
        if not isinstance(data, dict):
            raise invalid("invalid_body", "The body is not an object")
        if problems:
            raise invalid("invalid_json", "The body has mistakes", problems)
        return data

    def read(self, form: type[F]) -> F:
        """Return the body as an object of the type `form`.

        Raises:
            ControlError: 400 with all mistakes, 413.
        """
        try:
            return validated(form, self.body(most=MAX_FORM))
        except ConfigError as exc:
            raise invalid("invalid_body", "The body has mistakes", exc.problems) from exc


def read_query(request: Request, names: Iterable[str]) -> Mapping[str, str]:
    """Return the parameters of the query of a request.

    Raises:
        ControlError: 400, it has others than `names`, or one of them twice.
    """
    known = list(names)
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise bad_parameter(name, expected, value, is_unknown=True)
        if name in found:
            raise ControlError(400, "bad_parameter", f"The parameter {name!r} occurs twice")
        found[name] = value
    return found


def check_session_name(name: str) -> str:
    """Return the valid name of a session.

    Raises:
        ControlError: 400.
    """
    if not is_session_name(name):
        raise ControlError(400, "invalid_session", f"Invalid session: {describe_mistake(name)}")
    return name
