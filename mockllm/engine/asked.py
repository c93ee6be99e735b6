"""A request that an answer is made for, as it is passed on once its prompt is decoded. What is not
decoded yet is `engine.received.Received`.
"""

from __future__ import annotations

from typing import NamedTuple

from mockllm.config.functions import Prompt as PromptView
from mockllm.engine.effects import NO_EFFECTS, Effects
from mockllm.exchange import Request
from mockllm.prompt import Prompt
from mockllm.providers import APIS
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count
from mockllm.state.sessions import COMMON

_WORDS = {api.name: api.word for api in APIS}


class Asked(NamedTuple):
    """A request that an answer is made for, in a `session`. `call` is the number of this answer of
    a mock with state, from 1; of others it is 0. `effects` are those of traffic."""

    prompt: Prompt
    request: Request
    session: str = COMMON
    call: int = 0
    effects: Effects = NO_EFFECTS

    def view(self) -> PromptView:
        """Return the request as functions and templates see it."""
        retries = parse_retry_count(self.request.first_values.get(RETRY_COUNT))
        api = _WORDS[self.prompt.endpoint]
        return PromptView(api, self.prompt, self.request, self.session, retries + 1)
