"""Validates JSON against the types of an official SDK and reports differences as findings.

Knows how to run pydantic and how to phrase its errors for someone who writes JSON. It knows no
provider: the `sdk.py` files choose the type for each endpoint and the types that are lenient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from pydantic_core import ErrorDetails, SchemaValidator, ValidationError

from mockllm.errors import closest, did_you_mean
from mockllm.pieces import Pieces, finish
from mockllm.validation.choosers import LABEL_PREFIX, MISSPELT
from mockllm.validation.declared import Rewriting, compile_schema, compile_validator
from mockllm.validation.reduction import Reduction, declared_names
from mockllm.validation.schema import MISMATCH, UNDECLARED
from mockllm.wire import jsontext

MAX_STEP = 60  # characters of a key in a path: enough to recognise it
MAX_EXPECTED = 200  # characters; some enums of the SDKs have a hundred values
MAX_ERRORS = 100  # that are described to find the first of them; each takes 2 µs
MAX_HINTLESS = 60  # characters of expected values among which a reader finds the meant one

_QUOTED = re.compile(r"'([^']*)'")


class Kind(StrEnum):
    """The kinds of disagreement between a value and a type."""

    MISSING = "missing"  # a required member is absent
    WRONG = "wrong"  # a member has another JSON type or value than declared
    UNKNOWN = "unknown"  # a member is not declared
    NEWER = "newer"  # the same, or a value that is not declared, where the installed SDK is old


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement between a JSON value and the SDK's type, formatted as ``path: message``."""

    path: tuple[str | int, ...]  # ("messages", 0, "content"); empty: the value itself
    message: str
    kind: Kind

    @property
    def place(self) -> str:
        """The path in dotted form: ``messages.0.content``."""
        return ".".join(_cut(str(step)) for step in self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else self.message


class Confirm:
    """Validates a decoded JSON value; returns the first finding, or None if the value is valid. It
    does not modify the value and never raises for JSON."""

    def __init__(self, validator: SchemaValidator, declared: frozenset[str]) -> None:
        self._validator = validator
        self._declared = declared

    def __call__(self, value: Any) -> Finding | None:
        try:
            self._validator.validate_python(value)
        except ValidationError as error:
            if error.error_count() <= MAX_ERRORS:
                return _finding(error.errors(include_url=False)[0])
        else:
            return None
        return finish(self.in_pieces(value))

    def in_pieces(self, value: Any) -> Pieces[Finding | None]:
        """Do the same, with pauses."""
        reduction = Reduction(self._count_errors, self._declared)
        reduced = yield from reduction.reduce(value)
        errors = _errors(self._validator, reduced)
        if not errors:
            return None
        finding = _finding(errors[0])
        return replace(finding, path=reduction.original(finding.path))

    def _count_errors(self, value: Any) -> int:
        try:
            self._validator.validate_python(value)
        except ValidationError as error:
            return error.error_count()
        return 0


def compile_request(
    type_: Any,
    *,
    strict: bool,
    lenient_types: frozenset[str] = frozenset(),
    always_required: frozenset[str] = frozenset(),
    widened: frozenset[str] | None = None,
) -> Confirm:
    """Compile a validator of requests.

    `type_` is anything pydantic can adapt, a TypedDict, a union, a list of them, or that of an SDK
    that is imported only if it must be (`Declared`). Unless `strict`,
    the TypedDicts named in `lenient_types` may lack any members except those in `always_required`,
    or have null in their place. `widened` are members that are not validated, because later SDKs
    declare them more widely: ``McpCall.error``.
    """
    rewriting = Rewriting(
        strict=strict,
        lenient_types=lenient_types,
        always_required=always_required,
        collect_all=False,
        widened=widened or frozenset(),
        closed=False,
    )
    validator, schema = compile_schema(type_, rewriting)
    return Confirm(validator, declared_names(schema))


def compile_match(
    type_: Any, *, lenient_types: frozenset[str], widened: frozenset[str] | None = None
) -> Callable[[Any], list[Finding]]:
    """Compile a lenient validator that returns all findings in the `match` of a mock.

    It differs from `compile_request`, which stops at the first finding and allows undeclared
    members: authors of a configuration want to see all of their mistakes, and a misspelt member is
    one.
    """
    validator = _validator(
        type_,
        strict=False,
        lenient_types=lenient_types,
        always_required=frozenset(),
        collect_all=True,
        widened=widened or frozenset(),
        closed=True,
    )

    def confirm(value: Any) -> list[Finding]:
        return [_finding(details) for details in _errors(validator, value)]

    return confirm


def confirm_model(
    model: Any,
    value: Any,
    is_sent: Callable[[Finding], bool] = lambda finding: False,
    *,
    widened: frozenset[str] | None = None,
) -> list[Finding]:
    """Return all findings in a response or event, including undeclared members. Those of which
    `is_sent` is True, because services do send that, are left out.

    `model` is a response model of an SDK or a union of them. Validating with the model itself would
    miss typos, because it allows extra members and coerces "5" to 5. With an SDK that is older than
    the one this version was written for, `widened` are the members that are not validated, and what
    the SDK does not declare is of the kind `NEWER`.
    """
    findings = []
    for details in _errors(_model_validator(model, widened or frozenset()), value):
        finding = _finding(details)
        if is_sent(finding):
            continue
        if widened is not None and details["type"] in _MAYBE_NEWER:
            finding = _newer(finding)
        findings.append(finding)
    return findings


def allow_newer(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings in a match, with those of the kind `UNKNOWN` as `NEWER`: the installed
    SDK is older than the one this version was written for."""
    return [_newer(each) if each.kind is Kind.UNKNOWN else each for each in findings]


_MAYBE_NEWER = frozenset({UNDECLARED, "literal_error"})


def _newer(finding: Finding) -> Finding:
    message = f"{finding.message} (the installed SDK is old; newer ones may declare it)"
    return replace(finding, message=message, kind=Kind.NEWER)


@cache
def _model_validator(model: Any, widened: frozenset[str]) -> SchemaValidator:
    # Cached per model: building a validator takes longer than using it a thousand times.
    return _validator(
        model,
        strict=True,
        lenient_types=frozenset(),
        always_required=frozenset(),
        collect_all=True,
        widened=widened,
        closed=True,
    )


def _validator(
    type_: Any,
    *,
    strict: bool,
    lenient_types: frozenset[str],
    always_required: frozenset[str],
    collect_all: bool,
    widened: frozenset[str],
    closed: bool,
) -> SchemaValidator:
    rewriting = Rewriting(strict, lenient_types, always_required, collect_all, widened, closed)
    return compile_validator(type_, rewriting)


# -- From a pydantic error to a finding -----------------------------------------------------------

_EXPECTED: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "a list",
    "dict_type": "an object",
    "none_required": "null",
}


def _errors(validator: SchemaValidator, value: Any) -> list[ErrorDetails]:
    try:
        validator.validate_python(value)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _finding(error: ErrorDetails) -> Finding:
    path = tuple(step for step in error["loc"] if not _is_label(step))
    reason = error["type"]
    if reason == "missing":
        return Finding(path, "required, but missing", Kind.MISSING)
    if reason == UNDECLARED:
        return Finding(
            path, _undeclared(str(error["loc"][-1]), tuple(error["ctx"]["declared"])), Kind.UNKNOWN
        )
    if reason == MISSPELT:
        message = f"not a type that the SDK declares{did_you_mean(error['ctx']['meant'])}"
        return Finding(path, message, Kind.UNKNOWN)
    hint = ""
    if reason == "literal_error":
        values = error["ctx"]["expected"]
        expected = _cut(values, MAX_EXPECTED)
        if isinstance(error["input"], str) and len(values) > MAX_HINTLESS:
            hint = did_you_mean(closest(error["input"], _QUOTED.findall(values)))
    elif reason == MISMATCH:
        expected = error["msg"]
    elif reason in _EXPECTED:
        expected = _EXPECTED[reason]
    else:
        return Finding(path, f"does not fit the SDK's type: {error['msg']}", Kind.WRONG)
    found = jsontext.describe(error["input"])
    return Finding(path, f"expected {expected}, found {found}{hint}", Kind.WRONG)


def _is_label(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith(LABEL_PREFIX)


def _undeclared(name: str, declared: tuple[str, ...]) -> str:
    return f"not a member that the SDK declares{did_you_mean(_closest(name, declared))}"


# Half of the time to load a thousand replies, whose responses all lack the same declarations.
@lru_cache(maxsize=1024)
def _closest(name: str, declared: tuple[str, ...]) -> str | None:
    return closest(name, declared) if len(name) <= MAX_STEP else None


def _cut(text: str, longest: int = MAX_STEP) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
