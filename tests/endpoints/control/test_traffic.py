"""Traffic that is read, replaced, started and stopped over the control API."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.traffic import AT_ONCE, _answer
from mockllm.engine.building import build_engine
from tests.support.control import Begin, Controlled
from tests.support.work import count_pauses

BUSY: dict[str, Any] = {"name": "busy", "match": {"user": "a"}, "error": "overloaded"}
SLOW: dict[str, Any] = {"latency": {"ttft": 1.0}}
CONFIG: dict[str, Any] = {"mocks": [{"reply": "Hi"}], "traffic": [BUSY, SLOW]}


@pytest.fixture
def controlled(begin: Begin) -> Controlled:
    return begin(CONFIG)


def listed(controlled: Controlled) -> list[str]:
    return [each["id"] for each in controlled.ask("GET", "traffic").value["traffic"]]


def test_entries_are_read_as_they_are_written(controlled: Controlled) -> None:
    shown = controlled.ask("GET", "traffic").value["traffic"]

    assert shown[0] == {
        "id": "traffic[0] 'busy'",
        "name": "busy",
        "holds": True,
        "entry": {**BUSY, "error": {"as": "overloaded"}},
    }
    assert (shown[1]["id"], shown[1]["entry"]) == ("traffic[1]", SLOW)
    assert controlled.ask("GET", "traffic/busy").value["traffic"] == [shown[0]]
    told = controlled.ask("GET", "traffic/bsy")
    assert (told.status, "did you mean 'busy'?" in told.value["error"]["message"]) == (404, True)


def test_entries_are_started_and_stopped_by_name(controlled: Controlled) -> None:
    assert controlled.text("a") is None

    assert controlled.ask("POST", "traffic/busy/stop").status == 204
    assert controlled.text("a") == "Hi"
    assert controlled.ask("GET", "traffic/busy").value["traffic"][0]["holds"] is False
    assert controlled.ask("POST", "traffic/busy/start", {}).status == 204
    assert controlled.text("a") is None
    controlled.ask("POST", "traffic/busy/stop")
    assert controlled.ask("POST", "traffic/busy/reset").status == 204
    assert controlled.text("a") is None
    assert controlled.ask("POST", "traffic/none/start").status == 404
    assert controlled.ask("POST", "traffic/busy/start", {"x": 1}).status == 400


def test_all_entries_are_replaced(controlled: Controlled) -> None:
    controlled.ask("POST", "mocks", {"user": "b", "reply": "added"})
    told = controlled.ask(
        "PUT", "traffic", {"traffic": [{"match": {"user": "b"}, "error": "timeout"}]}
    )

    assert told.status == 200
    assert (controlled.text("a"), controlled.text("b")) == ("Hi", None)
    assert controlled.ask("PUT", "traffic", {"traffic": []}).value == {"traffic": []}
    assert controlled.text("b") == "added"


def test_what_was_set_outlives_a_reload(controlled: Controlled) -> None:
    controlled.ask("PUT", "traffic", {"traffic": []})

    controlled.reload(build_engine({**CONFIG, "mocks": [{"reply": "reloaded"}]}))

    assert controlled.text("a") == "reloaded"


def test_state_outlives_a_change_of_traffic() -> None:
    controlled = Controlled({"mocks": [{"sequence": ["one", "two"]}], "traffic": []})
    assert controlled.text("x") == "one"

    controlled.ask("PUT", "traffic", {"traffic": [BUSY]})

    assert controlled.text("x") == "two"


def test_an_answer_that_was_cached_feels_new_traffic(controlled: Controlled) -> None:
    for _ in range(3):
        assert controlled.text("same") == "Hi"

    controlled.ask("PUT", "traffic/new", {"match": {"user": "same"}, "error": "overloaded"})

    assert controlled.text("same") is None


def test_one_entry_is_replaced_where_it_stands_or_added(controlled: Controlled) -> None:
    told = controlled.ask("PUT", "traffic/busy", {"match": {"user": "c"}, "error": "timeout"})
    assert told.value["entry"]["error"] == {"as": "timeout"}
    assert (controlled.text("a"), controlled.text("c")) == ("Hi", None)
    assert listed(controlled) == ["traffic[0] 'busy'", "traffic[1]"]

    controlled.ask("PUT", "traffic/new", {"name": "new", "error": "timeout"})

    assert listed(controlled) == ["traffic[0] 'busy'", "traffic[1]", "traffic[2] 'new'"]
    assert controlled.text("x") is None


def test_every_mistake_is_told_and_nothing_changes(controlled: Controlled) -> None:
    entries = [{"eror": "timeout"}, {"name": "x", "match": {"user": 3}, "error": "no word"}, 5]

    told = controlled.ask("PUT", "traffic", {"traffic": entries})

    assert (told.status, told.code) == (400, "invalid_traffic")
    assert {each.partition(":")[0] for each in told.problems} == {
        "traffic[0]",
        "traffic[1] 'x'",
        "traffic[2]",
    }
    assert listed(controlled) == ["traffic[0] 'busy'", "traffic[1]"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("traffic", {}),
        ("traffic", {"traffic": {}, "x": 1}),
        ("traffic/busy", {"name": "other", "error": "timeout"}),
        ("traffic/busy", {}),
        ("traffic/busy", {"from": "2m", "to": "1m", "error": "timeout"}),
    ],
)
def test_a_wrong_body_changes_nothing(controlled: Controlled, path: str, body: object) -> None:
    assert controlled.ask("PUT", path, body).code == "invalid_traffic"
    assert controlled.text("a") is None


def test_traffic_can_be_bound_to_a_version(controlled: Controlled) -> None:
    seen = controlled.ask("GET", "traffic").headers["etag"]
    assert controlled.ask("PUT", "traffic/busy", SLOW, headers={"if-match": seen}).status == 200

    told = controlled.ask("PUT", "traffic", {"traffic": []}, headers={"if-match": seen})

    assert told.status == 412
    assert len(listed(controlled)) == 2


def test_a_token_of_a_session_reads_traffic_only(controlled: Controlled) -> None:
    token = controlled.access.token_of("a")

    assert controlled.ask("GET", "traffic", token=token).status == 200
    for method, path, body in (
        ("PUT", "traffic", {"traffic": []}),
        ("PUT", "traffic/busy", SLOW),
        ("POST", "traffic/busy/stop", {}),
    ):
        assert controlled.ask(method, path, body, token=token).status == 403


def test_many_entries_are_compiled_in_a_thread(controlled: Controlled) -> None:
    entries = [{"match": {"user": f"u{number}"}, "error": "timeout"} for number in range(30)]
    told = controlled.ask("PUT", "traffic", {"traffic": entries})
    assert (told.status, len(told.value["traffic"]), controlled.threads) == (200, 30, 1)

    assert controlled.ask("PUT", "traffic/busy", {"error": "overloaded"}).status == 200
    assert controlled.threads == 2
    wrong = controlled.ask("PUT", "traffic", {"traffic": [*entries, {"name": "x"}]})
    (problem,) = wrong.problems
    assert problem.startswith("traffic[30] 'x': expected 'error'")
    assert len(listed(controlled)) == 31


def test_many_entries_are_described_in_pieces(controlled: Controlled) -> None:
    entries = [{**SLOW, "name": f"n{number}"} for number in range(5 * AT_ONCE)]
    told = controlled.ask("PUT", "traffic", {"traffic": entries})
    desk = cast("Desk", SimpleNamespace(server=controlled.app))

    decision, pauses = count_pauses(_answer(desk))

    assert pauses == 4
    assert decision.match.reply.status == 200
    assert [each["entry"] for each in told.value["traffic"]] == entries
    assert controlled.ask("GET", "traffic/n7").value["traffic"] == [told.value["traffic"][7]]
    assert controlled.ask("GET", "traffic").headers["etag"] == told.headers["etag"]
    bound = {"if-match": told.headers["etag"]}
    assert controlled.ask("PUT", "traffic", {"traffic": []}, headers=bound).status == 200


def test_too_many_entries_are_refused(controlled: Controlled) -> None:
    told = controlled.ask("PUT", "traffic", {"traffic": [SLOW] * 1_001})

    assert (told.status, told.code) == (413, "too_large")
    assert len(listed(controlled)) == 2


def test_an_entry_meets_those_that_were_changed_meanwhile(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{**SLOW, "name": f"n{number}"} for number in range(12)]
    controlled.ask("PUT", "traffic", {"traffic": entries})

    async def thread(work: Callable[[], Any]) -> Any:
        made = work()
        monkeypatch.undo()
        controlled.ask("PUT", "traffic", {"traffic": [BUSY]})
        return made

    monkeypatch.setattr(controlled, "thread", thread)
    told = controlled.ask("PUT", "traffic/mine", {"error": "timeout"})

    assert told.value["id"] == "traffic[1] 'mine'"
    assert listed(controlled) == ["traffic[0] 'busy'", "traffic[1] 'mine'"]
