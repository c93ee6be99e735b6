"""The mocks of a configuration by their names."""

from __future__ import annotations

from mockllm.observers.subjects import subjects_of
from mockllm.observers.verification import Progress
from mockllm.state.choosing import AtEnd, Entry, Script
from tests.support import sequences
from tests.support.observed import Observed
from tests.support.served import chat_mock, chat_saying


def nothing_given(key: str) -> int:
    return 0


def test_a_mock_of_every_api_is_one_mock() -> None:
    observed = Observed({"mocks": [{"name": "a", "reply": "x"}, {"reply": "y"}]})
    subjects = subjects_of(observed.app.tables(), nothing_given)

    assert list(subjects) == ["a", "mocks[1]"]
    assert [api for api, _ in subjects["a"].rules] == ["openai", "openai_response", "anthropic"]
    assert subjects["a"].progress is None


def test_mocks_with_one_name_are_one_mock() -> None:
    reply = {"name": "a", "reply": "x"}
    observed = Observed({"openai": [chat_mock("a", chat_saying("b"))], "anthropic": [reply]})

    assert list(subjects_of(observed.app.tables(), nothing_given)) == ["a"]


def test_a_script_knows_what_is_due_and_when_it_is_used_up() -> None:
    scripts = {
        "ends": Script((Entry(2), Entry())),
        "passes": Script((Entry(),), AtEnd.PASS),
        "goes on": Script((Entry(), Entry(None))),
        "restarts": Script((Entry(), Entry()), AtEnd.RESTART),
    }
    engine = sequences.engine(
        list(scripts), {name: (script, ["a", "b"]) for name, script in scripts.items()}
    )

    def progress(given: int) -> dict[str, Progress | None]:
        found = subjects_of(engine.tables, lambda key: given)
        return {name: found[name].progress for name in scripts}

    assert progress(0) == {
        "ends": Progress(0, 1, 2, used_up=False),
        "passes": Progress(0, 1, 1, used_up=False),
        "goes on": Progress(0, 1, 2, used_up=False),
        "restarts": Progress(0, 1, 2, used_up=False),
    }
    assert progress(3) == {
        "ends": Progress(3, None, 2, used_up=True),
        "passes": Progress(3, None, 1, used_up=True),
        "goes on": Progress(3, 2, 2, used_up=True),
        "restarts": Progress(3, 2, 2, used_up=True),
    }
