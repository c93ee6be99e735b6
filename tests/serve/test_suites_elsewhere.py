"""The suites of conversations and of verification, which are written for one process, against
servers of several: four workers, and two servers of two workers on one Redis, asked in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.engine import test_made_answers, test_sequences
from tests.providers import test_contract_sequences
from tests.serve import test_sessions_of_credentials
from tests.serve.embedded import test_gate_handles, test_session, test_verifiable
from tests.support.deployments import Controlled, deployed
from tests.support.remote_apps import RemoteApp
from tests.support.suites import suites

pytestmark = pytest.mark.anyio

Server = Callable[[str, Any], Controlled]

IN_PROCESS = "it is about objects of this process"
BY_SERVER = "the server refuses it, which is another error"
BY_FILE = "the mock has another place in a file, or as one that was added"


@pytest.fixture(scope="module")
def start() -> Iterator[Server]:
    """Starts the servers of a kind with a configuration, or returns those that were started."""
    with ExitStack() as stack:
        known: dict[tuple[str, str], Controlled] = {}

        def start(kind: str, config: Any) -> Controlled:
            key = kind, repr(config)
            if key not in known:
                known[key] = stack.enter_context(deployed(kind, config))
            return known[key]

        yield start


@pytest.fixture
def server(request: pytest.FixtureRequest, start: Server) -> Controlled:
    """The server of a suite, which knows nothing of the tests before."""
    found = start(request.cls.kind, request.cls.config)
    found.use_session(None)
    found.reset_state()
    found.clear_calls()
    return found


@pytest.fixture
async def clients(server: Any) -> AsyncIterator[test_contract_sequences.Clients]:
    """The clients of a suite, of one session."""
    found = test_contract_sequences.Clients(server, "one")
    yield found
    await found.close()


@pytest.fixture(autouse=True)
def _lent(
    request: pytest.FixtureRequest, server: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a test makes itself is of the server, too."""

    def lend(name: str, value: object) -> None:
        monkeypatch.setattr(request.cls.module, name, value)

    match request.cls.lends:
        case "app":
            lend("app", lambda **config: RemoteApp(server, config))
        case "LoneApp":
            lend("build_engine", lambda config: config)
            lend("LoneApp", lambda config: RemoteApp(server, config))


SUITES = [
    suites(
        test_verifiable,
        test_verifiable.MOCKS,
        without={
            "test_mocks_are_found_by_name_or_place": BY_FILE,
            "test_a_mistake_in_an_added_mock_is_that_of_a_file": BY_FILE,
            "test_the_error_of_a_function_is_raised_again": "a function cannot be sent",
            "test_a_likely_mistake_in_an_added_mock_is_logged": "it is logged by the server",
            "test_a_mock_of_the_configuration_cannot_be_removed": BY_SERVER,
        },
    ),
    suites(
        test_gate_handles,
        test_gate_handles.HELD,
        without={
            "test_a_gate_of_a_server_of_this_process_says_so": IN_PROCESS,
            "test_a_server_in_a_thread_has_gates_for_a_loop": IN_PROCESS,
        },
    ),
    suites(
        test_session,
        test_session.COUNTING,
        without={
            "test_a_session_has_one_name": "a session of a Control may be given a name",
            "test_a_credential_needs_a_configuration_that_tells_credentials_apart": BY_SERVER,
        },
    ),
    suites(test_sessions_of_credentials, test_sessions_of_credentials.BY_CREDENTIAL, without={}),
    suites(test_contract_sequences, test_contract_sequences.MOCKS, without={}),
    suites(
        test_sequences,
        {},
        lends="app",
        without={
            "test_a_script_for_several_apis_is_one_script": BY_FILE,
            "test_large_requests_are_decided_in_pieces_each_time": IN_PROCESS,
            "test_equal_requests_are_matched_twice_and_each_answer_is_made_once": IN_PROCESS,
            "test_what_is_made_for_a_request_is_made_each_time": "apps have sessions",
            "test_an_exhausted_script_of_inputs_is_not_answered_without_asking": IN_PROCESS,
            "test_an_entry_is_streamed_in_chunks_of_its_own_or_of_the_mock_or_of_the_file": BY_FILE,
        },
    ),
    suites(
        test_made_answers,
        {},
        lends="LoneApp",
        without={
            "test_a_made_answer_is_never_in_the_match_cache": IN_PROCESS,
            "test_a_large_answer_is_encoded_in_pieces": IN_PROCESS,
            "test_the_large_events_of_a_stream_are_encoded_in_pieces": IN_PROCESS,
            "test_the_time_of_a_template_is_counted_by_the_clock_of_the_app": IN_PROCESS,
            "test_an_entry_of_a_sequence_may_be_made": IN_PROCESS,
            "test_a_template_that_fails_is_a_500_with_its_place": BY_FILE,
            "test_a_value_that_a_request_does_not_have_is_named_whatever_its_size": BY_FILE,
        },
    ),
]
for _each in SUITES:
    globals().update(_each)
