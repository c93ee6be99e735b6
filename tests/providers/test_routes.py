from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


PATHS = st.lists(st.sampled_from(["v1", "models", "chat", "{", "a", ""]), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
TEMPLATES = st.lists(
    st.sampled_from(["v1", "models", "chat", "{x}", "{y...}"]), min_size=1, max_size=3, unique=True
).map(lambda segments: "/" + "/".join(segments))


@given(st.lists(TEMPLATES, max_size=4), PATHS)
def test_a_path_is_known_if_it_finds_an_entry(templates: list[str], path: str) -> None:
    routes = Routes((template, template) for template in templates)

    assert routes.knows(path) is any(True for _ in routes.find(path))


def test_characters_of_regular_expressions_are_literal_in_a_template() -> None:
    assert list(Routes([("/a.b/{id}", "")]).find("/axb/1")) == []


def test_every_route_with_credentials_has_a_vendor() -> None:
    private = [route.template for route in ROUTES if not route.public]
    mocked = [template for api in APIS for template in api.routes]

    unowned = [path for path in private + mocked if find_vendor(Request.of("POST", path)) is None]

    assert unowned == []
