"""Where the state is that servers share: the address of a Redis, and its password."""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from mockllm.errors import MockLLMError, closest, did_you_mean

PASSWORD_VARIABLE = "MOCKLLM_STATE_PASSWORD"  # noqa: S105  # the name of a variable
SCHEMES = ("redis", "rediss")
PREFIX = "mockllm"
PORT = 6379
_PREFIX = re.compile(r"[\x21-\x7e]{1,100}")
_DATABASE = re.compile(r"/?|/[0-9]{1,5}")
_EXAMPLE = "for example, redis://localhost:6379/0?prefix=mockllm"


class RedisAddress(NamedTuple):
    """A database of a Redis server. All keys in it begin with `prefix` and a colon."""

    host: str
    port: int = PORT
    database: int = 0
    username: str | None = None
    is_tls: bool = False
    prefix: str = PREFIX

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = SCHEMES[self.is_tls]
        return f"{scheme}://{host}:{self.port}/{self.database}?prefix={self.prefix}"


def parse_redis_address(text: str) -> RedisAddress:
    """Parse ``redis://HOST:PORT/DATABASE?prefix=PREFIX``; with ``rediss``, the connection is
    encrypted. All but the host may be left out.

    Raises:
        ValueError: `text` is not such an address. The message does not show it: there may be a
            password in it.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(f"expected redis://HOST:PORT/DATABASE; {_EXAMPLE}") from None
    if url.scheme not in SCHEMES:
        expected = " or ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"expected an address that begins with {expected}; {_EXAMPLE}")
    if url.password is not None:
        raise ValueError(
            f"a password here would be seen in the list of processes: give it in the environment "
            f"variable {PASSWORD_VARIABLE}"
        )
    if not url.hostname:
        raise ValueError(f"expected a host; {_EXAMPLE}")
    if not _DATABASE.fullmatch(url.path) or url.fragment:
        raise ValueError(f"expected the number of a database behind the port; {_EXAMPLE}")
    return RedisAddress(
        host=url.hostname,
        port=PORT if port is None else port,
        database=int(url.path.strip("/") or 0),
        username=url.username or None,
        is_tls=url.scheme == "rediss",
        prefix=_parse_prefix(url.query),
    )


def _parse_prefix(query: str) -> str:
    given = parse_qsl(query, keep_blank_values=True)
    for name, _ in given:
        if name != "prefix":
            meant = did_you_mean(closest(name, ["prefix"]))
            raise ValueError(f"the only parameter is 'prefix', found {name!r:.40}{meant}")
    if len(given) > 1:
        raise ValueError("expected one prefix, found several")
    prefix = given[0][1] if given else PREFIX
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("expected a prefix of 1 to 100 printable ASCII characters without spaces")
    return prefix


def given_password() -> str | None:
    """Return the password in the environment; None if there is none.

    Raises:
        MockLLMError: it is empty, as of a secret that is not set.
    """
    password = os.environ.get(PASSWORD_VARIABLE)
    if password == "":
        raise MockLLMError(f"{PASSWORD_VARIABLE}: expected a password, or no such variable")
    return password
