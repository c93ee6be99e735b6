"""A request as the rules see it: a read-only view for matching, in the same form for all APIs, so
that one condition works with each of them. It is no translation: it knows neither the format of any
API nor a rule, and responses stay in the API's own format.

APIs create prompts (`API.decode`), `matching` reads them. The last messages of every request are
decoded at once. The rest of the conversation is decoded on first use and cached, because decoding
40 messages takes longer than everything else that is done for a request.
"""

from mockllm.prompt.conversation import (
    NO_CONVERSATION,
    Body,
    ConversationMessage,
    Earlier,
    Readers,
    ToolCall,
    ToolResult,
)
from mockllm.prompt.message import Message, MessagePart
from mockllm.prompt.prompt import NOT_STREAMED, STREAMED, Prompt, ResponseOptions

__all__ = [
    "NOT_STREAMED",
    "NO_CONVERSATION",
    "STREAMED",
    "Body",
    "ConversationMessage",
    "Earlier",
    "Message",
    "MessagePart",
    "Prompt",
    "Readers",
    "ResponseOptions",
    "ToolCall",
    "ToolResult",
]
