"""The functions in a rewritten schema, each made from plain data.

They choose the variant of a union that a value was meant to be, for pydantic's tagged unions: from
a value to the label of a variant. A schema holds a `Function`, the name of one of the `MAKERS` here
with its arguments, until `stored_schema` makes it: so a schema is plain data, and can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from mockllm.errors import closest

# The prefix of the labels of variants, which pydantic includes in the path of an error. Findings
# omit path elements with this prefix, hence also a client's member whose name starts with it.
LABEL_PREFIX = "\0"

# The variant of values that match no declared one. It declares a tag and nothing else, so that the
# finding is a missing tag, a tag that is not a string, a value that is not an object or, if strict,
# an unknown tag.
OTHER = f"{LABEL_PREFIX}other"

MISSPELT = "mockllm_misspelt"
"""A type of errors in addition to those of pydantic: a tag that resembles a declared one."""

MIN_LIKENESS = 0.85  # of a misspelt tag: "input_txt" is meant to be "input_text"

_JSON_TYPES = {each.__name__: each for each in (str, int, float, bool, list, dict, NoneType)}


class Function(NamedTuple):
    """A function that `MAKERS` makes: the name of its maker, and the maker's arguments, which JSON
    can represent."""

    maker: str
    arguments: Sequence[Any]


def by_json_type(labels: Mapping[str, str]) -> Callable[[Any], str | None]:
    """Choose by the type of a value: ``{"str": label, "NoneType": label}``."""
    by_type = {_JSON_TYPES[name]: label for name, label in labels.items()}

    def choose(value: Any) -> str | None:
        return by_type.get(type(value))

    return choose


def by_first_item(labels: Mapping[str, str], other: str) -> Callable[[Any], str]:
    """Choose by the type of the first entry of a list: `other` if there is none."""
    by_type = {_JSON_TYPES[name]: label for name, label in labels.items()}

    def choose(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return other
        return by_type.get(type(value[0]), other)

    return choose


def by_tag_alone(member: str, labels: Mapping[str, str], absent: str) -> Callable[[Any], str]:
    """Choose by the tag in `member`, of which each variant has its own; `absent` is the label of an
    object without one."""
    by_tag: dict[str | None, str] = {None: absent}
    by_tag.update(labels)

    def choose(value: Any) -> str:
        # Called for every message, part and tool. A check beforehand would cost as much again.
        try:
            return by_tag.get(value[member], OTHER)
        except KeyError:
            return absent
        except TypeError:  # not an object, or the tag is a list or an object
            return OTHER

    return choose


def by_tag_and_shape(
    member: str,
    labels: Mapping[str, str],
    shapes: Sequence[tuple[str, str, str, str]],
    untagged: Sequence[tuple[Sequence[str], str]],
) -> Callable[[Any], str]:
    """Choose by the tag in `member`, which variants share, as the three messages of Responses do.

    An object without a tag takes the tag of the first of `untagged`, each the members that it
    requires and its tag, whose members it has. `shapes` are tags, roles and JSON types of
    `content`, with the label that they have together; `labels` are those of the other objects with
    a tag.
    """
    meant_by = [(frozenset(required), tag) for required, tag in untagged]
    by_shape = {(tag, role, _JSON_TYPES[name]): label for tag, role, name, label in shapes}

    def choose(value: Any) -> str:
        if not isinstance(value, dict):
            return OTHER
        tag = value.get(member)
        if tag is None:
            if not meant_by:
                return OTHER
            members = value.keys()
            tag = next((tag for needed, tag in meant_by if needed <= members), meant_by[0][1])
        if not isinstance(tag, str) or tag not in labels:
            return OTHER
        role = value.get("role")
        if not isinstance(role, str):
            return labels[tag]
        return by_shape.get((tag, role, type(value.get("content"))), labels[tag])

    return choose


def unless_misspelt(*tags: str) -> Callable[[str], str]:
    """Check that an unknown tag does not resemble one of `tags`."""

    def check(tag: str) -> str:
        meant = closest(tag, tags, likeness=MIN_LIKENESS)
        if meant is not None:
            raise PydanticCustomError(MISSPELT, "misspelt", {"meant": meant})
        return tag

    return check


MAKERS: Mapping[str, Callable[..., Callable[[Any], Any]]] = {
    each.__name__: each
    for each in (by_json_type, by_first_item, by_tag_alone, by_tag_and_shape, unless_misspelt)
}
