"""The number of changes, of this process and of others."""

from __future__ import annotations

from mockllm.state.change_count import BEHIND, ChangeCount


def test_each_change_is_counted() -> None:
    changes = ChangeCount()
    before = changes.latest()

    changes.add()

    assert changes.latest() == changes.known == before + 1


def test_the_changes_of_others_are_made_before_the_latest_are_counted() -> None:
    changes = ChangeCount()

    def catch_up() -> bool:
        changes.add()
        return True

    changes.follow(catch_up)
    known = changes.known

    assert changes.latest() == known + 1


def test_nothing_is_as_it_was_while_changes_of_others_are_not_known() -> None:
    changes = ChangeCount()
    changes.follow(lambda: False)

    assert changes.latest() == BEHIND
    assert changes.known != BEHIND
