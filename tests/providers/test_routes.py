from __future__ import annotations

import pytest

from mockllm.endpoints.table import ROUTES
from mockllm.exchange import Request
from mockllm.providers import APIS, find_vendor
from mockllm.providers.routes import Routes

TABLE = Routes(
    [
        ("/a", "a"),
        ("/a/{id}", "one"),
        ("/a/{rest...}", "rest"),
        ("/{x}/b/{y}", "two"),
        ("/a/b", "b"),
    ]
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", [("a", {})]),
        ("/a/x", [("one", {"id": "x"}), ("rest", {"rest": "x"})]),
        ("/a/b", [("b", {})]),
        ("/a/x/y", [("rest", {"rest": "x/y"})]),
        ("/q/b/r", [("two", {"x": "q", "y": "r"})]),
        ("/a/x%2Fy%C3%A9", [("one", {"id": "x/yé"}), ("rest", {"rest": "x/yé"})]),
        ("/a/", []),
        ("/b", []),
    ],
)
def test_a_path_finds_its_templates_and_their_values(
    path: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    assert [(entry, dict(values)) for entry, values in TABLE.find(path)] == found


def test_characters_of_regular_expressions_are_literal_in_a_template() -> None:
    assert list(Routes([("/a.b/{id}", "")]).find("/axb/1")) == []


def test_every_route_with_credentials_has_a_vendor() -> None:
    private = [route.template for route in ROUTES if not route.public]
    mocked = [template for api in APIS for template in api.routes]

    unowned = [path for path in private + mocked if find_vendor(Request.of("POST", path)) is None]

    assert unowned == []
