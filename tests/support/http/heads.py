"""Cases of a head: its size, its lines, names and values of its headers."""

from __future__ import annotations

from tests.support.http.case import refused, served
from tests.support.http.messages import HELLO, HIDDEN, KIB, asking, framed, get, message, post

HEADS = [
    served("head of 60 KiB", "6585 5", get("X-A: " + "a" * 60 * KIB)),
    refused("head too large", "6585 5", get("X-A: " + "a" * 70 * KIB), "431"),
    refused("head too large, without an end", "6585 5", get("X-A: " + "a" * 70 * KIB)[:-4], "431"),
    refused("head too large, in lines", "6585 5", get(*["X-A: " + "a" * KIB] * 70), "431"),
    served("100 headers", "6585 5", get(*(f"X-{number}: a" for number in range(99)))),
    refused("101 headers", "6585 5", get(*(f"X-{number}: a" for number in range(100))), "431"),
    refused("101 headers of one name", "6585 5", get(*["X-A: a"] * 100), "431"),
    refused("101 headers that came before", "6585 5", get(*["Accept: */*"] * 100), "431"),
    served("empty line before", "9112 2.2", b"\r\n" + get()),
    served(
        "empty lines before and between",
        "9112 2.2",
        b"\r\n\r\n" + get() + b"\r\n\r\n" + get(),
        "200 200",
    ),
    served("empty line behind a body", "9112 2.2", post() + b"\r\n" + get(), "200 200"),
    served("bare empty line before", "9112 2.2", b"\n" + get()),
    refused("bare CR before", "9112 2.2", b"\r" + get()),
    refused("bare CR behind an empty line", "9112 2.2", b"\r\n\r\r\n" + get()),
    refused("white space before", "9112 3", b" " + get()),
    refused(
        "white space before the first header",
        "9112 2.2",
        message("GET /health HTTP/1.1", " X: a", "Host: h"),
    ),
    refused("two spaces in the first line", "9112 3", message("GET  /health HTTP/1.1", "Host: h")),
    refused("tab in the first line", "9112 3", message("GET\t/health HTTP/1.1", "Host: h")),
    refused("NUL in the method", "9110 9.1", message("G\x00T /health HTTP/1.1", "Host: h")),
    refused("no request", "9112 2", b"nonsense\r\n\r\n"),
    refused("an answer", "9112 2.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused("JSON", "9112 2", b'{"model": "m"}\r\n\r\n'),
    refused("a zero", "9112 2", bytes(64)),
    refused("no ASCII", "9112 2", b"\xff\xfe" * 32 + b"\r\n\r\n"),
    served("folded header", "9112 5.2", post("X-Folded: a\r\n b", body=asking("folded"))),
    served(
        "header folded by a tab", "9112 5.2", post("X-Folded: a\r\n\t b", body=asking("folded"))
    ),
    refused("folded length", "9112 5.2", framed("Content-Length: 5\r\n 8") + HIDDEN),
    refused("folded Host", "9112 5.2", message("GET /health HTTP/1.1", "Host: a\r\n b")),
    refused("white space before the colon", "9112 5.1", get("X-A : a")),
    refused("tab before the colon", "9112 5.1", get("X-A\t: a")),
    refused("no colon", "9112 5", get("X-A")),
    refused("no name", "9112 5", get(": a")),
    served("line ends of LF", "9112 2.2", b"GET /health HTTP/1.1\nHost: h\n\n"),
    served(
        "line ends of LF and CRLF", "9112 2.2", b"GET /health HTTP/1.1\r\nHost: h\nX-A: a\r\n\n"
    ),
    *(
        served(
            f"last line end {end!r}",
            "9112 2.2",
            framed(f"Content-Length: {len(HELLO)}").replace(b"\r\n\r\n", end, 1) + get(),
            "200 200",
        )
        for end in (b"\n\r\n", b"\r\n\n", b"\n\n")
    ),
    refused("line ends of CR", "9112 2.2", b"GET /health HTTP/1.1\rHost: h\r\r"),
    refused("bare CR in a value", "9112 2.2", get("X-A: a\rb")),
    refused("bare CR that hides a header", "9112 2.2", get("X-A: a\rContent-Length: 5")),
    refused("bare CR at the end of a value", "9112 2.2", get("X-A: a\r")),
    refused("NUL in a value", "9110 5.5", get("X-A: a\x00b")),
    served("no ASCII in a value", "9110 5.5", get("X-A: \u00e9\u00ff")),
    served("no value", "9110 5.5", get("X-A:", "X-B: \t ")),
    served("odd name", "9110 5.6.2", get("!#$%&'*+-.^_`|~09aZ: a")),
    *(
        refused(f"name {name!r}", "9110 5.1", get(f"{name}: a"))
        for name in (
            "X A",
            "X(A)",
            "X@A",
            "X/A",
            "X[A]",
            "X{A}",
            '"X"',
            "X=A",
            "X,A",
            "X;A",
            "X\\A",
            "\u00e9",
            "X\x00",
            "X\x01",
            "X\x7f",
        )
    ),
]
