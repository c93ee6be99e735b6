"""A request as the rules see it.

A prompt is a read-only view made for matching and never a translation: what goes back on the wire
stays in the provider's own format. Providers make prompts (`API.decode`), `matching`
reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """How the client wants to be answered. What a provider does not know stays as it is here.

    Hashable: a rule's reply is rendered once for each form that is asked for.
    """

    stream: bool = False
    include_usage: bool = False
    """Chat: `stream_options.include_usage`."""
    include_obfuscation: bool = True
    """Chat and Responses: `stream_options.include_obfuscation`."""
    base64: bool = False
    """Embeddings: `encoding_format` is ``base64``."""


NOT_STREAMED = ResponseOptions()
STREAMED = ResponseOptions(stream=True)


# Subjects and prompts are frozen in spirit only: one of each is made for every request, and being
# frozen would cost a microsecond each.


@dataclass(slots=True)
class Message:
    """One thing of a prompt that a rule may be about.

    Chat and Messages: one message (`role`, its `texts`, `items` of one). Responses: the whole input
    (`items`) with the texts of its last item. Where only the texts may be looked at, `items` is
    None and nothing is ever equal to it. `texts` are what people said, `search_texts` where a rule
    looks for its text: the texts, and in Responses the item's JSON too.
    """

    role: str
    texts: tuple[str, ...]
    search_texts: tuple[str, ...]
    items: Sequence[Any] | None
    canonical: Callable[[Any], bytes]
    """Of one item: equal bytes if and only if the items mean the same."""
    _tails: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)
    _keys: list[bytes] = field(default_factory=list, repr=False, compare=False)
    """The canonical forms of the last items, the last one first."""

    @property
    def size(self) -> int:
        """The number of items; -1 where only the texts may be looked at."""
        return -1 if self.items is None else len(self.items)

    def key_of_last(self, size: int) -> bytes:
        """The canonical form of the last `size` items. Made when first asked for, then kept:
        a conversation is long, and most rules are about texts."""
        known = self._tails.get(size)
        if known is None:
            items, keys = self.items or (), self._keys
            while len(keys) < size:
                keys.append(self.canonical(items[-1 - len(keys)]))
            known = b",".join(reversed(keys[:size]))
            self._tails[size] = known
        return known


@dataclass(slots=True)
class Prompt:
    """A request as the rules see it.

    `endpoint` is the provider's name (``openai``), `last_messages` what a rule may be about, in the
    order of preference, `body` the decoded request.
    """

    endpoint: str
    model: str
    last_messages: tuple[Message, ...]
    options: ResponseOptions
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What was said last: the last text of the last subject (agents put their reminders
        first). Empty if there is none."""
        texts = self.last_messages[-1].texts
        return texts[-1] if texts else ""
