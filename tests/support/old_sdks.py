"""Tests that an SDK older than the one mockllm was written for cannot pass, with the reasons.

They are skipped with such an SDK, all others hold with any that pyproject.toml allows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockllm.providers.anthropic import vendor as anthropic
from mockllm.providers.openai import vendor as openai
from mockllm.validation.versions import is_older

OPENAI, ANTHROPIC = ("openai", openai.SDK_VERSION), ("anthropic", anthropic.SDK_VERSION)

_TYPES = "the official client is strict, and does not declare the types of these answers"
_TYPOS = "what an old SDK does not declare is a note, since a newer one may declare it"
_STRICT = "strict validation refuses what the installed SDK does not declare"
_OPTIONAL = (
    "the one type of messages of an old SDK may lack members, so these requests are accepted"
)
_NAMES = "the test compares our tables with the types of the SDK"
_CLIENT = "the client lacks what the test uses of it"

_NEWER_ITEMS = (
    "apply_patch",
    "compaction",
    "computer",
    "custom_tool_call",
    "function_call_output",
    "mcp",
    "program",
    "shell",
    "tool_search",
)
_CHAT = "tests/providers/openai/chat"
_RESPONSES = "tests/providers/openai/responses"
_VERDICTS = "tests/providers/test_sdk_verdicts.py"
_MESSAGES = "tests/providers/anthropic/messages"


def _each(test: str, ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{test}[{each}]" for each in ids)


_TESTS: tuple[tuple[tuple[str, str], str, tuple[str, ...]], ...] = (
    (
        OPENAI,
        _TYPES,
        (
            *_each(
                f"{_RESPONSES}/test_answer.py::test_strict_client_reads_the_whole_answer",
                _NEWER_ITEMS,
            ),
            *_each(
                f"{_RESPONSES}/test_stream.py::test_events_are_in_order_and_typed", _NEWER_ITEMS
            ),
            *_each(
                f"{_RESPONSES}/test_stream.py::test_strict_client_yields_every_event", _NEWER_ITEMS
            ),
            *_each(
                f"{_RESPONSES}/test_stream.py::test_helper_rebuilds_the_whole_answer", _NEWER_ITEMS
            ),
            *_each(f"{_CHAT}/test_stream.py::test_helper_rebuilds_the_response", ("moderation",)),
            *_each(
                f"{_CHAT}/test_stream.py::test_async_helper_rebuilds_the_response", ("moderation",)
            ),
            f"{_CHAT}/test_stream.py::test_any_response_is_rebuilt",
            f"{_CHAT}/test_stream.py::test_any_response_is_rebuilt_by_the_async_helper",
            f"{_RESPONSES}/test_answer.py::test_strict_clients_read_any_valid_response",
            f"{_RESPONSES}/test_stream.py::test_any_valid_stream_adds_up",
            f"{_RESPONSES}/test_stream.py::test_helper_rebuilds_any_valid_answer",
            f"{_RESPONSES}/test_stream.py::test_strict_client_yields_any_valid_stream",
        ),
    ),
    (
        OPENAI,
        _TYPOS,
        (
            "tests/engine/test_json_schema.py::test_typos_are_not_valid",
            "tests/engine/review/test_mocks.py::test_a_misspelt_member_of_a_match_is_a_warning",
            "tests/engine/review/test_mocks.py::test_a_response_that_the_sdk_rejects_is_a_warning",
            "tests/engine/review/test_mocks.py::test_events_are_confirmed_as_responses_are",
            "tests/engine/review/test_mocks.py::test_members_that_become_events_are_not_unknown",
            f"{_CHAT}/test_sdk.py::test_the_original_readmes_answer_has_findings",
            *_each(
                "tests/providers/test_sdk_mocks.py::"
                "test_a_typo_and_a_wrong_type_in_an_answer_are_findings",
                ("chat", "responses", "embeddings"),
            ),
            "tests/providers/test_sdk_mocks.py::test_a_misspelt_member_of_a_match_is_found",
        ),
    ),
    (
        OPENAI,
        _STRICT,
        (
            f"{_RESPONSES}/test_sdk.py::test_messages_and_references_are_accepted[item4]",
            f"{_VERDICTS}::test_large_requests_are_strictly_valid[responses]",
        ),
    ),
    (
        OPENAI,
        _NAMES,
        (
            (
                f"{_VERDICTS}::test_lenient_types_exist_in_the_sdk"
                "[mockllm.providers.openai.responses.sdk]"
            ),
            (
                "tests/providers/test_texts.py::"
                "test_every_string_of_the_installed_types_is_read_or_known_to_be_no_text[responses]"
            ),
        ),
    ),
    (
        OPENAI,
        _CLIENT,
        (
            "tests/providers/openai/test_azure.py::test_a_deployment_may_have_any_name",
            "tests/providers/openai/test_azure.py::test_openais_client_is_answered_under_azures_v1",
        ),
    ),
    (
        ANTHROPIC,
        _TYPES,
        (
            *_each(
                f"{_MESSAGES}/test_answer.py::test_golden_answer_passes_a_strict_client",
                ("beta_compaction", "beta_mcp"),
            ),
            *_each(
                f"{_MESSAGES}/test_stream.py"
                "::test_golden_stream_is_rebuilt_by_the_official_clients",
                ("beta_compaction", "beta_mcp"),
            ),
            f"{_MESSAGES}/test_answer.py::test_valid_beta_response_passes_the_strict_beta_client",
            f"{_MESSAGES}/test_stream.py::test_valid_response_is_rebuilt_by_the_official_clients",
            (
                f"{_MESSAGES}/test_stream.py::"
                "test_valid_beta_response_is_rebuilt_by_the_official_beta_client"
            ),
        ),
    ),
    (
        ANTHROPIC,
        _TYPOS,
        (
            "tests/engine/test_json_schema.py::test_typos_are_not_valid",
            f"{_MESSAGES}/test_sdk.py::test_an_unknown_block_in_an_answer_is_a_finding",
            (
                "tests/providers/test_sdk_mocks.py::"
                "test_a_typo_and_a_wrong_type_in_an_answer_are_findings[messages]"
            ),
            "tests/providers/test_sdk_mocks.py::test_a_misspelt_member_of_a_match_is_found",
        ),
    ),
    (
        ANTHROPIC,
        _OPTIONAL,
        _each(
            "tests/engine/review/test_impossible.py::test_a_message_that_every_request_is_refused_with",
            ("anthropic-match4-message.content",),
        ),
    ),
    (
        ANTHROPIC,
        _NAMES,
        (
            f"{_MESSAGES}/test_sdk.py::test_beta_members_are_those_of_the_beta_type",
            "tests/providers/test_sdk_requests.py::test_role_is_required[messages]",
            (
                f"{_VERDICTS}::test_lenient_types_exist_in_the_sdk"
                "[mockllm.providers.anthropic.messages.sdk]"
            ),
        ),
    ),
    (
        ANTHROPIC,
        _CLIENT,
        (
            "tests/providers/test_contract_headers.py::test_anthropic_accepts_a_bearer_token_alone",
            "tests/providers/test_contract_headers.py::test_anthropic_without_credentials_is_401",
            "tests/providers/test_contract_headers.py::test_anthropic_headers_of_a_whole_answer",
        ),
    ),
)


def skippable_tests() -> list[str]:
    """Return the node ids of all tests in the table; without an id, of all of a test's cases."""
    return [test for _, _, tests in _TESTS for test in tests]


def skipped_tests() -> Iterator[tuple[str, str]]:
    """Yield the node ids of the tests to skip with the installed SDKs, and the reason of each."""
    for (sdk, version), reason, tests in _TESTS:
        if is_older(sdk, version):
            for test in tests:
                yield test, f"{sdk} is older than {version}: {reason}"


def skip(items: list[pytest.Item]) -> None:
    """Skip those of the collected tests that the installed SDKs cannot pass."""
    reasons = dict(skipped_tests())
    for item in items if reasons else ():
        reason = reasons.get(item.nodeid) or reasons.get(item.nodeid.partition("[")[0])
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
