"""Keeps secrets out of logs, messages and the journal: by the names of headers, parameters and
members, and by the form of the segments of a path and the words of a text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

_SECRET = re.compile(
    r"key|token|secret|passw|passphrase|pwd|auth|cred|sig|session|code|jwt|cookie|bearer|dpop"
    r"|oidc|saml|assertion|client-cert|(?:^|[-_])(?:pass|pat|otp|pin)(?:$|[-_])",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """True if a header or parameter of this name may contain a credential."""
    return _SECRET.search(name) is not None


MAX_PATH = 1_000  # characters of a path and its query
HIDDEN = "***"
MAX_ENCODINGS = 3  # times that a segment may be percent-encoded
MIN_RANDOM = 16  # letters and digits in one run; the longest in a model's name is a date of 8
MAX_SEGMENTS = 1_000  # of a path, examined one by one; the rest is examined as one

_CREDENTIAL = re.compile(
    r"(?:^|[^A-Za-z0-9])"
    r"(?:(?:sk|pk|rk|xai|pplx|r8|nvapi|gsk|hf|gh[opsu]|github_pat|xox[a-z]|glpat)[-_]"
    r"|AIza|AKIA|ASIA|ya29\.|eyJ|(?:Bearer|Basic)\s)",
    re.IGNORECASE,
)
"""The beginnings of the credentials of well-known services."""
_NAMED = re.compile(r"(?:key|token|secret|passw\w*|pwd|auth\w*|cred\w*|sig|jwt)[=:]", re.IGNORECASE)
_NAME = re.compile(
    r"(?:(?:api|access|auth)[-_]?)?(?:keys?|tokens?|secrets?|passwords?|bearer|basic|credentials?)",
    re.IGNORECASE,
)
"""Names of credentials; the segment after one is hidden."""
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
_ID_PREFIXES = frozenset(
    {"batch", "chatcmpl", "conv", "file", "msg", "msgbatch", "req", "resp", "vs"}
)
"""The beginnings of ids that the services generate, which are long and random."""


_HARMLESS = re.compile(
    r"(?:after|api-version|before|beta|limit|order|starting_after|stream)=[A-Za-z0-9_.-]{0,80}"
)


def redact_target(path: str, query: str) -> str:
    """Format a path and query for a log: one printable line without secrets."""
    target = redact_path(path)
    if query:
        target = f"{target}?{'&'.join(map(_redact_parameter, query.split('&')))}"
    return printable(target, MAX_PATH) or "-"


def redact_path(path: str) -> str:
    """Return `path` with each segment hidden that may be a credential, as sent or percent-encoded:
    ``/v1/sk-abc/chat`` becomes ``/v1/***/chat``."""
    return _redact_known(path) if len(path) <= MAX_PATH else _redact_segments(path)


def _redact_segments(path: str) -> str:
    segments = path.split("/", MAX_SEGMENTS)
    hidden = [
        HIDDEN if _may_be_secret(segment) or (segment and _NAME.fullmatch(before)) else segment
        for before, segment in zip(["", *segments], segments, strict=False)
    ]
    return "/".join(hidden)


@lru_cache(maxsize=1_000)  # 0.2 us a log line; examining a path takes 10 or more
def _redact_known(path: str) -> str:
    return _redact_segments(path)


def _may_be_secret(segment: str) -> bool:
    for _ in range(MAX_ENCODINGS):
        if "%" not in segment:
            break
        segment = unquote(segment)
    if _CREDENTIAL.search(segment) or _NAMED.search(segment):
        return True
    pieces = _SEPARATOR.split(segment)
    known = len(pieces) == 2 and pieces[0] in _ID_PREFIXES
    return not known and any(map(_looks_random, pieces))


def redact_name(name: str) -> str:
    """Return a name that the user has chosen, hidden if it begins as a credential does. Unlike a
    segment of a path, it may look random."""
    return HIDDEN if _CREDENTIAL.search(name) or _NAMED.search(name) else name


def _looks_random(piece: str) -> bool:
    if len(piece) < MIN_RANDOM or piece.isdecimal() or piece.isalpha():
        return False
    return piece.isalnum()


MAX_TEXT = 500  # characters of a text in a log
_WORD = re.compile(r"[^\s'\"`,;()<>{}\[\]]+")
_SCHEMES = ("bearer", "basic")


def redact_text(text: str) -> str:
    """Format a text for a log: one line of at most `MAX_TEXT` characters, with each word hidden
    that may be a credential, and all that `redact_words` hides."""
    before = ""

    def hide(found: re.Match[str]) -> str:
        nonlocal before
        word, previous, before = found[0], before, found[0]
        named = previous.lower() in _SCHEMES or (
            previous.endswith((":", "=")) and _NAME.fullmatch(previous[:-1])
        )
        return HIDDEN if named or _may_be_secret(word) else word

    shown = _WORD.sub(hide, redact_words(text[:MAX_TEXT]))
    return escape(shown + ("…" if len(text) > MAX_TEXT else ""))


def escape(text: str) -> str:
    """Return `text` with escapes (``\\n``) for unprintable characters: one line of a log."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable(text: str, longest: int) -> str:
    """Format `text` as one word of a log line: cut at `longest` characters, with a question mark
    for each space and each unprintable character."""
    if len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable() and " " not in text:
        return text
    return "".join(char if char.isprintable() and char != " " else "?" for char in text)


def _redact_parameter(parameter: str) -> str:
    return parameter if _HARMLESS.fullmatch(parameter) else HIDDEN


# --- Whole requests, for the journal --------------------------------------------------------------

# A test compares what it finds there, so only what certainly is a credential is hidden.

_NOT_SECRET = frozenset({"idempotency-key", "x-mockllm-session"})
"""Headers that are named like secrets and are none."""
_SECRET_MEMBER = re.compile(
    r"(?:.*[-_. ])?(?:authorization|bearer|cookie|credentials?|jwt|passphrase|passw(?:or)?d|pwd"
    r"|secrets?|api[-_ ]?keys?|(?:access|account|auth(?:orization)?|bearer|client|encryption|id"
    r"|private|refresh|secret|security|session|shared|signing|subscription)"
    r"[-_ ]?(?:keys?|tokens?|secrets?)"
    r"|(?:app|bot|db|github|hf|openai|anthropic|slack|user|x)[-_](?:key|pass|token))",
    re.IGNORECASE,
)
"""Names of members that hold credentials, with ``_`` before the words of camel case. ``key``,
``token``, ``auth``, ``pin`` and ``pass`` alone are not among them: filters, keyboards and log
probabilities have such members."""
_INNER_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OF_SCHEMAS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
"""Members of a JSON Schema whose members are schemas: of a parameter that is named like a
credential they have the description, not the value."""
_QUERY_SECRET = re.compile(
    r"([?&;](?:[\w.-]{0,40})(?:key|token|secret|passw|auth|cred|sig|jwt)[\w.-]{0,40}=)[^&;\s\"'<>]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?<=://)[^/\s:@\"']{0,200}:[^/\s@\"']{1,200}(?=@)")
_ENVIRONMENT = re.compile(r"\b([A-Z][A-Z0-9_]{0,60})=([\"']?)(?![$\"'])[^\s\"'&;]+")
"""A line of a file with environment variables. One that names another variable is none."""
_CUT = "'…"  # the end of a text that a near miss quotes in part
_QUOTED_MEMBER = re.compile(
    r'"([^"\\]{1,100})"(\s{0,9}:\s{0,9})"(?:[^"\\\']|\'(?!…)|\\.)+("?)', re.DOTALL
)
"""A member with a text in a text that is JSON itself, such as the arguments of a call. The text may
lack its end."""
_ESCAPED_NAME = re.compile(r'(?<!\\)(\\+)"([^"\\]{1,100})\1"\s{0,9}:\s{0,9}\1"')
"""The beginning of one in JSON in JSON, whose quotation marks are escaped."""
MAX_AT_ONCE = 64 * 1024  # characters of a text that are looked at in one piece, about: 5 ms
_CUT_BEFORE = re.compile(r"(?<=\S)(?<!bearer)(?<!basic)\s", re.IGNORECASE)
_SCHEME_WORD = re.compile(r"\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)


def redact_headers(
    headers: Iterable[tuple[bytes, bytes]], known: Collection[str] = ()
) -> dict[str, str]:
    """Return the values of headers by their names, in lower case, with secrets and all that is
    among `known` hidden. Values of one name are joined by a comma (RFC 9110, section 5.3)."""
    readable: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        secret = is_secret(name) and name not in _NOT_SECRET
        value = HIDDEN if secret else redact_words(raw_value.decode("latin-1"), known)
        readable[name] = f"{readable[name]}, {value}" if name in readable else value
    return readable


def redact_json(value: Any, known: Collection[str] = ()) -> Any:
    """Return a copy of a JSON value in which the texts in members that are named like credentials
    are hidden, the values of headers for an MCP server, and those parts of other texts that are
    credentials: by their form, or because they are among `known`."""
    result = [value]
    todo: list[tuple[Any, Any, bool]] = [(result, 0, False)]  # a container, a key in it, is secret
    while todo:
        container, key, secret = todo.pop()
        match container[key]:
            case str() as text:
                container[key] = HIDDEN if secret and text else redact_words(text, known)
            case dict() as members:
                copied = {hide_known(name, known): value for name, value in members.items()}
                container[key] = copied
                of_mcp = key == "headers" and "server_label" in container
                hidden = secret or of_mcp
                for name, each in copied.items():
                    is_schema = key in _OF_SCHEMAS and isinstance(each, dict)
                    hides = hidden or (_is_secret_member(name) and not is_schema)
                    todo.append((copied, name, hides))
            case list() as items:
                copied_items = container[key] = list(items)
                todo += [(copied_items, index, secret) for index in range(len(copied_items))]
    return result[0]


def redact_words(text: str, known: Collection[str] = ()) -> str:
    """Return `text` with its credentials hidden: words that begin as those of well-known services
    do and look random, passwords and signatures in URLs, what follows ``Bearer``, members of JSON
    and environment variables that are named like credentials, and all that is among `known`."""
    text = hide_known(text, known)
    if "=" in text or "@" in text:
        text = "".join(map(_hide_in_words, _pieces(text)))
    if '"' in text:
        text = _QUOTED_MEMBER.sub(_hide_member, text)
        if '\\"' in text:
            text = _hide_escaped_members(text)
    return "".join(map(_hide_credentials, _pieces(text)))


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces, so that no expression takes long, during which no other thread could
    go on. It is cut before space, where no credential is, nor the name of a scheme before one."""
    start = 0
    while len(text) - start > MAX_AT_ONCE:
        cut = _CUT_BEFORE.search(text, start + MAX_AT_ONCE)
        if cut is None:
            break
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


def _hide_in_words(text: str) -> str:
    text = _ENVIRONMENT.sub(_hide_variable, text)
    text = _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    return _USER_INFO.sub(HIDDEN, text)


def _hide_credentials(text: str) -> str:
    text = _SCHEME_WORD.sub(_hide_after_scheme, text)
    if _CREDENTIAL.search(text) is None:
        return text
    return _WORD.sub(_hide_credential, text)


def hide_known(text: str, known: Collection[str]) -> str:
    """Return `text` with all that is among `known` hidden."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return text


@lru_cache(maxsize=1_000)
def _is_secret_member(name: str) -> bool:
    if len(name) > MAX_MEMBER:
        return False
    return _SECRET_MEMBER.fullmatch(_INNER_WORD.sub("_", name)) is not None


MAX_MEMBER = 100  # characters of a member's name that is examined


def _hide_member(found: re.Match[str]) -> str:
    name, colon, end = found.groups()
    return f'"{name}"{colon}"{HIDDEN}{end}' if _is_secret_member(name) else found[0]


def _hide_variable(found: re.Match[str]) -> str:
    name, mark = found.groups()
    return f"{name}={mark}{HIDDEN}" if _is_secret_member(name) else found[0]


def _hide_escaped_members(text: str) -> str:
    parts, done = [], 0
    for found in _ESCAPED_NAME.finditer(text):
        if found.start() < done or not _is_secret_member(found[2]):
            continue
        parts += [text[done : found.end()], HIDDEN]
        mark = f'{found[1]}"'
        done = text.find(mark, found.end())
        while done > 0 and text[done - 1] == "\\":  # a mark of a level below
            done = text.find(mark, done + 1)
        done = done if done >= 0 else text.find(_CUT, found.end())
        if done < 0:
            return "".join(parts)
    return "".join([*parts, text[done:]])


def _hide_after_scheme(found: re.Match[str]) -> str:
    word = found[3]
    looks_encoded = any(char in "0123456789._~+/=" for char in word)
    return f"{found[1]}{found[2]}{HIDDEN}" if looks_encoded else found[0]


_URL_PART = re.compile(r"[^/?&=]+")


def _hide_credential(found: re.Match[str]) -> str:
    """Return a word, hidden if it is a credential; of a URL the parts that are."""
    word = found[0]
    if "://" not in word:
        return HIDDEN if _is_credential(word) else word
    return _URL_PART.sub(lambda part: HIDDEN if _is_credential(part[0]) else part[0], word)


def _is_credential(word: str) -> bool:
    """True if `word` begins like a credential of a well-known service, and a part looks random."""
    begins = _CREDENTIAL.match(word)
    return begins is not None and any(map(_looks_random, _SEPARATOR.split(word)))
