"""Cases of connections: kept, closed, pipelined, half-closed."""

from __future__ import annotations

from tests.support.http.case import Case, Fate, refused, says, served
from tests.support.http.messages import (
    BODY,
    CHAT,
    END,
    HELLO,
    HIDDEN,
    MESSAGES,
    asking,
    chunked,
    framed,
    get,
    post,
)

_MANY = [f"ask {number}." for number in range(100)]

PERSISTENCE = [
    served("Connection: keep-alive", "9112 9.3", get("Connection: keep-alive")),
    served("Connection: another", "9110 7.6.1", get("Connection: closed, x-close")),
    served(
        "Keep-Alive and Proxy-Connection",
        "9110 7.6.1",
        get("Keep-Alive: timeout=1, max=1", "Proxy-Connection: close"),
    ),
    *(
        served(
            f"Connection: {option}",
            "9112 9.6",
            get(f"Connection: {option}") + HIDDEN,
            fate=Fate.CLOSES,
        )
        for option in ("close", "CLOSE", "keep-alive, close", "close, keep-alive", "x,\tClose ,y")
    ),
    served(
        "Connection: close in a second line",
        "9112 9.6",
        get("Connection: keep-alive", "Connection: close"),
        fate=Fate.CLOSES,
    ),
    served(
        "close of a stream",
        "9112 9.6",
        post("Connection: close", body=asking(stream=True)),
        fate=Fate.CLOSES,
    ),
    served(
        "close behind another",
        "9112 9.6",
        get() + post("Connection: close") + HIDDEN,
        "200 200",
        fate=Fate.CLOSES,
    ),
    *(
        served(f"open after {name}", "9112 9.3", data + get(), f"{status} 200")
        for name, data, status in (
            ("401", post().replace(b"Bearer any", b"Basic x:y="), 401),
            ("400 of no JSON", post(body=b"x"), 400),
            ("400 of a member", post(body=b"{}"), 400),
            ("400 of Messages", post("X-Api-Key: any", target=MESSAGES), 400),
            ("404 of a mock", post(body=asking("nobody")), 404),
            ("404 of a path", post(target="/v1/nothing"), 404),
            ("405", get(target=CHAT), 405),
        )
    ),
    served("two", "9112 9.3.2", post() + get(), "200 200", says("Hello there", "healthy")),
    served(
        "100, in order",
        "9112 9.3.2",
        b"".join(post(body=asking(text)) for text in _MANY),
        " ".join(["404"] * 100),
        says(*_MANY),
    ),
    served(
        "100 small ones",
        "9112 9.3.2",
        b"".join(get(method="HEAD") if number % 3 else get() for number in range(100)),
        " ".join(["200"] * 100),
        heads=tuple(number for number in range(100) if number % 3),
    ),
    served(
        "streams, errors and HEAD, in order",
        "9112 9.3.2",
        post(body=asking(stream=True))
        + post(body=asking("nobody"))
        + get(method="HEAD")
        + chunked(BODY, END)
        + post(body=b"[")
        + post(body=asking(stream=True)),
        "200 404 200 200 400 200",
        says("[DONE]", "nobody", "", "Hello there", "JSON", "[DONE]"),
        heads=(2,),
    ),
    served(
        "long answers, in order",
        "9112 9.3.2",
        post(body=asking("large"))
        + get()
        + post(body=asking("large", stream=True))
        + post(body=asking("nobody")),
        "200 200 200 404",
        says("large", "healthy", "[DONE]", "nobody"),
    ),
    refused(
        "nonsense behind a request", "9112 9.3.2", get() + b"nonsense\r\n\r\n" + HIDDEN, "200 400"
    ),
    refused(
        "nonsense behind a long answer",
        "9112 9.3.2",
        post(body=asking("large", stream=True)) + b"nonsense\r\n\r\n" + HIDDEN,
        "200 400",
    ),
    refused(
        "too large behind a request",
        "9112 9.3.2",
        get() + framed("Content-Length: 67108865"),
        "200 413",
    ),
]

_ENDED = [
    ("nothing", b"", ""),
    ("an empty line", b"\r\n", ""),
    ("a request", get(), "200"),
    ("a stream", post(body=asking(stream=True)), "200"),
    ("a long answer", post(body=asking("large")), "200"),
    ("a long stream", post(body=asking("large", stream=True)), "200"),
    ("a long stream and more", post(body=asking("large", stream=True)) + post(), "200 200"),
    ("many", get() * 20, " ".join(["200"] * 20)),
    ("chunks", chunked(BODY, END), "200"),
    ("a request that says close", get("Connection: close"), "200"),
    ("a request in 1.0", get(version="1.0"), "200"),
    ("nonsense", b"nonsense\r\n\r\n", "400"),
    ("part of a line", b"GET /hea", "(400)?"),
    ("part of a head", get()[:-2], "(400)?"),
    ("part of a body", post()[:-2], "(400)?"),
    ("part of a chunk", chunked(BODY[:-4]), "(400)?"),
    ("chunks without an end", chunked(BODY), "(400)?"),
    ("part of a trailer", chunked(BODY, b"0\r\nX-A"), "(400)?"),
    ("a head that waits for 100", post("Expect: 100-continue")[: -len(HELLO)], "(400)?"),
    ("a request and a part", get() + get()[:-2], "200( 400)?"),
]

ENDINGS = [
    Case(f"half-close behind {name}", "9112 9.6", data, statuses, Fate.ENDED)
    for name, data, statuses in _ENDED
]
