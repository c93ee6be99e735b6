"""Which variant of a union an object was meant to be: by its tag, and where tags are shared by its
shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Starts the labels of union variants, which pydantic puts into an error's path. A client's member
# whose name starts with it is left out of the path, too; nothing else depends on it.
MARK = "\0"

# The variant of what is none of the declared ones. It has a tag and nothing else: so a missing tag,
# a tag that is no string and, strictly, an unknown tag are found, and what is no object at all.
OTHER = f"{MARK}other"


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells one object of a union from the others."""

    label: str
    tags: tuple[str, ...]
    tag_required: bool
    required: frozenset[str]
    roles: frozenset[str]
    content: frozenset[type]


def by_tag_alone(
    member: str, sharing: Mapping[str, Sequence[Variant]], untagged: Sequence[Variant]
) -> Callable[[Any], str]:
    labels: dict[str | None, str] = {tag: variants[0].label for tag, variants in sharing.items()}
    absent = untagged[0].label if untagged else OTHER
    labels[None] = absent

    def choose(value: Any) -> str:
        # Called for every message, part and tool. Looking first would cost as much as the lookup.
        try:
            return labels.get(value[member], OTHER)
        except KeyError:
            return absent
        except TypeError:  # no object, or a tag that is a list or an object
            return OTHER

    return choose


def by_tag_and_shape(
    member: str, sharing: Mapping[str, Sequence[Variant]], untagged: Sequence[Variant]
) -> Callable[[Any], str]:
    """Return a chooser for variants that share tags, as three messages among Responses' items do.

    An object without a tag is the first variant whose tag is optional and whose required members it
    has. Of the variants with its tag, it is the most demanding whose `role` and JSON type of
    `content` fit.
    """
    shapes: dict[str, dict[tuple[str, type], str]] = {}
    for tag, variants in sharing.items():
        shapes[tag] = {}
        for variant in sorted(variants, key=lambda each: (-len(each.required), len(each.content))):
            for role in variant.roles:
                for json_type in variant.content:
                    shapes[tag].setdefault((role, json_type), variant.label)
    labels = {tag: variants[0].label for tag, variants in sharing.items()}

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
