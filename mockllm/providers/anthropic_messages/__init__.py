"""Anthropic Messages: POST /v1/messages (anthropic 2.12.0)."""

from __future__ import annotations

from mockllm import credentials, envelopes
from mockllm.provider import SDK, Provider
from mockllm.providers.anthropic_messages.answer import say
from mockllm.providers.anthropic_messages.prompt import NAME, decode, expect
from mockllm.providers.anthropic_messages.render import render
from mockllm.providers.anthropic_messages.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.anthropic_messages import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="Anthropic Messages",
    paths=("/v1/messages",),
    looks_at="message",
    sdk=_sdk,
    admit=credentials.admit_anthropic,
    decode=decode,
    expect=expect,
    render=render,
    render_error=envelopes.anthropic_error,
    say=say,
    stream_headers=envelopes.anthropic_headers(stream=True),
    frame=frame,
)
