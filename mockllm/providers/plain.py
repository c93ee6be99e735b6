"""Reads plain requests: with messages that are a role and a text alone, the last of which is the
user's. Most requests of load tests are, and many others.

Of such a request, one call finds out what reading and validating it would take ten for, so that a
small one takes half the time; and of a conversation of 35 kB, nothing else is read. The result is
that of the API's own `read`, or None, in which case that is asked. Property tests compare the two,
and what is called valid with the SDK's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mockllm.prompt import NOT_STREAMED, STREAMED, Message, MessagePart, Prompt, Readers
from mockllm.providers.request_body import MAX_MODEL

MAX_PLAIN = 500  # messages of a plain conversation: the user's may be searched one by one

_NUMBER: tuple[type, ...] = (float, int)
_USUAL: Mapping[str, tuple[type, ...]] = {
    "model": (str,),
    "messages": (list,),
    "stream": (bool,),
    "temperature": _NUMBER,
    "top_p": _NUMBER,
}


class PlainReader:
    """Reads plain requests of one API, whose name is `name` and whose messages `readers` read.

    `speakers` are the roles of messages that need nothing but a text. `minimums` are the smallest
    values of members that are integers, `types` those of other members, all values of which the
    SDK's type allows, beside usual ones. Members that are `looked_at` in another way are left to
    the API. `canonical` and `parts_of` are those of its messages.
    """

    def __init__(
        self,
        name: str,
        readers: Readers,
        *,
        speakers: frozenset[str],
        minimums: Mapping[str, int],
        types: Mapping[str, tuple[type, ...]],
        looked_at: frozenset[str],
        canonical: Callable[[Any], bytes],
        parts_of: Callable[[Any], Iterable[MessagePart]],
    ) -> None:
        self._name = name
        self._readers = readers
        self._speakers = speakers
        self._minimums = minimums
        self._types = {**_USUAL, **types, **dict.fromkeys(minimums, (int,))}
        self._checked = looked_at | {"stream", *minimums}
        self._canonical = canonical
        self._parts_of = parts_of

    def read(self, members: dict[str, Any]) -> Prompt | None:
        """Read the decoded body of a request into a prompt, if it is plain; None of any other."""
        model, messages = members.get("model"), members.get("messages")
        if type(model) is not str or not 0 < len(model) <= MAX_MODEL:
            return None
        if type(messages) is not list or not messages:
            return None
        speakers, is_plain = self._speakers, len(messages) <= MAX_PLAIN
        try:
            for message in messages:
                if type(message["content"]) is not str or message["role"] not in speakers:
                    return None
                if len(message) != 2:
                    is_plain = False
        except (KeyError, TypeError):  # no object, or one without these members
            return None
        if message["role"] != "user":
            return None
        is_valid, options = is_plain, NOT_STREAMED
        if len(members) > 2:
            others = self._judge(members)
            if others is None:
                return None
            is_valid = others and is_plain
            if members.get("stream"):
                options = STREAMED
        text = message["content"]
        texts = (text,)
        last = Message("user", texts, texts, (message,), self._canonical, self._parts_of, text)
        prompt = Prompt(self._name, model, (last,), options, members, self._readers)
        prompt.is_plain = is_plain  # as arguments, these would cost 0.1 µs
        prompt.is_valid = is_valid
        return prompt

    def _judge(self, members: Mapping[str, Any]) -> bool | None:
        """Return True if the SDK's type allows the members beside the messages, False if that is
        not known, and None if the API has to look at them."""
        types, minimums, is_known = self._types, self._minimums, True
        for name, value in members.items():
            if type(value) not in types.get(name, ()):
                if name in self._checked:
                    return None
                is_known = False
            elif name in minimums and value < minimums[name]:
                return None
        return is_known
