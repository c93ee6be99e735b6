"""The time of another clock, as answers of that clock tell it."""

from __future__ import annotations

from mockllm.serve.server_time import ServerTime


def test_the_answer_that_came_soonest_counts() -> None:
    time = ServerTime()
    for sent, server, received in ((0.0, 109.0, 10.0), (20.0, 121.0, 22.0), (30.0, 131.0, 38.0)):
        time.note(sent, server, received)

    assert (time.to_server(1.0), time.from_server(101.0)) == (101.0, 1.0)


def test_an_answer_that_contradicts_the_best_one_replaces_it() -> None:
    time = ServerTime()
    time.note(0.0, 101.0, 2.0)
    time.note(10.0, 215.0, 20.0)

    assert time.to_server(0.0) == 200.0
