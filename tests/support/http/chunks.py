"""Cases of chunked bodies and their trailers."""

from __future__ import annotations

from tests.support.http.case import refused, served
from tests.support.http.messages import BODY, END, HELLO, HIDDEN, KIB, asking, chunked, chunks

_FIVE = b"hello"


def _first_line(line: bytes, data: bytes = _FIVE) -> bytes:
    """A chunked request whose first chunk has that size line, and a hidden request behind it."""
    return chunked(line, data, b"\r\n", END, HIDDEN)


CHUNKS = [
    served("chunk extension", "9112 7.1.1", chunked(chunks(HELLO, 16, b";a"), END)),
    served(
        "chunk extension with a value", "9112 7.1.1", chunked(chunks(HELLO, 16, b";a=b;c"), END)
    ),
    served(
        "chunk extension, quoted",
        "9112 7.1.1",
        chunked(chunks(HELLO, 16, b';a="b;c=\\"\t0 d"'), END),
    ),
    served(
        "chunk extension with bad white space",
        "9112 7.1.1",
        chunked(chunks(HELLO, 16, b" ; a = b"), END),
    ),
    served("last chunk with an extension", "9112 7.1.1", chunked(BODY, b"0;a=b\r\n\r\n")),
    served("last chunk of many zeros", "9112 7.1", chunked(BODY, b"0000\r\n\r\n")),
    served(
        "chunk size with zeros",
        "9112 7.1",
        chunked(b"00000000%x\r\n%b\r\n" % (len(HELLO), HELLO), END),
    ),
    served(
        "chunk size in capitals", "9112 7.1", chunked(b"%X\r\n%b\r\n" % (len(HELLO), HELLO), END)
    ),
    served("chunks of one byte", "9112 7.1", chunked(chunks(HELLO, 1), END)),
    refused("chunk extension with NUL", "9110 5.5", _first_line(b"5;a\x00b\r\n")),
    refused("chunk extension, quoted NUL", "9110 5.6.4", _first_line(b'5;a="\x00"\r\n')),
    refused("chunk extension with a bare CR", "9112 2.2", _first_line(b"5;a\rb\r\n")),
    refused("chunk extension that ends in CR", "9112 2.2", _first_line(b"5;a\r\r\n")),
    refused("chunk extension with a bare LF", "9112 7.1", _first_line(b"5;a\nb\r\n")),
    refused("last chunk extension with NUL", "9110 5.5", chunked(BODY, b"0;\x00\r\n\r\n", HIDDEN)),
    *(
        refused(f"chunk size {line.decode()!r}", "9112 7.1", _first_line(line + b"\r\n"))
        for line in (
            b"",
            b"x",
            b"0x5",
            b"+5",
            b"-5",
            b"5.",
            b"5_0",
            b"5 5",
            b" 5",
            b";a",
            b"5,5",
            b"\x005",
        )
    ),
    refused("chunk size that is no ASCII", "9112 7.1", _first_line(b"\xb2\r\n")),
    refused("chunk size ended by LF", "9112 7.1", _first_line(b"5\n")),
    refused("chunk size ended by CR", "9112 7.1", _first_line(b"5\r")),
    refused("chunk size too large", "9110 15.5.14", _first_line(b"4000001\r\n"), "413"),
    refused("chunk size of 2**64 - 1", "9112 7.1", _first_line(b"f" * 16 + b"\r\n"), "413"),
    refused(
        "chunk size of 2**64 + 5", "9112 7.1", _first_line(b"10000000000000005\r\n"), "413|400"
    ),
    refused(
        "chunk size of 1,000 digits", "9112 7.1", _first_line(b"f" * 1000 + b"\r\n"), "413|400"
    ),
    refused("chunk longer than it says", "9112 7.1", _first_line(b"4\r\n")),
    refused("chunk without its CRLF", "9112 7.1", chunked(b"5\r\nhello", END, HIDDEN)),
    refused("chunk ended by LF", "9112 7.1", chunked(b"5\r\nhello\n", END, HIDDEN)),
    refused(
        "chunk extension too long",
        "9112 7.1.1",
        _first_line(b"5;a=" + b"b" * 20 * KIB + b"\r\n"),
        "400|413|431",
    ),
    refused(
        "chunk extensions too long together",
        "9112 7.1.1",
        chunked(chunks(HELLO, 1, b";" + b"a" * 4 * KIB), END, HIDDEN),
        "400|413|431",
    ),
]

TRAILERS = [
    served("trailer", "9112 7.1.2", chunked(BODY, b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")),
    served(
        "Authorization in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nAuthorization: Bearer any\r\n\r\n", key="X-Key: none"),
        "401",
    ),
    served(
        "announced Authorization in a trailer",
        "9110 6.6.2",
        chunked(
            BODY,
            b"0\r\nAuthorization: Bearer any\r\n\r\n",
            key="Trailer: Authorization",
            fields=["TE: trailers"],
        ),
        "401",
    ),
    served(
        "a matched header in a trailer",
        "9110 6.5.1",
        chunked(chunks(asking("tenant")), b"0\r\nX-Tenant: a\r\n\r\n"),
        "404",
    ),
    served(
        "framing in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nContent-Length: 5\r\nHost: other\r\nConnection: close\r\n\r\n"),
    ),
    served(
        "Content-Encoding in a trailer",
        "9110 6.5.1",
        chunked(BODY, b"0\r\nContent-Encoding: br\r\n\r\n"),
    ),
    refused("chunks that end in a bare LF", "9112 7.1", chunked(BODY, b"0\r\n\n", HIDDEN)),
    refused("trailer without a colon", "9112 5", chunked(BODY, b"0\r\nX-A\r\n\r\n", HIDDEN)),
    refused("trailer with NUL", "9110 5.5", chunked(BODY, b"0\r\nX-A: \x00\r\n\r\n", HIDDEN)),
    refused("trailer with a bare CR", "9112 2.2", chunked(BODY, b"0\r\nX: a\rb\r\n\r\n", HIDDEN)),
    refused(
        "trailer, white space before the colon", "9112 5.1", chunked(BODY, b"0\r\nX : a\r\n\r\n")
    ),
    refused(
        "trailers too large",
        "6585 5",
        chunked(BODY, b"0\r\n" + b"X-A: %b\r\n" % (b"a" * KIB) * 70, b"\r\n", HIDDEN),
        "431",
    ),
    refused(
        "trailers too many",
        "6585 5",
        chunked(
            BODY, b"0\r\n", *(b"X-%d: a\r\n" % number for number in range(101)), b"\r\n", HIDDEN
        ),
        "431",
    ),
]
