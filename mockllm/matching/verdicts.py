"""Verdicts of several tests together, some of which are not decided (Kleene's three values).

    one of    True, None, False -> True      None, False -> None      False, False -> False
    all of    True, None, False -> False     None, True  -> None      True, True   -> True

Nothing is tested behind a verdict that decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from mockllm.pieces import Pieces

Verdict = bool | None
"""Whether a test passes; None if that is not decided: only a part of a text is looked at."""


def one_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return True if one of `verdicts` is, None if none is but not all are decided."""
    found: Verdict = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            found = None
    return found


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return True if all of `verdicts` are, None if none is False but not all are decided."""
    found: Verdict = True
    for verdict in verdicts:
        if verdict is None:
            found = None
        elif not verdict:
            return False
    return found


def one_of_in_pieces(verdicts: Iterable[Pieces[Verdict]]) -> Pieces[Verdict]:
    """Do what `one_of` does with verdicts that are found with pauses."""
    found: Verdict = False
    for pieces in verdicts:
        verdict = yield from pieces
        if verdict:
            return True
        if verdict is None:
            found = None
    return found


def all_of_in_pieces(verdicts: Iterable[Pieces[Verdict]]) -> Pieces[Verdict]:
    """Do what `all_of` does with verdicts that are found with pauses."""
    found: Verdict = True
    for pieces in verdicts:
        verdict = yield from pieces
        if verdict is None:
            found = None
        elif not verdict:
            return False
    return found
