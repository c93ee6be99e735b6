"""Verdicts of several tests, of which some are not decided."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockllm.matching.verdicts import (
    Verdict,
    all_of,
    all_of_in_pieces,
    one_of,
    one_of_in_pieces,
)
from mockllm.pieces import Pieces, finish


def in_pieces(verdicts: list[Verdict], asked: list[Verdict]) -> Iterator[Pieces[Verdict]]:
    """Each verdict after a pause; `asked` has those that were asked for."""

    def one(verdict: Verdict) -> Pieces[Verdict]:
        yield False
        asked.append(verdict)
        return verdict

    return map(one, verdicts)


@pytest.mark.parametrize(
    ("verdicts", "one", "all_", "asked_for_one", "asked_for_all"),
    [
        ([], False, True, 0, 0),
        ([None, False, True, None], True, False, 3, 2),
        ([True, None], True, None, 1, 2),
        ([None, False], None, False, 2, 2),
        ([False, False], False, False, 2, 1),
        ([True, True], True, True, 1, 2),
        ([None, True], True, None, 2, 2),
    ],
)
def test_what_is_not_decided_counts_where_nothing_else_decides(
    verdicts: list[Verdict], one: Verdict, all_: Verdict, asked_for_one: int, asked_for_all: int
) -> None:
    for_one: list[Verdict] = []
    for_all: list[Verdict] = []

    assert one_of(verdicts) is finish(one_of_in_pieces(in_pieces(verdicts, for_one))) is one
    assert all_of(verdicts) is finish(all_of_in_pieces(in_pieces(verdicts, for_all))) is all_
    assert (len(for_one), len(for_all)) == (asked_for_one, asked_for_all)
