"""Chooses the variant of a union that an object was meant to be: by its tag, and by its shape where
variants share a tag.

The functions here return choosers for pydantic's tagged unions: they map a value to the label of a
variant, or to `OTHER`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The prefix of the labels of variants, which pydantic includes in the path of an error. Findings
# omit path elements with this prefix, hence also a client's member whose name starts with it.
LABEL_PREFIX = "\0"

# The variant of values that match no declared one. It declares a tag and nothing else, so that the
# finding is a missing tag, a tag that is not a string, a value that is not an object or, if strict,
# an unknown tag.
OTHER = f"{LABEL_PREFIX}other"


@dataclass(frozen=True, slots=True)
class Variant:
    """The properties by which one object type of a union is recognised."""

    label: str
    tags: tuple[str, ...]  # ("message",)
    tag_required: bool
    required: frozenset[str]  # {"role", "content"}
    roles: frozenset[str]  # {"user", "system"}; empty without a `role`
    content: frozenset[type]  # {str, list}: JSON types of `content`; empty without one


def by_tag_alone(
    member: str, by_tag: Mapping[str, Sequence[Variant]], untagged: Sequence[Variant]
) -> Callable[[Any], str]:
    """Return a chooser for variants with one tag each.

    `member` is the name of the tag (``type``), `by_tag` maps each tag to its variants, and
    `untagged` are the variants whose tag is optional, one at most. Given
    ``{"text": [text], "refusal": [refusal]}``, the value ``{"type": "text"}`` gives ``text.label``.
    """
    labels: dict[str | None, str] = {tag: variants[0].label for tag, variants in by_tag.items()}
    absent = untagged[0].label if untagged else OTHER
    labels[None] = absent

    def choose(value: Any) -> str:
        # Called for every message, part and tool. A check beforehand would cost as much again.
        try:
            return labels.get(value[member], OTHER)
        except KeyError:
            return absent
        except TypeError:  # not an object, or the tag is a list or an object
            return OTHER

    return choose


def by_tag_and_shape(
    member: str, by_tag: Mapping[str, Sequence[Variant]], untagged: Sequence[Variant]
) -> Callable[[Any], str]:
    """Return a chooser for variants that share tags, as the three messages of Responses do.

    The parameters are those of `by_tag_alone`. An object without a tag takes the tag of the first
    untagged variant whose required members it has. Of the variants with that tag, the one with
    the most required members is chosen whose `role` and JSON type of `content` match.
    """
    shapes: dict[str, dict[tuple[str, type], str]] = {}
    for tag, variants in by_tag.items():
        shapes[tag] = {}
        for variant in sorted(variants, key=lambda each: (-len(each.required), len(each.content))):
            for role in variant.roles:
                for json_type in variant.content:
                    shapes[tag].setdefault((role, json_type), variant.label)
    labels = {tag: variants[0].label for tag, variants in by_tag.items()}

    def choose(value: Any) -> str:
        if not isinstance(value, dict):
            return OTHER
        tag = value.get(member)
        if tag is None:
            if not untagged:
                return OTHER
            members = value.keys()
            meant = next((each for each in untagged if each.required <= members), untagged[0])
            tag = meant.tags[0]
        if not isinstance(tag, str) or tag not in labels:
            return OTHER
        role = value.get("role")
        if not isinstance(role, str):
            return labels[tag]
        return shapes[tag].get((role, type(value.get("content"))), labels[tag])

    return choose
