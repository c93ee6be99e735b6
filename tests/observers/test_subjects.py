"""The mocks of a configuration by their names."""

from __future__ import annotations

from mockllm.engine.views import see_all
from mockllm.observers.subjects import subjects_of
from mockllm.observers.verification import ScriptProgress
from mockllm.state.choosing import AtEnd, Script, ScriptEntry
from tests.support import sequences
from tests.support.observed import Observed
from tests.support.served import chat_mock, chat_saying


def nothing_given(key: str) -> int:
    return 0


def test_a_mock_of_every_api_is_one_mock() -> None:
    observed = Observed({"mocks": [{"name": "a", "reply": "x"}, {"reply": "y"}]})
    subjects = subjects_of(observed.app.seen(), nothing_given)

    assert list(subjects) == ["a", "mocks[1]"]
    assert [api for api, _ in subjects["a"].rules] == ["openai", "openai_response", "anthropic"]
    assert subjects["a"].progress is None


def test_mocks_with_one_name_are_one_mock() -> None:
    reply = {"name": "a", "reply": "x"}
    observed = Observed({"openai": [chat_mock("a", chat_saying("b"))], "anthropic": [reply]})

    assert list(subjects_of(observed.app.seen(), nothing_given)) == ["a"]


def test_a_script_knows_what_is_due_and_when_it_is_used_up() -> None:
    scripts = {
        "ends": Script((ScriptEntry(2), ScriptEntry())),
        "passes": Script((ScriptEntry(),), AtEnd.PASS),
        "goes on": Script((ScriptEntry(), ScriptEntry(None))),
        "restarts": Script((ScriptEntry(), ScriptEntry()), AtEnd.RESTART),
    }
    engine = sequences.engine(
        list(scripts), {name: (script, ["a", "b"]) for name, script in scripts.items()}
    )

    def progress(given: int) -> dict[str, ScriptProgress | None]:
        found = subjects_of(see_all(engine.tables), lambda key: given)
        return {name: found[name].progress for name in scripts}

    assert progress(0) == {
        "ends": ScriptProgress(0, 1, 2, used_up=False),
        "passes": ScriptProgress(0, 1, 1, used_up=False),
        "goes on": ScriptProgress(0, 1, 2, used_up=False),
        "restarts": ScriptProgress(0, 1, 2, used_up=False),
    }
    assert progress(3) == {
        "ends": ScriptProgress(3, None, 2, used_up=True),
        "passes": ScriptProgress(3, None, 1, used_up=True),
        "goes on": ScriptProgress(3, 2, 2, used_up=True),
        "restarts": ScriptProgress(3, 2, 2, used_up=True),
    }
