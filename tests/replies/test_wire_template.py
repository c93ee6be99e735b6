"""Wire templates: one join gives the same bytes as filling in, framing and stamping in turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Reply, Step
from mockllm.http1.framing import MAX_READY, FastFraming
from mockllm.replies.wire_template import RequestValues, WireTemplate
from mockllm.wire import placeholders
from mockllm.wire.placeholders import NOTHING_ECHOED, OF_REQUEST
from tests.support.goldens import FRESH

DATA = st.lists(
    st.sampled_from(
        [
            *(b"x", b"{}", b"\xfc", b"\xfb3\xfb", b"\xf9user:null\xf9"),
            *(placeholders.UNIQUE_ID, placeholders.SECONDS),
        ]
    ),
    max_size=6,
).map(b"".join)
HEADERS = ((b"date", placeholders.DATE), (b"ms", placeholders.ELAPSED_MS))


def template_of(reply: Reply) -> WireTemplate:
    return WireTemplate(FastFraming(reply), [OF_REQUEST.split(step.data) for step in reply.steps])


@given(st.lists(DATA, max_size=3), st.booleans(), st.sampled_from([{}, {"user": b'"me"'}]))
def test_one_join_gives_the_bytes_of_the_plain_way(
    steps: list[bytes], streamed: bool, echoed: dict[str, bytes]
) -> None:
    reply = Reply(200, HEADERS, tuple(Step((data,)) for data in steps), streamed=streamed)
    filled = placeholders.fill(reply, model="m", input_tokens=96, echoed=echoed)
    framed = FastFraming(filled).ready([step.data for step in filled.steps])
    assert framed is not None

    template = template_of(reply)

    values = RequestValues(b'"m"', 96, echoed)
    for second in (b"1" * 10, b"1" * 10, b"2" * 10):
        fresh = FRESH._replace(seconds=second, date=second[:1] * 29)
        assert template.join(values, fresh) == placeholders.fill_fresh(framed, fresh)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_size_counts_what_is_filled_in(streamed: bool) -> None:
    reply = Reply(200, (), (Step((b"<\xfc|\xfb5\xfb|\xf9user:null\xf9>",)),), streamed=streamed)

    data = template_of(reply).join(RequestValues(b'"long name"', 995, {"user": b'"me"'}), FRESH)

    body = b'<"long name"|1000|"me">'
    size = b"%x\r\n" % len(body) if streamed else b"content-length: %d\r\n" % len(body)
    assert size in data
    assert body in data


def test_values_that_make_a_reply_larger_than_one_write_do_not_fit() -> None:
    reply = Reply.whole(200, (), b"\xf9tools:[]\xf9" * 2)
    template = template_of(reply)

    def fits(size: int) -> bool:
        return template.fits(RequestValues(b'"m"', 0, {"tools": b"x" * size}))

    assert template.fits(RequestValues(b'"m"', 0, NOTHING_ECHOED))
    assert fits(MAX_READY // 4)
    assert not fits(MAX_READY // 2 + 1)
