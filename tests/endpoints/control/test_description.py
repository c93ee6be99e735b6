"""The description of the control API is that of what is served."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockllm.endpoints.control.access import PREFIX
from mockllm.endpoints.control.description import ALL_ROUTES, document
from mockllm.exchange import Request
from tests.support.control import Controlled

KEPT = {"if-match": '"another"'}
EXCHANGES: list[tuple[str, str, str, Any, dict[str, str], int]] = [
    ("GET", "", "", None, {}, 200),
    ("GET", "page.js", "page.js", None, {}, 200),
    ("GET", "page.css", "page.css", None, {}, 200),
    ("GET", "openapi.json", "openapi.json", None, {}, 200),
    ("GET", "mocks", "mocks?session=a", None, {}, 200),
    ("POST", "mocks", "mocks", {"name": "x", "reply": "y"}, {}, 201),
    ("POST", "mocks", "mocks", {"mocks": [{"reply": "y"}, {"sequence": ["1"]}]}, {}, 201),
    ("POST", "mocks", "mocks", {"reply": 3}, {}, 400),
    ("POST", "mocks", "mocks", {"reply": "y"}, KEPT, 412),
    ("POST", "mocks", "mocks", {"reply": "y"}, {"content-type": "text/plain"}, 415),
    ("POST", "mocks", "mocks?session=none", {"reply": "y"}, {}, 404),
    ("POST", "mocks", "mocks", b" " * (5 << 20), {}, 413),
    ("GET", "mocks/{name}", "mocks/greet", None, {}, 200),
    ("GET", "mocks/{name}", "mocks/none", None, {}, 404),
    ("PUT", "mocks/{name}", "mocks/x", {"reply": "y"}, {}, 200),
    ("PUT", "mocks/{name}", "mocks/new", {"reply": "y"}, {}, 201),
    ("DELETE", "mocks/{name}", "mocks/new", None, {}, 204),
    ("DELETE", "mocks/{name}", "mocks/greet", None, {}, 409),
    ("GET", "calls", "calls?api=chat&after=0", None, {}, 200),
    ("GET", "calls", "calls?limit=x", None, {}, 400),
    ("GET", "calls", "calls", None, {"origin": "http://evil.example"}, 403),
    ("GET", "calls", "calls", None, {"authorization": "Bearer x"}, 401),
    ("GET", "calls/{number}", "calls/1", None, {}, 200),
    ("GET", "calls/{number}", "calls/99", None, {}, 404),
    ("GET", "calls/{number}/misses", "calls/2/misses", None, {}, 200),
    ("GET", "calls/{number}/misses", "calls/0/misses", None, {}, 404),
    ("GET", "watch", "watch?after=0&latest=5", None, {}, 200),
    ("GET", "watch", "watch?latest=201", None, {}, 400),
    ("POST", "verify", "verify", {"assert": "called", "mock": "greet"}, {}, 200),
    ("POST", "verify", "verify", {"assert": "called", "mock": "x"}, {}, 409),
    ("GET", "report", "report", None, {}, 200),
    ("DELETE", "calls", "calls", None, {}, 204),
    ("GET", "sessions", "sessions", None, {}, 200),
    ("POST", "sessions", "sessions", {"name": "b"}, {}, 201),
    ("POST", "sessions", "sessions", {"name": "b"}, {}, 200),
    ("PUT", "sessions", "sessions", {"current": None}, {}, 200),
    ("GET", "sessions/{name}", "sessions/b", None, {}, 200),
    ("PUT", "sessions/{name}", "sessions/b", {}, {}, 200),
    ("PUT", "sessions/{name}", "sessions/c", {}, {}, 201),
    ("DELETE", "sessions/{name}", "sessions/b", None, {}, 204),
    ("GET", "timing", "timing", None, {}, 200),
    ("GET", "speed", "speed", None, {}, 200),
    ("PUT", "speed", "speed", {"speed": 2}, {}, 200),
    ("POST", "reset", "reset", {}, {}, 204),
    ("GET", "traffic", "traffic", None, {}, 200),
    ("PUT", "traffic", "traffic", {"traffic": [{"error": "timeout"}]}, {}, 200),
    ("PUT", "traffic/{name}", "traffic/t", {"latency": {"ttft": "1s"}}, {}, 200),
    ("GET", "traffic/{name}", "traffic/t", None, {}, 200),
    ("POST", "traffic/{name}/start", "traffic/t/start", {}, {}, 204),
    ("POST", "traffic/{name}/stop", "traffic/t/stop", {}, {}, 204),
    ("POST", "traffic/{name}/reset", "traffic/t/reset", {}, {}, 204),
    ("POST", "traffic/{name}/reset", "traffic/none/reset", {}, {}, 404),
    ("GET", "gates", "gates", None, {}, 200),
    ("POST", "gates/{name}/release", "gates/g/release", {}, {}, 204),
    ("POST", "gates/{name}/open", "gates/g/open?session=none", {}, {}, 404),
    ("POST", "gates/{name}/open", "gates/g/open", {}, {}, 204),
    ("POST", "login", "login", {"token": "token-of-the-server"}, {}, 204),
]
"""Method, path in the description, path that is asked for, body, headers, status."""


def test_the_document_is_made_in_a_thread() -> None:
    controlled = Controlled()

    assert controlled.ask("GET", "openapi.json").status == 200
    assert controlled.threads == 1


def test_every_answer_is_as_described() -> None:
    controlled = Controlled({"mocks": [{"name": "greet", "match": {"user": "Hi"}, "reply": "x"}]})
    controlled.ask("PUT", "sessions/a", {})
    controlled.say("Hi")
    controlled.say("nobody", session="a")
    described = controlled.ask("GET", "openapi.json").value

    for method, path, asked, body, headers, status in EXCHANGES:
        told = controlled.ask(method, asked, body, headers=headers)
        operation = described["paths"][PREFIX + path][method.lower()]
        assert told.status == status, (asked, told.value)
        response = operation["responses"][str(status)]
        if "content" in response:
            schema = response["content"]["application/json"]["schema"]
            jsonschema.validate(told.value, {**schema, "components": described["components"]})
        assert ("etag" in told.headers) <= ("ETag" in response.get("headers", {})) or status >= 400
        if status < 300 and body is not None:
            sent = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(body, {**sent, "components": described["components"]})


def test_every_route_and_answer_is_tried() -> None:
    tried = {(method, path) for method, path, *_ in EXCHANGES}
    assert tried == {(route.method, route.template) for route in ALL_ROUTES}
    statuses = {(method, path, status) for method, path, *_, status in EXCHANGES}
    for route in ALL_ROUTES:
        for response in route.responses:
            assert (route.method, route.template, response.status) in statuses


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()


def test_all_references_resolve_and_all_schemas_are_schemas() -> None:
    described = document()
    schemas = described["components"]["schemas"]

    assert {each.removeprefix("#/components/schemas/") for each in _references(described)} <= {
        *schemas
    }
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_operations_have_names_of_their_own() -> None:
    operations = [each for path in document()["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", ALL_ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_a_client_that_accepts_no_html_gets_every_route(route: Any) -> None:
    shown = Controlled().ask("GET", "").value["routes"]

    path = PREFIX + route.template
    assert {"method": route.method, "path": path, "summary": route.summary} in shown


def test_the_path_needs_no_slash_at_its_end() -> None:
    controlled = Controlled()
    told = controlled.send(controlled_request("/__mockllm"))

    assert told.status == 200
    assert controlled.send(controlled_request("/__mockllmx")).status == 404


def controlled_request(path: str) -> Request:
    return Request.of("GET", path, ((b"host", b"127.0.0.1"),))


def test_a_wrong_method_names_the_allowed_ones() -> None:
    told = Controlled().ask("PATCH", "mocks/x")

    assert (told.status, told.headers["allow"]) == (405, "DELETE, GET, HEAD, PUT")
