"""OpenAI Embeddings, POST /v1/embeddings (openai 3.54.0), as a codec of requests and answers. It
knows no other API, no socket and no table of mocks.
"""

from __future__ import annotations

from mockllm.providers.api import API, SDK, Batch
from mockllm.providers.openai import azure
from mockllm.providers.openai.embeddings.batch import (
    count_answers,
    count_inputs,
    generate,
    join,
    split,
)
from mockllm.providers.openai.embeddings.contradictions import find_contradictions
from mockllm.providers.openai.embeddings.prompt import (
    NAME,
    compile_match,
    decode,
    prepare,
    read,
)
from mockllm.providers.openai.embeddings.render import render, text_response
from mockllm.providers.openai.failures import TOO_MANY_TOKENS
from mockllm.providers.openai.vendor import OPENAI
from mockllm.wire import sse


def _sdk() -> SDK:
    # only when it is needed: it may import the SDK
    from mockllm.providers.openai.embeddings import sdk

    return sdk


EMBEDDINGS = API(
    vendor=OPENAI,
    name=NAME,
    word="embeddings",
    title="OpenAI Embeddings",
    routes=azure.routes_of("/v1/embeddings"),
    match_field="input",
    sdk=_sdk,
    decode=decode,
    read=read,
    prepare=prepare,
    compile_match=compile_match,
    render=render,
    answer_members=("data",),
    text_response=text_response,
    frame=sse.frame,
    find_contradictions=find_contradictions,
    batch=Batch(split, join, count_answers, count_inputs),
    generate=generate,
    failures={"context_length": TOO_MANY_TOKENS},
)
