"""Cases of request targets."""

from __future__ import annotations

from tests.support.http.case import Fate, refused, served
from tests.support.http.messages import CHAT, HIDDEN, KIB, get, message, post

_PATHS_SERVED = {
    "/health?": "9112 3.2.1",
    "/health?a=1&b=%20?/": "9112 3.2.1",
    "http://h/health": "9112 3.2.2",
    "http://other.example:81/health": "9112 3.2.2",
    "HTTP://OTHER/health": "3986 6.2.2.1",
    "https://h/health": "9110 7.4",
    "http://[::1]:8000/health?x": "9112 3.2.2",
    "/%68ealth": "3986 6.2.2.2",
    "/h%65alt%68": "3986 6.2.2.2",
}
_PATHS_NOT_FOUND = {
    "/": "9112 3.2.1",
    "/health/": "3986 6.2.2",
    "/HEALTH": "3986 6.2.2.1",
    "//health": "9112 3.2.1",
    "//h/health": "9112 3.2.1",
    "/./health": "3986 6.2.2.3",
    "/x/../health": "3986 6.2.2.3",
    "/x/%2e%2e/health": "3986 6.2.2.3",
    "/health%20": "3986 6.2.2.2",
    "/health%00": "3986 6.2.2.2",
    "/health%2F": "3986 6.2.2.2",
    "/%25%36%38ealth": "3986 2.4",
    "/..%2f..%2fetc/passwd": "3986 6.2.2.3",
    "/%c3%a9": "3986 2.1",
    "http://h": "9112 3.2.2",
    "http://h?x=/health": "9112 3.2.2",
    "http://h/http://h/health": "9112 3.2.2",
}
_TARGETS_REFUSED = {
    "health": "9112 3.2",
    "h:80": "9112 3.2.3",
    "?x": "9112 3.2",
    "*": "9112 3.2.4",
    "/health#x": "9112 3.2.1",
    "http://h/health#x": "9112 3.2.2",
    "http:///health": "9110 4.2.1",
    "http://:80/health": "9110 4.2.1",
    "http://user:pass@h/health": "9110 4.2.4",
    "http://h:80a/health": "9110 4.2.1",
    "http://a b/health": "9112 3.2.2",
    "http:/health": "9110 4.2.1",
    "ftp://h/health": "9110 7.4",
    "/health x": "9112 3.2",
    "/%zz": "3986 2.1",
    "/health%": "3986 2.1",
    "/health%6": "3986 2.1",
    "/health?%zz": "3986 2.1",
    "/a<b": "3986 3.3",
    "/a\\b": "3986 3.3",
    '/a"b': "3986 3.3",
    "/\u00e9": "3986 3.3",
    "/a\x00b": "3986 3.3",
    "/a\x01b": "3986 3.3",
    "/a\x7fb": "3986 3.3",
    "/a\tb": "3986 3.3",
    "/a\rb": "9112 2.2",
}

TARGETS = [
    *(
        served(f"target {target}", source, get(target=target))
        for target, source in _PATHS_SERVED.items()
    ),
    *(
        served(f"target {target}", source, get(target=target), "404")
        for target, source in _PATHS_NOT_FOUND.items()
    ),
    *(
        refused(f"target {target!r}", source, get(target=target) + HIDDEN)
        for target, source in _TARGETS_REFUSED.items()
    ),
    served("target with an encoded letter", "3986 6.2.2.2", post(target="/v1/%63hat/completions")),
    served(
        "target with an encoded slash", "3986 2.2", post(target="/v1/chat%2Fcompletions"), "404"
    ),
    served(
        "target with an encoded slash, small",
        "3986 2.2",
        post(target="/v1/chat%2fcompletions"),
        "404",
    ),
    served("absolute target", "9112 3.2.2", post(target=f"http://api.openai.com{CHAT}?x=1")),
    served(
        "absolute target in 1.0",
        "9112 3.2.2",
        message("GET http://h/health HTTP/1.0"),
        fate=Fate.CLOSES,
    ),
    refused("absolute target without Host", "9112 3.2", message("GET http://h/health HTTP/1.1")),
    refused(
        "absolute target, bad Host",
        "9112 3.2",
        message("GET http://h/health HTTP/1.1", "Host: a b"),
    ),
    served(
        "absolute target, empty Host",
        "9112 3.2.2",
        message("GET http://h/health HTTP/1.1", "Host:"),
    ),
    served("OPTIONS *", "9110 9.3.7", get(method="OPTIONS", target="*"), "20[04]"),
    refused(
        "CONNECT", "9110 9.3.6", get(method="CONNECT", target="example.com:443") + HIDDEN, "501"
    ),
    refused("CONNECT without a port", "9110 9.3.6", get(method="CONNECT", target="example.com")),
    refused("CONNECT to a path", "9112 3.2.3", get(method="CONNECT", target="/health")),
    refused("CONNECT *", "9112 3.2.3", get(method="CONNECT", target="*")),
    served("target of 8,000 bytes", "9112 3", get(target="/health?" + "a" * 8000)),
    refused("target too long", "9110 15.5.15", get(target="/" + "a" * 70 * KIB), "414"),
    refused("target too long, without an end", "9110 15.5.15", b"GET /" + b"a" * 70 * KIB, "414"),
    refused("method too long", "9110 15.5.15", b"A" * 70 * KIB, "414"),
]
