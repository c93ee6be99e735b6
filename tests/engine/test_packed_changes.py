"""Changes as bytes: another process makes of them what this one does."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from mockllm.config.models import Config
from mockllm.engine import changes
from mockllm.engine.added import compile_added
from mockllm.engine.building import build_engine
from mockllm.engine.changes import AddMock, Change, SetTraffic
from mockllm.engine.packed_changes import pack, restore, unpack
from mockllm.engine.traffic import compile_traffic
from mockllm.errors import ConfigError

DEEP: Any = None
for _ in range(150):
    DEEP = [DEEP]

PLAIN: list[Change] = [
    changes.RemoveMock(3, "added[3]"),
    changes.StartTraffic("outage", 1.5),
    changes.StopTraffic("outage"),
    changes.ResetTraffic("outage"),
    changes.SetSpeed(10.0, 12345.678901, 3.25),
    changes.OpenSession("a", current=True, is_new=False, last_call=7),
    changes.CloseSession("a"),
    changes.ResetMocks(None),
    changes.ClearCalls("a", None, "chat", True),
    changes.ReachGate("a", "g", (3, 1)),
    changes.LeaveGate((3, 1)),
    changes.ReleaseGate(None, "g"),
    changes.OpenGate("a", "g"),
    changes.ForgetWorker(3),
    changes.SetGates([[["a", "g", True, 0, 1]], []]),
]


def copied(*made: Change, config: Any = None) -> list[Change]:
    engine = build_engine(Config.from_dict({} if config is None else config))
    return [restore(each, engine) for each in unpack(pack(made))]


def test_plain_values_stay_what_they_are() -> None:
    assert copied(*PLAIN) == PLAIN


def test_every_kind_of_change_can_be_packed() -> None:
    known = {type(each) for each in PLAIN} | {AddMock, SetTraffic}

    assert known == set(get_args(changes.Change))


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"name": "é😀", "user": {"contains": "x"}, "reply": "\u2028", "first": True}, None),
        ({"user": "x", "reply": {"json": DEEP}}, None),
        ({"match": {"user": "x"}, "sequence": ["one", {"error": "overloaded"}]}, "mocks"),
    ],
)
def test_a_mock_is_compiled_again(words: dict[str, Any], field: str | None) -> None:
    added = compile_added(words, 7, position=2, field=field)

    (copy,) = copied(AddMock(added, "a"))

    assert isinstance(copy, AddMock)
    assert (copy.session, copy.added.number, copy.added.place) == ("a", 7, added.place)
    assert copy.added.is_first == added.is_first
    assert copy.added.mock == added.mock
    assert copy.added.indices == added.indices


def test_traffic_is_compiled_again() -> None:
    entries = [{"name": "a", "match": {"model": "m"}, "from": "2s", "error": "overloaded"}]
    traffic = compile_traffic(entries, chunk="word", require_auth=True)

    (copy,) = copied(SetTraffic(traffic))

    assert isinstance(copy, SetTraffic)
    assert copy.traffic.entries == traffic.entries
    assert copy.traffic.by_api.keys() == traffic.by_api.keys()


def test_a_change_that_an_engine_cannot_have_is_an_error() -> None:
    with pytest.raises(ConfigError):
        restore(["AddMock", None, 0, 0, None, {"reply": 3}], build_engine(Config.from_dict({})))
