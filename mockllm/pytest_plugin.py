"""The pytest plugin: a mock LLM server for the run, with a session of its own for each test.

    def test_my_agent(llm_server, llm_env):
        llm_server.add(user={"contains": "weather"}, reply="Sunny")
        assert my_agent("How is the weather?") == "Sunny"

A test that passes although the mocks did not answer all its requests fails at the end of its call.
Nothing of the server is imported, and nothing started, until a test uses a fixture.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from mockllm.client.control import RemoteSession
    from mockllm.client.suite import Suite
    from mockllm.engine.building import ConfigSource
    from mockllm.serve.embedded.run_servers import RunServers
    from mockllm.serve.embedded.servers import Server
    from mockllm.serve.embedded.session import AnySession, BaseURLs

MARKER = "llm_server"
SECTION = "requests to llm_server"
KEY = "mockllm"  # an API key: clients refuse to start without one
MAX_STRAGGLERS = 20  # requests that are listed at the end of the run
_KEEPS = (
    "the mocks that are there are kept, and nothing is known of its requests unless it has "
    "--control, and its token is in MOCKLLM_CONTROL_TOKEN"
)


class MarkerArguments(NamedTuple):
    """The arguments of the marker. `config` is that of `Server`; None for that of the run."""

    config: ConfigSource | None = None
    allow_unmatched: bool = False
    strict_requests: bool = False
    control: bool = False


class _Used(NamedTuple):
    """The session of a test, and how it is checked."""

    session: AnySession | RemoteSession
    settings: MarkerArguments


_USED = pytest.StashKey[_Used]()
_LATE = pytest.StashKey[list[str]]()
_OUTPUT = "mockllm_stragglers"  # the name of what a process of pytest-xdist hands on
_TOLD = pytest.StashKey[bool]()
"""True if the failure of a test has its requests already."""


# --- Hooks ----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the command line and of the configuration file."""
    group = parser.getgroup("llm-server", "mock LLM server")
    group.addoption(
        "--llm-server-url",
        metavar="URL",
        help=f"use the server that runs at URL: {_KEEPS}",
    )
    group.addoption(
        "--llm-server-config",
        metavar="PATH",
        help="mocks that llm_server has for every test: a file or a directory",
    )
    parser.addini("llm_server_config", "the default of --llm-server-config", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    described = (
        f"{MARKER}(config=None, allow_unmatched=False, strict_requests=False, control=False): the "
        "mocks of the fixture llm_server, as a dict or a path; whether requests without a mock "
        "pass; whether requests that the SDKs do not allow fail; whether other processes may drive "
        "the server with llm_server.control_token"
    )
    config.addinivalue_line("markers", described)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that passes although requests of it were not answered by a mock. What a function
    of the test raised, when it should have answered, is raised again."""
    __tracebackhide__ = True
    yield
    used = item.stash.get(_USED, None)
    if used is not None and not used.settings.allow_unmatched:
        with _told_in_short():
            failure = used.session._why_unanswered()
        if failure is None:
            return
        item.stash[_TOLD] = True
        __tracebackhide__ = False  # or pytest would say that everything is hidden
        pytest.fail(failure, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the requests of a test to the report of its failure, unless its text lists them."""
    report = yield
    used = item.stash.get(_USED, None)
    failed = report.when == "call" and report.failed and not item.stash.get(_TOLD, False)
    if used is not None and failed:
        requests = _describe(used.session)
        is_listed = call.excinfo is not None and requests in str(call.excinfo.value)
        if requests and not is_listed:
            report.sections.append((SECTION, requests))
    return report


def _describe(session: AnySession | RemoteSession) -> str:
    """Return the requests of a session for a report; empty if there was none."""
    from mockllm.errors import RemoteError
    from mockllm.observers.verification import NO_REQUEST

    try:
        text = session.describe_calls()
    except RemoteError as exc:  # the server is gone, which must not end the run
        return str(exc)
    return "" if text == NO_REQUEST else text


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the stragglers of a process of pytest-xdist."""
    found = getattr(node, "workeroutput", {}).get(_OUTPUT, ())
    _stragglers(node.config).extend(found)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List the requests that came after the end of their test, or were held at a gate then."""
    stragglers = _stragglers(config)
    if stragglers:
        terminalreporter.section("requests to llm_server after the end of their test")
        for line in stragglers[:MAX_STRAGGLERS]:
            terminalreporter.line(line)
        if len(stragglers) > MAX_STRAGGLERS:
            terminalreporter.line(f"... and {len(stragglers) - MAX_STRAGGLERS:,} more")


def _stragglers(config: pytest.Config) -> list[str]:
    """The requests that came after the end of their test, or were held then, a line each. In a
    process of pytest-xdist they are handed on to the one that reports."""
    output = getattr(config, "workeroutput", None)
    found: list[str] = config.stash.setdefault(_LATE, [])
    if output is not None:
        output[_OUTPUT] = found
    return found


# --- Fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _llm_servers(pytestconfig: pytest.Config) -> Iterator[RunServers]:
    from mockllm.serve.embedded.run_servers import RunServers

    path = pytestconfig.getoption("llm_server_config")
    if path is None and (written := pytestconfig.getini("llm_server_config")):
        path = pytestconfig.rootpath / written
    servers = RunServers({} if path is None else path, _stragglers(pytestconfig))
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def _llm_suite(pytestconfig: pytest.Config) -> Iterator[Suite | None]:
    """The sessions on the server at ``--llm-server-url``; None if only its URLs are known."""
    from mockllm.client.suite import Suite, connect
    from mockllm.serve.embedded.stragglers import late_line

    with _told_in_short():
        control = connect(str(pytestconfig.getoption("llm_server_url")))
    if control is None:
        yield None
        return
    suite = Suite(control, uuid4().hex[:12])
    yield suite
    try:
        with _told_in_short():
            _stragglers(pytestconfig).extend(map(late_line, suite.late()))
    finally:
        suite.close()


@pytest.fixture(scope="session")
def llm_base_url(request: pytest.FixtureRequest) -> str:
    """The root URL of the server of the run, for an application that is started once: its requests
    belong to the test that runs, if this uses `llm_server` without `config`."""
    url = request.config.getoption("llm_server_url")
    if url is not None:
        return str(url).rstrip("/")
    servers: RunServers = request.getfixturevalue("_llm_servers")
    return _start(servers, MarkerArguments()).base_url


@pytest.fixture
def llm_server(
    request: pytest.FixtureRequest,
) -> Iterator[AnySession | RemoteSession | BaseURLs]:
    """A session of the server of the run, which ends with the test: a `Session`, in an ``async``
    test an `AsyncSession`. With ``--llm-server-url`` it is a `RemoteSession`, with the same words,
    or has only base URLs if there is no token for that server."""
    settings = _settings_of(request.node)
    if request.config.getoption("llm_server_url") is not None:
        yield from _elsewhere(request, settings)
        return
    from mockllm.serve.embedded.session import AsyncSession, Session

    servers: RunServers = request.getfixturevalue("_llm_servers")
    server = _start(servers, settings)
    name = servers.name_session(request.node.name)
    server.use_session(name)
    kind = AsyncSession if _is_async(request) else Session
    session: AnySession = kind(name, server)
    request.node.stash[_USED] = _Used(session, settings)
    request.node.stash[_TOLD] = False
    yield session
    del request.node.stash[_USED]
    servers.end(session)


@pytest.fixture
def llm_env(llm_server: BaseURLs, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The environment variables that let clients find `llm_server`, set for the test."""
    variables = {
        "OPENAI_BASE_URL": llm_server.openai_base_url,
        "OPENAI_API_BASE": llm_server.openai_base_url,
        "OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": llm_server.base_url,
        "AZURE_OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": llm_server.anthropic_base_url,
        "ANTHROPIC_API_URL": llm_server.anthropic_base_url,
        "ANTHROPIC_API_KEY": KEY,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        hosts = filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))
        monkeypatch.setenv(name, ",".join(hosts))
    return variables


# --- Their parts ----------------------------------------------------------------------------------


def _settings_of(item: Any) -> MarkerArguments:
    """Return the arguments of the marker of a test, those of the closest first."""
    given: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):
        unknown = sorted(set(marker.kwargs) - set(MarkerArguments._fields))
        if marker.args or unknown:
            found = ", ".join([*map(repr, marker.args), *map(repr, unknown)])
            expected = ", ".join(f"{name}=" for name in MarkerArguments._fields)
            pytest.fail(f"@pytest.mark.{MARKER} takes {expected}; found {found}", pytrace=False)
        given = {**marker.kwargs, **given}
    return MarkerArguments(**given)


def _refuse(mistakes: str) -> NoReturn:
    """Fail for mistakes in a configuration. Not where they are caught, or pytest would show the
    frames there too."""
    pytest.fail(f"llm_server: {mistakes}", pytrace=False)


def _start(servers: RunServers, settings: MarkerArguments) -> Server:
    """Return the server for a test, or fail the test for the mistakes in its configuration."""
    from mockllm.errors import ConfigError

    try:
        return servers.get(
            settings.config,
            strict_requests=settings.strict_requests,
            control=settings.control,
        )
    except ConfigError as exc:
        mistakes = str(exc)
    _refuse(mistakes)


def _is_async(request: pytest.FixtureRequest) -> bool:
    """Return True if the test runs in an event loop."""
    return inspect.iscoroutinefunction(getattr(request, "function", None))


def _elsewhere(
    request: pytest.FixtureRequest, settings: MarkerArguments
) -> Iterator[RemoteSession | BaseURLs]:
    """Yield a session of its own on a server that runs elsewhere."""
    from mockllm.serve.embedded.stragglers import held_lines, session_name

    suite: Suite | None = request.getfixturevalue("_llm_suite")
    if suite is None:
        url = str(request.config.getoption("llm_server_url")).rstrip("/")
        yield _only_urls(url, settings, request.node.name)
        return
    lists = {} if settings.config is None else _lists_of(settings.config)
    test = session_name(request.node.name, "")[:-1]
    strict = settings.strict_requests
    with _told_in_short():
        session = suite.begin(test, awaits=_is_async(request), strict_requests=strict)
    try:
        if lists:
            with _told_in_short():
                session.add_lists(lists)
        request.node.stash[_USED] = _Used(session, settings)
        request.node.stash[_TOLD] = False
        yield session
    finally:
        if _USED in request.node.stash:
            del request.node.stash[_USED]
        with _told_in_short():
            _stragglers(request.config).extend(held_lines(session.name, suite.end(session)))


@contextmanager
def _told_in_short() -> Iterator[None]:
    """Fail with the text alone if the server that runs elsewhere does not answer, or refuses."""
    from mockllm.errors import RemoteError

    __tracebackhide__ = True
    try:
        yield
        return
    except RemoteError as exc:
        text = str(exc)
    __tracebackhide__ = False  # or pytest would say that everything is hidden
    pytest.fail(f"llm_server: {text}", pytrace=False)


def _lists_of(config: ConfigSource) -> Mapping[str, Any]:
    """Return the mocks of a test's own configuration, or skip the test if it needs more."""
    from mockllm.client.suite import lists_of
    from mockllm.errors import ConfigError

    mistakes = ""
    try:
        return lists_of(config)
    except ConfigError as exc:
        mistakes = str(exc)
    except (TypeError, ValueError) as exc:
        pytest.skip(f"with --llm-server-url, config= of a test has mocks only: {exc}")
    _refuse(mistakes)


def _only_urls(url: str, settings: MarkerArguments, test: str) -> BaseURLs:
    """Return the base URLs of a session of its own on a server that runs elsewhere."""
    from mockllm.serve.embedded.session import BaseURLs
    from mockllm.serve.embedded.stragglers import session_name

    if settings.config is not None:
        pytest.skip(f"with --llm-server-url, {_KEEPS}: the test has a config of its own")

    class Elsewhere(BaseURLs):
        """A server that runs elsewhere: only its URLs are known."""

        base_url = f"{url}/session/{session_name(test, uuid4().hex)}"

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"no {name!r} with --llm-server-url: {_KEEPS}")

    return Elsewhere()
