"""OpenAI Chat Completions: POST /v1/chat/completions (openai 3.54.0)."""

from __future__ import annotations

from mockllm import credentials, envelopes
from mockllm.provider import SDK, Provider
from mockllm.providers.openai_chat.answer import say
from mockllm.providers.openai_chat.prompt import NAME, decode, expect
from mockllm.providers.openai_chat.render import render
from mockllm.providers.openai_chat.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai_chat import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Chat Completions",
    paths=("/v1/chat/completions",),
    looks_at="message",
    sdk=_sdk,
    admit=credentials.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=envelopes.openai_error,
    say=say,
    stream_headers=envelopes.openai_headers(stream=True),
    frame=frame,
    ends_with_done=True,
)
