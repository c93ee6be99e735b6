"""Describes how to choose the variant of a union that an object was meant to be: by its tag, and by
its shape where variants share a tag (`choosers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mockllm.validation.choosers import OTHER, Function


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
) -> Function:
    """Return a chooser for variants with one tag each.

    `member` is the name of the tag (``type``), `by_tag` maps each tag to its variants, and
    `untagged` are the variants whose tag is optional, one at most. Given
    ``{"text": [text], "refusal": [refusal]}``, the value ``{"type": "text"}`` gives ``text.label``.
    """
    labels = {tag: variants[0].label for tag, variants in by_tag.items()}
    absent = untagged[0].label if untagged else OTHER
    return Function("by_tag_alone", [member, labels, absent])


def by_tag_and_shape(
    member: str, by_tag: Mapping[str, Sequence[Variant]], untagged: Sequence[Variant]
) -> Function:
    """Return a chooser for variants that share tags, as the three messages of Responses do.

    The parameters are those of `by_tag_alone`. An object without a tag takes the tag of the first
    untagged variant whose required members it has. Of the variants with that tag, the one with
    the most required members is chosen whose `role` and JSON type of `content` match.
    """
    shapes: dict[tuple[str, str, str], str] = {}
    for tag, variants in by_tag.items():
        for variant in sorted(variants, key=lambda each: (-len(each.required), len(each.content))):
            for role in sorted(variant.roles):
                for name in sorted(each.__name__ for each in variant.content):
                    shapes.setdefault((tag, role, name), variant.label)
    labels = {tag: variants[0].label for tag, variants in by_tag.items()}
    meant = [[sorted(variant.required), variant.tags[0]] for variant in untagged]
    listed = [[*shape, label] for shape, label in shapes.items()]
    return Function("by_tag_and_shape", [member, labels, listed, meant])
