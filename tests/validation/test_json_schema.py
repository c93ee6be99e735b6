"""JSON Schemas of small types, written so that each rule is seen alone."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockllm.validation.json_schema import Definitions, Form
from mockllm.validation.undeclared import Undeclared
from tests.support.small_types import Note, Request, Text, User


def accepts(type_: Any, form: Form, value: Any, **more: Any) -> bool:
    definitions = Definitions()
    schema = definitions.add(type_, form, **more)
    schema = {**schema, "$defs": definitions.schemas}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid(value)


TEXT = {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        (TEXT, {Form.MATCH, Form.ANSWER, Form.EVENT}),
        ({"type": "text"}, {Form.ANSWER}),
        ({"text": "a"}, {Form.ANSWER}),
        ({**TEXT, "_comment": "mine"}, {Form.MATCH}),
        ({**TEXT, "txt": "b"}, set()),
        ({**TEXT, "text": 5}, set()),
        ("a", set()),
    ],
)
def test_a_form_decides_what_an_object_must_have(value: Any, forms: set[Form]) -> None:
    assert {form for form in Form if accepts(Text, form, value)} == forms


@pytest.mark.parametrize(
    ("part", "accepted"),
    [
        (TEXT, True),
        ({"type": "note", "notes": [TEXT]}, True),
        ({"type": "note", "notes": [{"type": "text"}]}, False),
        ({"type": "image", "source": {"type": "url", "url": "u"}, "detail": "new"}, True),
        ({"type": "image", "text": "a"}, False),
        ({"type": "of_tomorrow", "any": 1}, True),
        ({"text": "a"}, False),
    ],
)
def test_the_tag_says_which_object_of_a_union_is_meant(part: Any, accepted: bool) -> None:
    assert accepts(User, Form.MATCH, {"role": "user", "content": [part]}) is accepted


def test_a_new_role_is_not_accepted() -> None:
    assert not accepts(User, Form.MATCH, {"role": "usr", "content": "a"})


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    ("part", "accepted"),
    [
        ({**TEXT, "txt": "b"}, True),
        ({"type": "of_tomorrow", "any": 1}, True),
        ({"type": "image", "source": {"type": "url", "url": 5}, "detail": "new"}, True),
        ({"type": "image", "source": {"type": "url"}}, True),
        ({**TEXT, "text": 5}, False),
        ({"type": "note", "notes": 5}, False),
    ],
)
def test_what_an_old_sdk_does_not_declare_is_allowed(part: Any, accepted: bool, form: Form) -> None:
    user = {"role": "user", "content": [part]}

    assert accepts(User, form, user, widened=frozenset({"Source.url"})) is accepted


def test_an_old_sdk_knows_all_roles_of_messages() -> None:
    usr = {"role": "usr", "content": "a"}

    assert not accepts(User, Form.MATCH, usr, widened=frozenset())
    assert accepts(User, Form.ANSWER, usr, widened=frozenset())


def test_lenient_types_may_lack_members() -> None:
    assert not accepts(User, Form.MATCH, {"role": "user"})
    assert accepts(User, Form.MATCH, {"role": "user"}, lenient_types=frozenset({"User"}))


def test_in_an_event_only_its_own_members_are_required() -> None:
    message = {"role": "user", "content": [{"type": "text"}]}

    assert accepts(Request, Form.EVENT, {"messages": [message]})
    assert not accepts(Request, Form.EVENT, {})


def test_undeclared_members_are_allowed_where_they_are_sent() -> None:
    known = [Undeclared({"messages[].content[].extra": "a service"})]
    value = {"messages": [{"role": "user", "content": [{**TEXT, "extra": 1}]}]}

    assert not accepts(Request, Form.ANSWER, value)
    assert accepts(Request, Form.ANSWER, value, undeclared=known)


def test_members_are_allowed_by_tag() -> None:
    definitions = Definitions()
    definitions.add(User, Form.MATCH)

    definitions.allow(Form.MATCH, {"text": ["extra"]})

    assert "extra" in definitions.schemas["Match.Text"]["properties"]
    assert "extra" not in definitions.schemas["Match.Image"]["properties"]


def test_members_that_are_added_have_an_order_that_does_not_change() -> None:
    definitions = Definitions()
    definitions.add(Text, Form.MATCH)

    definitions.allow(Form.MATCH, {"text": frozenset("hgfedcba")})

    assert [*definitions.schemas["Match.Text"]["properties"]][-8:] == [*"abcdefgh"]


def test_types_share_definitions() -> None:
    definitions = Definitions()
    definitions.add(User, Form.MATCH)
    before = set(definitions.schemas)

    definitions.add(Note, Form.MATCH)

    assert set(definitions.schemas) == before
