"""Cases of bodies: expectations, content codings, JSON."""

from __future__ import annotations

import gzip
import zlib
from functools import cache

import brotli
import zstandard

from tests.support.http.case import Fate, has, refused, served
from tests.support.http.messages import BODY, END, HELLO, MIB, chunked, chunks, framed, get, post

EXPECT = [
    served("Expect", "9110 10.1.1", post("Expect: 100-continue")),
    served("Expect in capitals", "9110 10.1.1", post("Expect: 100-Continue")),
    served("Expect, chunked", "9110 10.1.1", chunked(BODY, END, fields=["Expect: 100-continue"])),
    served("Expect without a body", "9110 10.1.1", get("Expect: 100-continue")),
    served("Expect nothing", "9110 10.1.1", post("Expect:")),
    served(
        "Expect in 1.0",
        "9110 10.1.1",
        post("Expect: 100-continue", version="1.0"),
        fate=Fate.CLOSES,
    ),
    served(
        "Expect, then a provider's 4xx",
        "9110 10.1.1",
        post("Expect: 100-continue", body=b"["),
        "400",
    ),
    refused("Expect another", "9110 10.1.1", post("Expect: 200-ok"), "417"),
    refused("Expect another too", "9110 10.1.1", post("Expect: 100-continue, x=y"), "417"),
    refused(
        "Expect another in a second line",
        "9110 10.1.1",
        post("Expect: 100-continue", "Expect: x"),
        "417",
    ),
    refused("Expect another without a body", "9110 10.1.1", get("Expect: x"), "417"),
    refused(
        "Expect with too large a length",
        "9110 10.1.1",
        framed("Expect: 100-continue", "Content-Length: 67108865", body=b""),
        "413",
    ),
]


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(64 * MIB + 1), 9)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


_PACKED = gzip.compress(HELLO, mtime=0)
GZIP = "Content-Encoding: gzip"

CONTENT = [
    served("gzip", "9110 8.4.1.3", post(GZIP, body=_PACKED)),
    served("x-gzip", "9110 8.4.1.3", post("Content-Encoding: X-Gzip", body=_PACKED)),
    served("gzip, chunked body", "9110 8.4", chunked(chunks(_PACKED), END, fields=[GZIP])),
    served(
        "gzip of two members",
        "1952 2.2",
        post(GZIP, body=gzip.compress(HELLO[:9]) + gzip.compress(HELLO[9:])),
    ),
    served("gzip, expected", "9110 8.4", post(GZIP, "Expect: 100-continue", body=_PACKED)),
    served("gzip, what follows", "9110 8.4", post(GZIP, body=_PACKED) + get(), "200 200"),
    served("no coding", "9110 8.4", post("Content-Encoding:")),
    served("identity", "9110 8.4.1", post("Content-Encoding: identity")),
    *(
        served(name, "9110 8.4.1.3", post(GZIP, body=body), "400", fate=Fate.EITHER)
        for name, body in {
            "gzip of nothing": b"",
            "gzip that is none": HELLO,
            "gzip cut short": _PACKED[:-9],
            "gzip without its check": _PACKED[:-8],
            "gzip with a wrong check": _PACKED[:-8] + bytes(8),
            "gzip with more behind it": _PACKED + b"more",
            "gzip of a bad body": gzip.compress(b"["),
        }.items()
    ),
    served("gzip bomb", "9110 15.5.14", post(GZIP, body=_bomb()), "413", fate=Fate.EITHER),
    *(
        served(
            f"coding of content {coding!r}",
            "9110 15.5.16",
            post(f"Content-Encoding: {coding}"),
            "415",
            has("accept-encoding", "gzip, deflate, br, zstd"),
            fate=Fate.EITHER,
        )
        for coding in ("compress", "gzip, x", "*", "br;q=1", "br, br, br, br, br")
    ),
    served(
        "coding of content in two lines",
        "9110 8.4",
        post(GZIP, "Content-Encoding: br", body=brotli.compress(_PACKED)),
    ),
    *(
        served(
            f"body in {coding}",
            "9110 8.4",
            post(f"Content-Encoding: {coding}", body=body),
        )
        for coding, body in {
            "br": brotli.compress(HELLO),
            "deflate": zlib.compress(HELLO),
            "Deflate": zlib.compress(HELLO, wbits=-zlib.MAX_WBITS),
            "zstd": _zstd(HELLO),
            "ZSTD, identity": _zstd(HELLO),
            "gzip, zstd": _zstd(_PACKED),
        }.items()
    ),
    *(
        served(
            f"body in {coding} that is not",
            "9110 8.4",
            post(f"Content-Encoding: {coding}", body=HELLO),
            "400",
            fate=Fate.EITHER,
        )
        for coding in ("br", "deflate", "zstd", "gzip, zstd")
    ),
    served("JSON of 100,000 levels", "8259 9", post(body=b"[" * 100_000), "400"),
    served("JSON object of 100,000 levels", "8259 9", post(body=b'{"a":' * 100_000), "400"),
    served(
        "JSON that is no UTF-8", "8259 8.1", post(body=HELLO.replace(b"Hello", b"\xff\xfe")), "400"
    ),
    served("JSON with NaN", "8259 6", post(body=b'{"n": NaN}'), "400"),
    served(
        "JSON with a number of 5,000 digits",
        "8259 6",
        post(body=HELLO.replace(b"}]", b'}],"n":' + b"9" * 5000)),
        "200|400",
    ),
    served("JSON with a key twice", "8259 4", post(body=HELLO.replace(b'"m"', b'"m","model":"m"'))),
    served(
        "JSON with half a surrogate pair",
        "8259 8.2",
        post(body=HELLO.replace(b"Hello", b"\\ud800")),
        "404",
    ),
]
