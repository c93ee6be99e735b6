"""Cases of framing and smuggling: Content-Length and Transfer-Encoding."""

from __future__ import annotations

from tests.support.http.case import refused, served
from tests.support.http.messages import (
    BODY,
    CHAT,
    END,
    HELLO,
    HIDDEN,
    KEY,
    chunked,
    framed,
    get,
    post,
)

LENGTH = [
    served("length", "9112 6.2", post()),
    served("length twice the same", "9112 6.3", post(f"Content-Length: {len(HELLO)}")),
    served("length as a list", "9112 6.3", framed(f"Content-Length: {len(HELLO)}, {len(HELLO)}")),
    served("length with zeros", "9110 8.6", framed(f"Content-Length: 000{len(HELLO)}")),
    served("length in white space", "9110 5.5", framed(f"Content-Length: \t {len(HELLO)} \t")),
    refused("length twice", "9112 6.3", post("Content-Length: 5") + HIDDEN),
    refused("length twice, zero first", "9112 6.3", post("Content-Length: 0") + HIDDEN),
    refused("length as a list of two", "9112 6.3", framed("Content-Length: 5, 6") + HIDDEN),
    *(
        refused(f"length {length!r}", "9112 6.3", framed(f"Content-Length: {length}") + HIDDEN)
        for length in (
            "",
            "-1",
            "+58",
            "0x3a",
            "58.0",
            "5 8",
            "5_8",
            "58;",
            "fifty",
            '"58"',
            "\u00b2",
            "58\x0b",
            "NaN",
        )
    ),
    refused("length too large", "9110 15.5.14", framed("Content-Length: 67108865"), "413"),
    refused(
        "length beyond 2**63", "9110 8.6", framed("Content-Length: 9223372036854775808"), "413"
    ),
    refused("length of 20 digits", "9110 8.6", framed("Content-Length: " + "9" * 20), "413"),
    refused(
        "length of 5,000 digits", "9110 8.6", framed("Content-Length: " + "9" * 5000), "413|400"
    ),
    refused(
        "length too large in 1.0",
        "9110 15.5.14",
        framed("Content-Length: 9" + "0" * 9, version="1.0"),
        "413",
    ),
    served("no length", "9112 6.3", get(KEY, target=CHAT, method="POST"), "400"),
    served("length 0", "9112 6.3", post(body=b""), "400"),
    refused(
        "length too small",
        "9112 6.3",
        framed("Content-Length: 2", body=b"{}" + b"stray bytes\r\n\r\n"),
        "400 400",
    ),
    served("length of a GET", "9110 9.3.1", get("Content-Length: 3") + b"abc"),
]

CODING = [
    served("chunked", "9112 7.1", chunked(BODY, END)),
    served("chunked in capitals", "9112 7", framed("Transfer-Encoding: CHUNKED", body=BODY + END)),
    served("chunked of a GET", "9112 6.1", get("Transfer-Encoding: chunked") + b"1\r\na\r\n" + END),
    served("nothing, chunked", "9112 7.1", chunked(END), "400"),
    refused(
        "length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Content-Length: 5"]),
    ),
    refused(
        "length behind chunked",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", "Content-Length: 5", body=BODY + END) + HIDDEN,
    ),
    refused(
        "the right length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=[f"Content-Length: {len(BODY + END)}"]),
    ),
    refused(
        "a bad length beside chunked",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Content-Length: -1"]),
    ),
    refused(
        "length 0 beside chunked on a GET",
        "9112 6.1",
        get("Content-Length: 0", "Transfer-Encoding: chunked") + END + HIDDEN,
    ),
    refused(
        "length beside a coding not known",
        "9112 6.1",
        framed("Transfer-Encoding: x", "Content-Length: 5") + HIDDEN,
        "400|501",
    ),
    refused(
        "chunked twice",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Transfer-Encoding: chunked"]),
        "400|501",
    ),
    refused(
        "gzip, chunked", "9112 6.1", framed("Transfer-Encoding: gzip, chunked") + HIDDEN, "501"
    ),
    refused(
        "gzip and chunked in two lines",
        "9112 6.1",
        chunked(BODY, END, HIDDEN, fields=["Transfer-Encoding: gzip"]),
        "501",
    ),
    *(
        refused(
            f"coding {coding!r}",
            "9112 6.3",
            framed(f"Transfer-Encoding: {coding}", body=BODY + END) + HIDDEN,
            "400|501",
        )
        for coding in (
            "gzip",
            "identity",
            "chunked, chunked",
            "chunked, gzip",
            "chunked, identity",
            "xchunked",
            "chunkedx",
            "chunked;q=1",
            '"chunked"',
            "x",
            "",
            "\x0bchunked",
            "chunked\x00",
            "chunk\u00e9d",
        )
    ),
    refused(
        "coding behind white space", "9112 5.1", framed("Transfer-Encoding : chunked") + HIDDEN
    ),
    refused(
        "chunked in 1.0",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", body=BODY + END, version="1.0") + HIDDEN,
    ),
    refused(
        "chunked in 1.0, kept alive",
        "9112 6.1",
        framed(
            "Transfer-Encoding: chunked", "Connection: keep-alive", body=BODY + END, version="1.0"
        ),
    ),
    refused(
        "length beside chunked in 1.0",
        "9112 6.1",
        framed("Transfer-Encoding: chunked", f"Content-Length: {len(HELLO)}", version="1.0")
        + HIDDEN,
    ),
    served("TE is no coding of the body", "9110 10.1.4", post("TE: trailers, deflate")),
]
