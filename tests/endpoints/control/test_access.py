"""Who may use the control API: tokens, pages of other origins, rebound hosts, proxies, forms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.endpoints.control.access import PREFIX, Access, link
from mockllm.exchange import Request
from tests.support.control import BEARER, HOST, JSON, TOKEN, Controlled

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = ("", "mocks", "mocks/x", "calls", "sessions", "sessions/a", "speed", "openapi.json")
OWN = "http://127.0.0.1:8000"
FORM = {"content-type": "application/x-www-form-urlencoded"}
PREFLIGHT = {"access-control-request-method": "PUT", "access-control-request-headers": "x"}

FOREIGN_PAGES: Mapping[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "another port": {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
    "no origin": {"sec-fetch-site": "cross-site"},
    "an old browser": {"origin": "http://evil.example"},
    "a sandbox or a file": {"origin": "null"},
    "another scheme": {"origin": "ftp://127.0.0.1:8000"},
}
REBOUND = {"host": "evil.example:8000", "origin": "http://evil.example:8000"}
FORWARDED: Mapping[str, dict[str, str]] = {
    "forwarded": {"forwarded": "for=1.2.3.4"},
    "x-forwarded-for": {"x-forwarded-for": "1.2.3.4"},
    "x-forwarded-anything": {"x-forwarded-prefix": "/"},
    "via": {"via": "1.1 proxy"},
    "x-real-ip": {"x-real-ip": "1.2.3.4"},
}


@pytest.fixture
def closed() -> Controlled:
    return Controlled()


@pytest.fixture
def opened() -> Controlled:
    return Controlled(is_open=True)


def attack(
    controlled: Controlled, verb: str, path: str, headers: Mapping[str, str], *, local: bool = True
) -> int:
    """Send a request and check that it is refused, changes nothing, and can be read by no page.
    Returns its status."""
    before = controlled.app.views.count
    lines = tuple((name.encode(), value.encode()) for name, value in {**HOST, **headers}.items())
    body = b'{"reply": "Hi"}' if verb in ("POST", "PUT", "PATCH") else b""
    told = controlled.send(Request.of(verb, PREFIX + path, lines, body), is_local=local)
    assert 400 <= told.status < 500
    assert not [name for name in told.headers if name.startswith("access-control-")]
    assert controlled.app.views.count == before
    return told.status


# --- Attacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", FOREIGN_PAGES)
@pytest.mark.parametrize("is_open", [False, True])
def test_pages_of_others_are_refused_on_every_method_even_with_a_token(
    page: str, is_open: bool
) -> None:
    controlled = Controlled(is_open=is_open)
    for verb, path, token in product(VERBS, PATHS, ({}, BEARER)):
        headers = {**FOREIGN_PAGES[page], **JSON, **token}
        assert attack(controlled, verb, path, headers) == 403


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", PATHS)
def test_a_rebound_host_is_refused_where_no_token_is_needed(
    opened: Controlled, verb: str, path: str
) -> None:
    headers = {**REBOUND, **JSON, "sec-fetch-site": "same-origin"}
    assert attack(opened, verb, path, headers) in (403, 404, 405)  # no such route, whoever asks
    if verb == "GET" and path != "mocks/x":
        assert attack(opened, verb, path, headers) == 403


@pytest.mark.parametrize("proxy", FORWARDED)
@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
def test_what_a_proxy_forwards_needs_a_token(opened: Controlled, proxy: str, verb: str) -> None:
    path = "calls" if verb == "DELETE" else "mocks"
    assert attack(opened, verb, path, {**FORWARDED[proxy], **JSON}) == 403

    assert opened.ask(verb, path, {"reply": "x"}, headers=FORWARDED[proxy]).status < 300


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("content", [FORM, {"content-type": "text/plain"}, {}])
@pytest.mark.parametrize("token", [{}, BEARER])
def test_a_form_changes_nothing(
    opened: Controlled, verb: str, content: dict[str, str], token: dict[str, str]
) -> None:
    path = "mocks" if verb == "POST" else "mocks/x"
    assert attack(opened, verb, path, {**content, **token}) == 415


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, BEARER, {"origin": OWN}, {"origin": "https://a.example"}])
def test_a_preflight_is_never_granted(
    opened: Controlled, path: str, headers: dict[str, str]
) -> None:
    assert attack(opened, "OPTIONS", path, {**PREFLIGHT, **headers}) in (403, 405)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_other_machines_need_a_token(opened: Controlled, verb: str) -> None:
    path = {"GET": "calls", "POST": "mocks", "PUT": "speed", "DELETE": "calls"}[verb]
    assert attack(opened, verb, path, JSON, local=False) == 401


@pytest.mark.parametrize(
    "credential",
    [
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer ",
        "Bearer a." + "0" * 32,
        "Bearer \xe9",
        "Bearer .",
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_wrong_token_is_refused(credential: str, is_open: bool) -> None:
    controlled = Controlled(is_open=is_open)
    told = controlled.ask("GET", "calls", token=None, headers={"authorization": credential})

    assert (told.status, told.code) == (401, "unauthorized")
    assert told.headers["www-authenticate"].startswith("Bearer")


def test_nothing_is_read_without_a_token(closed: Controlled) -> None:
    for verb, path in product(("GET", "POST", "PUT", "DELETE"), PATHS[1:]):
        assert attack(closed, verb, path, JSON) in (401, 405)


def test_a_refused_page_has_changed_nothing_when_it_comes_back(closed: Controlled) -> None:
    body = {"reply": "hijacked"}
    closed.ask("POST", "mocks", body, headers={"origin": "https://evil.example"})

    assert closed.text("Hello") is None


# --- Who is admitted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": OWN, "sec-fetch-site": "same-origin"},
        {"origin": "https://127.0.0.1:8000"},  # behind a proxy that adds TLS
        {"sec-fetch-site": "none"},
        {"host": "mock.internal", "origin": "http://mock.internal"},
        {"x-forwarded-for": "1.2.3.4", "via": "1.1 proxy"},
    ],
)
def test_a_token_admits_from_everywhere_but_foreign_pages(
    closed: Controlled, headers: dict[str, str]
) -> None:
    assert (
        closed.ask("POST", "mocks", {"reply": "Hi"}, headers=headers, is_local=False).status == 201
    )
    assert closed.ask("GET", "mocks", headers=headers, is_local=False).status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.1.2.3", "me.test"]
)
def test_open_access_needs_no_token_on_this_machine(host: str) -> None:
    opened = Controlled(is_open=True, host="me.test")

    assert opened.ask("GET", "calls", token=None, headers={"host": host}).status == 200
    assert (
        opened.ask("POST", "mocks", {"reply": "x"}, token=None, headers={"host": host}).status
        == 201
    )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1"])
def test_open_access_needs_a_name_of_this_machine(host: str) -> None:
    opened = Controlled(is_open=True, host="")

    told = opened.ask("GET", "calls", token=None, headers={"host": host})

    assert (told.status, told.code) == (403, "foreign_host")


def test_a_token_narrows_open_access(opened: Controlled) -> None:
    token = opened.ask("POST", "sessions", {"name": "a"}, token=None).value["token"]

    assert opened.ask("PUT", "speed", {"speed": 2}, token=token).status == 403


@pytest.mark.parametrize("content", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_change_is_json(closed: Controlled, content: str) -> None:
    headers = {"content-type": content}
    assert closed.ask("POST", "mocks", {"reply": "Hi"}, headers=headers).status == 201


@pytest.mark.parametrize("path", ["", "page.js", "page.css"])
def test_the_page_needs_no_token_but_tells_nothing(closed: Controlled, path: str) -> None:
    told = closed.ask("GET", path, token=None, headers={"accept": "text/html,*/*;q=0.8"})

    assert told.status == 200
    assert "frame-ancestors 'none'" in told.headers["content-security-policy"]
    assert TOKEN not in told.value
    assert attack(closed, "GET", path, REBOUND) == 403


# --- Cookies --------------------------------------------------------------------------------------


def log_in(controlled: Controlled, token: str = TOKEN, **headers: str) -> tuple[int, str]:
    told = controlled.ask("POST", "login", {"token": token}, token=None, headers=headers)
    return told.status, told.headers.get("set-cookie", "")


def test_the_token_buys_a_cookie_for_a_page_of_the_server(closed: Controlled) -> None:
    status, cookie = log_in(closed, origin=OWN, **{"sec-fetch-site": "same-origin"})
    pair, *attributes = cookie.split("; ")

    assert status == 204
    assert attributes == ["Path=/__mockllm/", "SameSite=Strict", "HttpOnly"]
    assert TOKEN not in cookie
    headers = {"cookie": f"other=1; {pair}", "origin": OWN}
    assert closed.ask("GET", "calls", token=None, headers=headers).status == 200
    assert closed.ask("POST", "mocks", {"reply": "x"}, token=None, headers=headers).status == 201


def test_a_cookie_does_not_help_a_foreign_page(closed: Controlled) -> None:
    pair = log_in(closed)[1].split("; ")[0]

    for page in FOREIGN_PAGES.values():
        assert attack(closed, "POST", "mocks", {**page, **JSON, "cookie": pair}) == 403


def test_a_cookie_belongs_to_a_port(closed: Controlled) -> None:
    """Browsers send the cookies of a host to all its ports."""
    pair = log_in(closed)[1].split("; ")[0]
    headers = {"cookie": pair, "host": "127.0.0.1:9000"}

    assert closed.ask("GET", "calls", token=None, headers=headers).status == 401


@pytest.mark.parametrize("cookie", ["mockllm-8000=wrong", f"mockllm-8000={TOKEN}", "=", "\xff"])
def test_another_cookie_is_none(closed: Controlled, cookie: str) -> None:
    assert closed.ask("GET", "calls", token=None, headers={"cookie": cookie}).status == 401


def test_a_cookie_of_tls_is_secure() -> None:
    assert "; Secure" in log_in(Controlled(is_tls=True))[1]


def test_only_the_token_of_the_server_buys_a_cookie(closed: Controlled) -> None:
    of_session = closed.access.token_of("a")

    assert log_in(closed, "wrong")[0] == 401
    assert log_in(closed, of_session)[0] == 401
    assert attack(closed, "POST", "login", FORM) == 415


# --- Tokens of sessions ---------------------------------------------------------------------------

NAMES = st.from_regex(r"(?!\.\.?\Z)[A-Za-z0-9._-]{1,128}", fullmatch=True)


@given(NAMES, NAMES)
def test_the_token_of_a_session_is_that_of_no_other(name: str, other: str) -> None:
    access, elsewhere = Access(TOKEN), Access("another server")
    request = Request.of(
        "GET", PREFIX, ((b"authorization", f"Bearer {access.token_of(name)}".encode()),)
    )

    grant = access.identify(request)
    assert grant is not None
    assert grant.session == name
    assert name == other or access.token_of(name) != access.token_of(other)
    assert access.token_of(name) != elsewhere.token_of(name)


def test_a_link_has_the_token_where_no_server_sees_it() -> None:
    assert link("http://h:1", "t") == "http://h:1/__mockllm/#token=t"
    assert link("http://h:1", None) == "http://h:1/__mockllm/"


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(Access(TOKEN))
