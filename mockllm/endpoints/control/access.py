"""Access to the control API: which requests are admitted, and how much they may see and change.

A request is judged in this order, and refused by the first rule that it breaks:

1. It is of no foreign page: an ``Origin`` is that of the server itself, and ``Sec-Fetch-Site``
   (which browsers add, and no page can change) is ``same-origin`` or ``none``. This holds for every
   method, and with a token too. A preflight is never answered by CORS headers.
2. It has a token: ``Authorization: Bearer``, or the cookie that `cookie` makes of one.
3. Without a token, its ``Host`` is a name of this machine, as that of a rebound page is not. Then
   it needs none if the access `is_open`, the peer is local, and no proxy has forwarded it.
4. A change has ``content-type: application/json``, which no form and no simple request of a page
   can have.

The token of a session is made of its name and a keyed hash, so that nothing need be remembered.
Cookies have the port in their name: browsers send those of a host to all of its ports. For the same
reason a cookie is not the token itself but a hash of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from hmac import new as keyed_hash
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from mockllm.endpoints.control.refusals import ControlError
from mockllm.exchange import Request
from mockllm.state.session_names import is_session_name

PREFIX = "/__mockllm/"
SAFE = frozenset({"GET", "HEAD"})
_OWN_SITES = frozenset({b"same-origin", b"none"})
_FORWARDED = (b"forwarded", b"via", b"x-real-ip")
_FORWARDED_PREFIX = b"x-forwarded-"
_JSON = b"application/json"
_SIGNATURE = 32  # hexadecimal digits; 128 bits
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="mockllm control"'),)


class Grant(NamedTuple):
    """What a request may see and change: one `session`, or everything if that is None."""

    session: str | None = None

    @property
    def is_full(self) -> bool:
        """True if everything may be seen and changed."""
        return self.session is None


@dataclass(frozen=True, slots=True)
class Access:
    """The access to the control API of one server: its `token`, whether peers on this machine need
    none (`is_open`), and the name of the host that it listens on."""

    token: str = field(repr=False)
    is_open: bool = False
    host: str = ""
    is_tls: bool = False

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.is_tls else "http"

    def token_of(self, session: str) -> str:
        """Return the token of a session: it sees and changes that session alone."""
        return f"{session}.{self._sign(f'session {session}')}"

    def cookie(self, request: Request) -> bytes:
        """Return the value of the Set-Cookie header that stands for the token: ``name=value`` and
        its attributes (RFC 6265)."""
        name = _cookie_name(request)
        attributes = f"Path={PREFIX}; SameSite=Strict; HttpOnly{'; Secure' * self.is_tls}"
        return f"{name}={self._cookie_value()}; {attributes}".encode()

    def is_token(self, given: str) -> bool:
        """Return True if `given` is the token of the server."""
        return _equal(given, self.token)

    def check_page(self, request: Request) -> None:
        """Check that no foreign page has made a request (rule 1).

        Raises:
            ControlError: 403.
        """
        own = {f"{self.scheme}://".encode() + host for host in _values(request, b"host")}
        own |= {b"https://" + host for host in _values(request, b"host")}  # a proxy may add TLS
        if any(origin not in own for origin in _values(request, b"origin")):
            raise ControlError(
                403, "foreign_origin", "Requests of pages of another origin are refused"
            )
        if any(site not in _OWN_SITES for site in _values(request, b"sec-fetch-site")):
            raise ControlError(403, "foreign_site", "Requests of pages of another site are refused")

    def identify(self, request: Request) -> Grant | None:
        """Return what the token of a request grants (rule 2); None if it has none.

        Raises:
            ControlError: 401, its token is not valid.
        """
        header = request.first_values.get(b"authorization")
        if header is not None:
            scheme, _, token = header.decode("latin-1").partition(" ")
            grant = self._grant_of(token.strip()) if scheme.lower() == "bearer" else None
            if grant is None:
                raise unauthorized("The token is not valid for this server")
            return grant
        expected = f"{_cookie_name(request)}={self._cookie_value()}"
        cookies = [each for line in _values(request, b"cookie") for each in line.split(b";")]
        is_known = any(_equal(each.strip().decode("latin-1"), expected) for each in cookies)
        return Grant() if is_known else None

    def check_host(self, request: Request) -> None:
        """Check that a request without a token names this machine (rule 3).

        Raises:
            ControlError: 403.
        """
        if not all(map(self._is_own_host, _values(request, b"host"))):
            raise ControlError(
                403,
                "foreign_host",
                "Without a token, the Host must be an address of this machine, such as 127.0.0.1 "
                "or localhost",
            )

    def admit_local(self, request: Request, *, is_local: bool) -> Grant:
        """Return what a request without a token may see and change, if no page has sent it to
        another host (rule 3).

        Raises:
            ControlError: 401, 403.
        """
        if not self.is_open:
            raise unauthorized("A token is needed: 'Authorization: Bearer TOKEN'")
        if any(map(_is_of_a_proxy, request.first_values)):
            raise ControlError(
                403, "forwarded", "What a proxy has forwarded needs a token: it may be of anyone"
            )
        if not is_local:
            raise unauthorized("A token is needed by clients of other machines")
        return Grant()

    def _grant_of(self, token: str) -> Grant | None:
        if self.is_token(token):
            return Grant()
        session, _, _ = token.rpartition(".")
        if is_session_name(session) and _equal(token, self.token_of(session)):
            return Grant(session)
        return None

    def _is_own_host(self, host: bytes) -> bool:
        try:
            name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self.host.lower()):
            return bool(name)
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return False

    def _cookie_value(self) -> str:
        return self._sign("cookie")

    def _sign(self, text: str) -> str:
        signed = keyed_hash(self.token.encode(), f"mockllm {text}".encode(), sha256)
        return signed.hexdigest()[:_SIGNATURE]


def check_content_type(request: Request) -> None:
    """Check that a change is one that no form of a page can make (rule 4).

    Raises:
        ControlError: 415.
    """
    if request.method in SAFE:
        return
    for value in _values(request, b"content-type") or [b""]:
        if value.partition(b";")[0].strip().lower() != _JSON:
            raise ControlError(
                415,
                "not_json",
                "A change needs the header 'content-type: application/json', whether it has a "
                "body or not",
            )


def unauthorized(message: str) -> ControlError:
    """Return a 401."""
    return ControlError(401, "unauthorized", message, headers=_CHALLENGE)


def _values(request: Request, name: bytes) -> list[bytes]:
    """Return the values of all headers of one name."""
    if name not in request.first_values:
        return []
    return [value for each, value in request.headers if each == name]


def _is_of_a_proxy(name: bytes) -> bool:
    return name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)


def _cookie_name(request: Request) -> str:
    """Return the name of the cookie of the server at the host of `request`: with its port."""
    _, _, port = request.first_values.get(b"host", b"").decode("latin-1").rpartition(":")
    return f"mockllm-{port if port.isascii() and port.isdigit() else 'control'}"


def _equal(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing of `expected`."""
    return compare_digest(given.encode("utf-8", "replace"), expected.encode())


def link(url: str, token: str | None) -> str:
    """Return the link to the control API of the server at `url`, for a person. The token is in its
    fragment, which a browser keeps to itself."""
    return f"{url}{PREFIX}" if token is None else f"{url}{PREFIX}#token={token}"
