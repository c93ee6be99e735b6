"""The request of an entry of the journal, without the credentials that it was sent with.

They are hidden wherever they stand, also in the body. What is never asked for is not decoded.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.observers.entries import FindEarlier, JournalEntry
from mockllm.observers.sent_credentials import credentials_of, hideable
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers import APIS, contents
from mockllm.providers.api import API
from mockllm.providers.routes import Routes
from mockllm.redaction import hide_known, redact_json, redact_words
from mockllm.state.session_names import split_request
from mockllm.wire.json_encoding import dumps_in_pieces
from mockllm.wire.json_pieces import loads_in_pieces

_ROUTES = Routes((path, api) for api in APIS for path in api.routes)


class SentRequest:
    """The request of an entry. `find_earlier` returns the conversation that it continues."""

    def __init__(self, entry: JournalEntry, find_earlier: FindEarlier) -> None:
        self._entry = entry
        self._find_earlier = find_earlier

    @cached_property
    def unprefixed(self) -> Request:
        """The request as it was sent, but for the session's prefix of its path."""
        return split_request(self._entry.request)[1]

    @cached_property
    def api(self) -> API | None:
        """The API whose path the request has."""
        if self._entry.request.method != "POST":
            return None
        return next((api for api, _ in _ROUTES.find(self.unprefixed.path)), None)

    @cached_property
    def credentials(self) -> frozenset[str]:
        """The credentials of the request; those with a scheme also without it."""
        return credentials_of(self._entry.request)

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The credentials that are hidden wherever they stand, the longest first."""
        return hideable(self.credentials)

    def hide(self, text: str) -> str:
        """Return `text` without these credentials."""
        return hide_known(text, self.known)

    @property
    def is_body_cut(self) -> bool:
        """True if the body was too large for the journal, which has only its beginning."""
        return self._entry.size > len(self._entry.request.body)

    @cached_property
    def body(self) -> tuple[bytes, Any]:
        """The body without credentials, as bytes and as JSON; as a text if it is not JSON.

        Raises:
            ValueError: the journal has only its beginning.
        """
        raw = self._entry.request.body
        if self.is_body_cut:
            size, kept = f"{self._entry.size:,} bytes", f"{len(raw):,}"
            raise ValueError(f"the journal has only the first {kept} of the {size} of this body")
        if not raw:
            return b"", None
        try:
            # a thread that reads much holds the interpreter for no more than a piece
            value = redact_json(finish(loads_in_pieces(raw)), self.known)
        except ValueError:
            text = redact_words(raw.decode("utf-8", "replace"), self.known)
            return text.encode(), text
        return b"".join(dumps_in_pieces(value)), value

    @cached_property
    def prompt(self) -> Prompt | None:
        """The request as rules see it, without credentials; None if it is none, or is invalid."""
        if self.api is None:
            return None
        values = next(values for _, values in _ROUTES.find(self.unprefixed.path))
        try:
            prompt = self.api.decode(self.unprefixed._replace(body=self.body[0]), values)
        except RequestError:
            return None
        if prompt.readers.continues(prompt.body):
            response_id = contents.text(prompt.body.get("previous_response_id"))
            prompt.earlier = self._find_earlier(response_id, self._entry.session)
        return prompt
