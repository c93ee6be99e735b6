"""Cases of the Host header."""

from __future__ import annotations

from tests.support.http.case import Fate, refused, served
from tests.support.http.messages import get, message

HOST = [
    refused("no Host", "9112 3.2", message("GET /health HTTP/1.1")),
    refused("no Host, higher minor", "9112 3.2", message("GET /health HTTP/1.2")),
    served("no Host in 1.0", "9112 3.2", message("GET /health HTTP/1.0"), fate=Fate.CLOSES),
    refused("Host twice", "9112 3.2", get("Host: g")),
    refused("Host twice the same", "9112 3.2", get("Host: h")),
    refused("Host twice in 1.0", "9112 3.2", get("Host: g", version="1.0")),
    refused("Host twice, spelled apart", "9112 3.2", get("hOST: h")),
    *(
        served(f"Host {host!r}", "9110 7.2", message("GET /health HTTP/1.1", f"Host: {host}"))
        for host in (
            "",
            "localhost",
            "LocalHost:8000",
            "h:",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8000",
            "[v1.a]:1",
            "a_b-c.d~e",
            "a%20b",
            "a,b",
            "xn--hst-sna.example.",
        )
    ),
    *(
        refused(f"Host {host!r}", "9112 3.2", message("GET /health HTTP/1.1", f"Host: {host}"))
        for host in (
            "a b",
            "a/b",
            "http://h",
            "user@h",
            "h:80a",
            "h:-1",
            "h:+1",
            "h:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[zz]",
            "a%zz",
            "h?x",
            "h#x",
            "h\\x",
            "<h>",
            'h"',
            "h\u00f6",
            "h\x01",
            "h\x7f",
        )
    ),
    refused("Host with NUL", "9110 5.5", message("GET /health HTTP/1.1", "Host: h\x00")),
    refused("Host in 1.0 invalid", "9112 3.2", message("GET /health HTTP/1.0", "Host: a b")),
]
