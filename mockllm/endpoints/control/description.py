"""``GET /openapi.json`` and ``GET /``: the control API described to programs and to people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import mockllm
from mockllm.config.models import MOCK_FIELDS, Config
from mockllm.config.traffic import Traffic
from mockllm.endpoints.control.access import PREFIX, SAFE
from mockllm.endpoints.control.answers import answer
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.live_page import (
    show_page,
    show_script,
    show_style,
    wants_page,
)
from mockllm.endpoints.control.request import ControlRequest
from mockllm.endpoints.control.route import Response, Route
from mockllm.endpoints.control.schemas import SCHEMAS, ref
from mockllm.endpoints.control.table import ROUTES
from mockllm.engine.decision import Decision, Question

_ERRORS = {
    400: "The query or the body is invalid; `problems` has all mistakes of the body.",
    401: "A token is missing or not valid.",
    403: "A foreign page, a foreign host, a proxy, or a token that does not reach so far.",
    404: "What the path or the body names does not exist.",
    409: "The state of the server does not allow it, or an assertion does not hold.",
    412: "What `if-match` expects has changed meanwhile.",
    413: "The body is too large.",
    415: "A change without `content-type: application/json`.",
}
_TEMPLATE_REF = "#/components/schemas/{model}"


def describe_api(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with an OpenAPI 3.1 document, which is made in a thread: it takes half a second."""
    return desk.work(asked, document, answer, is_large=True)


def show_root(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the live page, or with the routes for a client that does not accept HTML. It
    needs no token: both say nothing of a server."""
    if wants_page(asked):
        return show_page(desk, asked)
    routes = [
        {"method": route.method, "path": PREFIX + route.template, "summary": route.summary}
        for route in ALL_ROUTES
    ]
    return answer({"routes": routes})


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the control API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ALL_ROUTES:
        paths.setdefault(PREFIX + route.template, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mockllm control",
            "version": mockllm.__version__,
            "description": "What a mock LLM server has had, and changes while it runs.",
        },
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": {**_config_schemas(), **_form_schemas(), **SCHEMAS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "mockllm-PORT",
                    "description": "What POST login sets; it has the port of the server.",
                },
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.answer.__name__,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            **{str(each.status): _response(route, each) for each in route.responses},
            **{str(status): _error(status) for status in sorted({*_own_errors(route)})},
        },
    }
    if route.checks_version:
        operation["parameters"].append(
            {"name": "If-Match", "in": "header", "schema": {"type": "string"}}
        )
    if route.body is not None:
        name = route.body if isinstance(route.body, str) else f"{route.body.__name__}Body"
        operation["requestBody"] = {"content": {"application/json": {"schema": ref(name)}}}
    if route.public:
        operation["security"] = []
    return operation


def _own_errors(route: Route) -> Iterable[int]:
    """Yield the statuses of the errors of a route, with those of access."""
    yield from (400, 401, 403, *route.errors)
    if route.checks_version:
        yield 412
    if route.body is not None:
        yield 413
    if route.method not in SAFE:
        yield 415


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.template)
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": meaning, "schema": schema}
        for name, meaning, schema in route.query
    ]


def _response(route: Route, response: Response) -> dict[str, Any]:
    described: dict[str, Any] = {"description": response.meaning}
    if response.schema is not None:
        described["content"] = {"application/json": {"schema": ref(response.schema)}}
    if route.has_version:
        described["headers"] = {"ETag": {"schema": {"type": "string"}}}
    return described


def _error(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": ref("Refusal")}}
    return {"description": _ERRORS[status], "content": content}


def _form_schemas() -> dict[str, Any]:
    """Return the schemas of bodies."""
    forms = {route.body for route in ROUTES if isinstance(route.body, type)}
    return {
        f"{form.__name__}Body": form.model_json_schema(ref_template=_TEMPLATE_REF)
        for form in sorted(forms, key=lambda form: form.__name__)
    }


def _config_schemas() -> dict[str, Any]:
    """Return the schemas of mocks and of all that they consist of."""
    schema = Config.model_json_schema(ref_template=_TEMPLATE_REF)
    found: dict[str, Any] = {}
    todo = [Traffic.__name__, *(model.__name__ for model in MOCK_FIELDS.values())]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = schema["$defs"][name]
            todo += re.findall(r"#/components/schemas/(\w+)", str(found[name]))
    return found


ALL_ROUTES = (
    Route(
        "GET",
        "",
        show_root,
        "Show the live page, or list the routes if HTML is not accepted",
        (Response(200, "The routes.", "Routes"),),
        public=True,
    ),
    *(
        Route(
            "GET",
            name,
            show,
            f"Show the {what} of the live page",
            (Response(200, "A file."),),
            public=True,
        )
        for name, show, what in (
            ("page.js", show_script, "script"),
            ("page.css", show_style, "style"),
        )
    ),
    Route(
        "GET",
        "openapi.json",
        describe_api,
        "Describe the control API (OpenAPI 3.1)",
        (Response(200, "The description."),),
    ),
    *ROUTES,
)
"""All routes."""
