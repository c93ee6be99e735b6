"""Ready bytes: a delivery equals one whose placeholders are filled one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm import playback
from mockllm.exchange import Stamps

MARKS = [playback.TOKEN, playback.SECONDS, playback.DATE, playback.TOOK]
PIECES = st.sampled_from([b"x", b"", b"\r\n", *MARKS])


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.sampled_from([b"1", b"2"])))
def test_ready_bytes_are_stamped_as_plain_bytes(data: bytes, seconds: list[bytes]) -> None:
    ready = playback.Ready(data)

    for number, second in enumerate(seconds):
        took = b"%6d" % (number % 3)
        stamps = Stamps(b"%020x" % number, second * 10, second * 29, took)
        assert ready.stamped(stamps) == playback.stamp(data, stamps)
