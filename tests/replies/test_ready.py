"""Ready bytes: a delivery equals one whose placeholders are filled one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.replies.ready import ReadyBytes
from mockllm.wire import placeholders
from mockllm.wire.placeholders import FreshValues

PIECES = st.sampled_from(
    [
        *(b"x", b"", b"\r\n"),
        *(placeholders.UNIQUE_ID, placeholders.SECONDS),
        *(placeholders.DATE, placeholders.ELAPSED_MS),
    ]
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.sampled_from([b"1", b"2"])))
def test_ready_bytes_are_filled_in_as_plain_bytes(data: bytes, seconds: list[bytes]) -> None:
    ready = ReadyBytes.of(data)

    for number, second in enumerate(seconds):
        elapsed_ms = b"%d" % (number % 3 * 499)
        fresh = FreshValues(b"%020x" % number, second * 10, second * 29, elapsed_ms)
        assert ready.finish(fresh) == placeholders.fill_fresh(data, fresh)
