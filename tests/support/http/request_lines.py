"""Cases of methods, versions and upgrades."""

from __future__ import annotations

from tests.support.http.case import Fate, allows, has, lacks, refused, says, served
from tests.support.http.messages import (
    BODY,
    CHAT,
    END,
    HIDDEN,
    KEY,
    MESSAGES,
    RESPONSES,
    asking,
    chunked,
    get,
    message,
    post,
)

VERSIONS = [
    served("1.0", "9112 9.3", get(version="1.0"), fate=Fate.CLOSES),
    served("1.0, what follows", "9112 9.3", get(version="1.0") + HIDDEN, fate=Fate.CLOSES),
    served("1.0 POST", "9112 9.3", post(version="1.0"), fate=Fate.CLOSES),
    served(
        "1.0 kept alive",
        "9112 9.3",
        get("Connection: keep-alive", version="1.0"),
        check=has("connection", "keep-alive"),
    ),
    served(
        "1.0 kept alive twice",
        "9112 9.3",
        post("Connection: Keep-Alive", version="1.0")
        + get("Connection: keep-alive", version="1.0"),
        "200 200",
    ),
    served(
        "1.0 kept alive after a provider's 4xx",
        "9112 9.3",
        post("Connection: keep-alive", body=b"[", version="1.0"),
        "400",
    ),
    served(
        "1.0 told to close and to keep",
        "9112 9.3",
        get("Connection: keep-alive, close", version="1.0"),
        fate=Fate.CLOSES,
    ),
    served(
        "1.0 stream",
        "9112 6.1",
        post("Connection: keep-alive", body=asking(stream=True), version="1.0"),
        check=lacks("transfer-encoding"),
        fate=Fate.CLOSES,
    ),
    served(
        "1.0 stream ends",
        "9112 6.3",
        post(body=asking(stream=True), version="1.0"),
        check=says("data: [DONE]"),
        fate=Fate.CLOSES,
    ),
    served("1.2", "9110 2.5", get(version="1.2")),
    served("1.9", "9110 2.5", post(version="1.9")),
    *(
        refused(f"version {version}", "9110 15.6.6", get(version=version) + HIDDEN, "505")
        for version in ("0.9", "2.0", "3.0", "9.9")
    ),
    refused("version 2.0 with a body", "9110 15.6.6", post(version="2.0"), "505"),
    *(
        refused(f"version {version!r}", "9112 2.3", get(version=version) + HIDDEN)
        for version in ("1", "1.", "11.1", "1.10", "1,1", "01.1", "-1.1", "1.1x", "x", "1.1 ", "")
    ),
    refused("version in small letters", "9112 2.3", message("GET /health http/1.1", "Host: h")),
    refused("version of another name", "9112 2.3", message("GET /health HTTPS/1.1", "Host: h")),
    refused("no version", "9112 3", message("GET /health", "Host: h")),
    refused("HTTP/0.9", "9112 3", b"GET /health\r\n\r\n"),
    refused("HTTP/2 preface", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), ""),
    refused(
        "TLS hello", "8446 5.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), ""
    ),
    refused("TLS hello with a line end", "8446 5.1", b"\x16\x03\x01\x00\x0a\r\n\r\n", ""),
]


METHODS = [
    served("HEAD", "9110 9.3.2", get(method="HEAD"), heads=(0,)),
    served("HEAD and GET", "9110 9.3.2", get(method="HEAD") + get(), "200 200", heads=(0,)),
    served(
        "HEAD of an endpoint",
        "9110 15.5.6",
        get(method="HEAD", target=CHAT),
        "405",
        has("allow", "POST"),
        heads=(0,),
    ),
    served(
        "HEAD of nothing",
        "9110 9.3.2",
        get(method="HEAD", target="/x") + get(),
        "404 200",
        heads=(0,),
    ),
    served(
        "HEAD in 1.0", "9110 9.3.2", get(method="HEAD", version="1.0"), heads=(0,), fate=Fate.CLOSES
    ),
    *(
        served(
            f"{method} of {target}",
            "9110 15.5.6",
            get(method=method, target=target),
            "405",
            has("allow", "POST"),
        )
        for method in ("GET", "PUT", "PATCH", "DELETE", "TRACE")
        for target in (CHAT, MESSAGES)
    ),
    served(
        "OPTIONS of an endpoint",
        "9110 9.3.7",
        get(method="OPTIONS", target=CHAT),
        "20[04]|405",
        allows("POST"),
    ),
    served(
        "PUT with a body",
        "9110 15.5.6",
        get("Content-Length: 3", method="PUT", target=CHAT) + b"abc" + get(),
        "405 200",
    ),
    served(
        "POST of /health", "9110 15.5.6", post(target="/health"), "405", has("allow", "GET, HEAD")
    ),
    served("a method not known", "9110 9.1", get(method="BREW", target=CHAT), "501"),
    served("a method in small letters", "9110 9.1", post().replace(b"POST", b"post", 1), "501"),
    served("a method not known, of /health", "9110 9.1", get(method="BREW"), "501"),
    served(
        "websocket",
        "9110 15.5.22",
        get(
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            KEY,
            target=RESPONSES,
        ),
        "426",
        has("upgrade", "HTTP/1.1"),
        fate=Fate.EITHER,
    ),
    served("websocket elsewhere", "9110 7.8", get("Connection: Upgrade", "Upgrade: websocket")),
    served(
        "websocket of another endpoint",
        "9110 7.8",
        get("Connection: Upgrade", "Upgrade: websocket", target=CHAT),
        "405",
    ),
    served(
        "upgrade to HTTP/2",
        "9110 7.8",
        post(
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ),
        check=lacks("upgrade"),
    ),
    served(
        "upgrade, chunked",
        "9110 7.8",
        chunked(BODY, END, get(), fields=["Connection: Upgrade", "Upgrade: x"]),
        "200 200",
    ),
]
