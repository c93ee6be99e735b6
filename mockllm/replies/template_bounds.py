"""Bounds of templates: the time and the text that they may take, and what passes them.

The values of a template come from clients, so whatever Jinja2's sandbox leaves open is bounded:
what passes a bound raises `TemplateError`. It knows values, operators, methods and filters. It does
not know how a template is compiled.
"""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from functools import wraps
from typing import Any

from mockllm.errors import MockLLMError
from mockllm.wire import jsontext

MAX_TEXT = 1024 * 1024
"""Characters of all texts of an answer that templates make, in all and in between."""
MAX_SECONDS = 0.05
"""Seconds that the templates of an answer may take, without pauses."""
MAX_UNDIVIDED = 0.001
"""Seconds after which a template pauses."""
MAX_STRETCH = 0.008
"""Seconds between two pauses."""
MAX_RANGE = 1_000
"""Values of a ``range``."""
MAX_ITEMS = 2_000
"""Values of a list, or characters of a text, that a filter looks at one by one."""
MAX_PARTS = 10_000
"""Values inside of a list or an object that is printed."""
MAX_SLOW_TEXT = 32 * 1024
"""Characters of a text for a filter that takes 20 ns or more for each."""
MAX_SPLIT = 256 * 1024
"""Characters of a text that is split, or that is a format."""
MAX_CASED = 512 * 1024
"""Characters of a text whose upper and lower case is changed one by one: 4 to 8 ns for each."""
MAX_SEARCHED = 4 * MAX_TEXT
"""Characters of a text that is searched."""
MAX_DIGITS = 300
"""Digits that a number is rounded to."""
MAX_REASON = 500
"""Characters of a reason, which may quote the values of a request."""
MAX_WIDTH = 10_000
"""Characters that a value is padded to, by a method or a format."""

FILTERS = frozenset(
    {
        *("abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape"),
        *("first", "float", "groupby", "int", "items", "join", "last", "length", "list"),
        *("lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round"),
        *("safe", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim"),
        *("truncate", "unique", "upper", "urlencode", "wordcount"),
    }
)
"""Filters of Jinja2 whose time and result are bounded by their values."""

_PADDING = frozenset({"ljust", "rjust", "center", "zfill"})
_SPLITTING = frozenset({"split", "rsplit", "splitlines"})
_REFUSED = frozenset({"format", "format_map", "expandtabs", "translate", "encode"})
"""Methods of texts whose result may be of any size, or has such methods."""
_CASED = frozenset({"swapcase", "title"})
"""Methods that look at each character of a text, and take long for each."""
_CASED_UNLESS_ASCII = frozenset({"capitalize", "casefold", "lower", "upper"})
_STRIPPING = frozenset({"lstrip", "rstrip", "strip"})
_ASKING = frozenset(
    {
        *("isalnum", "isalpha", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric"),
        *("isprintable", "isspace", "istitle", "isupper"),
    }
)
_SEARCHING = frozenset(
    {"count", "find", "index", "partition", "rfind", "rindex", "rpartition"},
)
_VIEWS = (KeysView, ValuesView, ItemsView)
_WIDTH = re.compile(r"\d{5,}|\*")
"""A width of five digits in a format, or one that is an argument."""
_NUMBER = re.compile(r"\d+")

# Names that no template can write, since one that begins with an underscore is refused.
BUDGET = "_budget"
"""The budget, among the values of a template."""
SPEND = "_spend"
"""The function that is called before the plain text of a template and in each loop and macro."""
SAY = "_say"
"""The function that turns each value that a template prints into text."""


class TemplateError(MockLLMError):
    """A template failed for a request; the message says why."""


class Budget:
    """The time and the text that are left to the templates of one answer. `now` tells the time that
    they work, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._spent = 0.0
        self._since = 0.0
        self._left = MAX_TEXT

    @property
    def needs_pause(self) -> bool:
        """True if a template should pause."""
        return self._now() - self._since > MAX_UNDIVIDED

    def pause(self) -> None:
        """Count no more time until `go_on`."""
        self._spent += self._now() - self._since

    def go_on(self) -> None:
        """Count the time from now on."""
        self._since = self._now()

    def spend(self, characters: int = 0) -> str:
        """Spend the time so far and `characters`. The empty result is what a template prints."""
        self._left -= characters
        if self._left < 0:
            raise TemplateError(f"the templates make more than {MAX_TEXT:,} characters")
        stretch = self._now() - self._since
        if self._spent + stretch > MAX_SECONDS:
            raise TemplateError(f"the templates take more than {MAX_SECONDS * 1000:.0f} ms")
        if stretch > MAX_STRETCH:
            raise TemplateError(
                "an expression, a macro or a captured block takes more than "
                f"{MAX_STRETCH * 1000:.0f} ms"
            )
        return ""

    def spend_on(self, value: Any) -> None:
        """Spend the time so far if `value` is a long text, for which an operation takes long."""
        if isinstance(value, str) and len(value) > MAX_SLOW_TEXT:
            self.spend()

    def each(self, values: Iterable[Any], name: str) -> Iterator[Any]:
        """Yield `values` for the filter or method called `name`, as long as there is time."""
        for position, value in enumerate(values):
            if position == MAX_ITEMS:
                raise TemplateError(f"'{name}' is for at most {MAX_ITEMS:,} values")
            self.spend()
            yield value

    def say(self, value: Any) -> str:
        """Return `value` as text."""
        text = _as_text(value)
        self.spend(len(text))
        return text


def _as_text(value: Any) -> str:
    """`value` as text, unless that is too long: a short list may have a long text many times."""
    if isinstance(value, (list, tuple, dict)):
        _check_parts(value)
    elif isinstance(value, _VIEWS):
        _check_number(value)
        _check_parts([*value])
    return str(checked(str(value)))


def _check_parts(value: Any) -> None:
    """Check the number of the values in `value`, and the length of its texts."""
    todo, parts, size = [value], 0, 0
    while todo:
        found = todo.pop()
        parts += 1
        if isinstance(found, (dict, list, tuple)):
            _check_number(found)
        if isinstance(found, dict):
            size += sum(len(key) for key in found if isinstance(key, str))
            todo += found.values()
        elif isinstance(found, (list, tuple)):
            todo += found
        elif isinstance(found, str):
            size += len(found)
        if size > MAX_TEXT:
            raise _too_long()
        if parts + len(todo) > MAX_PARTS:
            raise _too_many_parts()


def _check_number(values: Collection[Any]) -> None:
    """Check the number of `values` before they are looked at."""
    if len(values) > MAX_PARTS:
        raise _too_many_parts()


def _too_many_parts() -> TemplateError:
    return TemplateError(f"a value that is printed or compared has more than {MAX_PARTS:,} parts")


def compared(value: Any) -> Any:
    """`value`, unless it takes long to compare it, or to hash it: 40 tuples of which each has the
    one before it twice are 2⁴⁰ values."""
    if isinstance(value, (list, tuple, dict)):
        _check_parts(value)
    return value


def encodable(text: str) -> str:
    """`text`, unless it cannot be sent."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        reason = f"the text has half a character (\\u{ord(text[exc.start]):04x})"
        raise TemplateError(reason) from exc
    return text


def checked(value: Any) -> Any:
    """`value`, unless it is too long."""
    if isinstance(value, (str, list, tuple)) and len(value) > MAX_TEXT:
        raise _too_long()
    return value


def _too_long() -> TemplateError:
    return TemplateError(f"a value has more than {MAX_TEXT:,} characters")


def spread(values: Any) -> Any:
    """`values`, unless they are too many arguments of a call."""
    if isinstance(values, (str, list, tuple, dict)) and len(values) > MAX_ITEMS:
        raise TemplateError(f"a call has more than {MAX_ITEMS:,} arguments")
    return values


def join_texts(*values: Any) -> str:
    """Join values as texts.

    Raises:
        TemplateError: the text would be too long.
    """
    texts = list(map(_as_text, values))
    _check_sum(texts)
    return "".join(texts)


def _check_sum(texts: Iterable[str], between: int = 0) -> None:
    """Check the length of `texts` joined by `between` characters each."""
    if sum(len(text) + between for text in texts) > MAX_TEXT:
        raise TemplateError(f"a text of more than {MAX_TEXT:,} characters is joined")


def bounded_range(*bounds: int) -> range:
    """Return the range with these bounds.

    Raises:
        TemplateError: it has too many values.
    """
    values = range(*bounds)
    if len(values) > MAX_RANGE:
        raise TemplateError(f"a range has more than {MAX_RANGE:,} values")
    return values


def _check_product(left: Any, right: Any, budget: Budget) -> None:
    for value, times in ((left, right), (right, left)):
        is_repeated = isinstance(value, (str, list, tuple)) and isinstance(times, int)
        if is_repeated and len(value) * times > MAX_TEXT:
            raise TemplateError(f"a product has more than {MAX_TEXT:,} values")
    _check_digits(left, right)


def _check_digits(*numbers: Any) -> None:
    for number in numbers:
        if isinstance(number, int) and number.bit_length() > MAX_WIDTH:
            raise TemplateError("a number has too many digits")


def _check_power(left: Any, right: Any, budget: Budget) -> None:
    _check_digits(left, right)
    are_whole = isinstance(left, int) and isinstance(right, int)
    if are_whole and left.bit_length() * abs(right) > MAX_WIDTH:
        raise TemplateError("a power has too many digits")


def _check_total(left: Any, right: Any, budget: Budget) -> None:
    """Check the length of a sum."""
    kinds = (str, list, tuple)
    if isinstance(left, kinds) and isinstance(right, kinds) and len(left) + len(right) > MAX_TEXT:
        raise _too_long()


def _check_format(left: Any, right: Any, budget: Budget) -> None:
    if not isinstance(left, str):
        return
    if len(left) > MAX_SPLIT:
        raise TemplateError(f"a format has more than {MAX_SPLIT:,} characters")
    if _WIDTH.search(left):
        raise TemplateError(f"a format is wider than {MAX_WIDTH:,} characters")
    values = [*right.values()] if isinstance(right, dict) else right
    longest = whole = 0
    for value in values if isinstance(values, (list, tuple)) else [values]:
        budget.spend()
        size = len(_as_text(value))
        longest = max(longest, size)
        whole += size + len("'', ")
    if isinstance(right, list):  # it is one value
        longest = whole
    if left.count("%") * longest + sum(map(int, _NUMBER.findall(left))) > MAX_TEXT:
        raise TemplateError(f"a format makes more than {MAX_TEXT:,} characters")


OPERATORS: Mapping[str, Callable[[Any, Any, Budget], None]] = {
    "+": _check_total,
    "*": _check_product,
    "**": _check_power,
    "%": _check_format,
}
"""Checks the operands of an operator before it is applied."""


def check_call(receiver: Any, name: str, arguments: tuple[Any, ...]) -> None:
    """Check a call of the method `name` of a value."""
    if isinstance(receiver, str):
        _check_method(receiver, name, arguments)
    elif isinstance(receiver, int) and name == "to_bytes":
        raise TemplateError(f"'{name}' is not available in templates")
    elif receiver is not None:  # a method: the arguments of macros are not looked at
        compared(list(arguments))
        if name in ("count", "index"):
            compared(receiver)


def _check_method(receiver: str, name: str, arguments: tuple[Any, ...]) -> None:
    """Check a call of a method of a text."""
    if name in _REFUSED:
        raise TemplateError(f"'{name}' is not available in templates; write the ~ operator")
    most = _most_characters(receiver, name)
    if most is not None and len(receiver) > most:
        raise TemplateError(f"'{name}' is for at most {most:,} characters")
    if name in _PADDING and isinstance(arguments[0], int) and arguments[0] > MAX_WIDTH:
        raise TemplateError(f"'{name}' is wider than {MAX_WIDTH:,} characters")
    if name == "replace":
        _check_replace(receiver, *arguments[:2])
    if name == "join" and arguments:
        _check_sum(map(_as_text, arguments[0]), len(receiver))


def _most_characters(text: str, name: str) -> int | None:
    """Return how many characters the method `name` of a text looks at; None for any number."""
    if name in _SPLITTING:
        return MAX_SPLIT
    if name in _CASED or (name in _CASED_UNLESS_ASCII and not text.isascii()):
        return MAX_CASED
    if name in _CASED_UNLESS_ASCII or name in _ASKING or name in _STRIPPING:
        return MAX_TEXT
    return MAX_SEARCHED if name in _SEARCHING else None


def _check_replace(text: str, old: str, new: str) -> None:
    if (
        len(text) > MAX_TEXT
        or len(text) + (text.count(old) if old else len(text) + 1) * len(new) > MAX_TEXT
    ):
        raise TemplateError(f"a replacement makes more than {MAX_TEXT:,} characters")


# --- filters -------------------------------------------------------------------------------------

_OF_ANY_SIZE = frozenset({"count", "d", "default", "first", "last", "length"})
"""Filters that do not look at the whole value."""
_SORTING = frozenset({"groupby", "max", "min", "sort", "unique"})
"""Filters that compare the values with each other."""
_OF_EACH = _SORTING | {
    *("join", "list", "map", "reject", "rejectattr", "select", "selectattr", "sum"),
}
"""Filters that look at each character of a text."""
_OF_TEXT = frozenset(
    {
        *("capitalize", "e", "escape", "lower", "replace", "safe", "string", "title", "tojson"),
        *("trim", "upper", "urlencode", "wordcount"),
    }
)
"""Filters that turn the whole value into text."""
_AS_LONG = _OF_TEXT - {"replace", "trim", "wordcount"}
"""Those of them whose text is as long as the value, or longer."""
_NUMBERS = frozenset({"float", "int"})
_SLOW = frozenset({"capitalize", "e", "escape", "title", "truncate", "urlencode", "wordcount"})


def to_json(value: Any) -> str:
    """The filter ``tojson``. That of Jinja2 escapes what is markup in HTML."""
    return jsontext.dumps(value).decode()


def comparing(name: str, test: Any) -> Any:
    """The test called `name`, which refuses values whose comparison takes long."""

    @wraps(test)
    def compare(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            compared(value)
            if name in ("lower", "upper"):
                checked(value)
        return test(*args, **kwargs)

    return compare


def bounded_filter(name: str, function: Any) -> Any:
    """A filter that refuses a value of too many items, and a result that is too long. Its context
    has the budget under the name `BUDGET`."""
    from jinja2 import pass_context

    passed = getattr(function, "jinja_pass_arg", None)

    @wraps(function)
    def bounded(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        leading = {"context": context, "eval_context": context.eval_ctx}
        leading["environment"] = context.environment
        first = [leading[passed.name]] if passed is not None else []
        value = _check_values(name, value, context[BUDGET])
        _check_arguments(name, value, args, kwargs)
        result = checked(function(*first, value, *args, **kwargs))
        context[BUDGET].spend_on(value)
        return result

    return pass_context(bounded)


def _check_values(name: str, value: Any, budget: Budget) -> Any:
    """Return the value of a filter; one that looks at each of its values has as long as there is
    time."""
    if name in _OF_ANY_SIZE:
        return value
    kinds = (list, tuple, dict, str) if name in _OF_EACH else (list, tuple, dict)
    if isinstance(value, kinds) and len(value) > MAX_ITEMS:
        raise TemplateError(f"'{name}' is for at most {MAX_ITEMS:,} values")
    if isinstance(value, str):
        _check_length(name, value)
    if name in _SORTING:
        return compared([*budget.each(value, name)])
    if name == "join":
        return [*budget.each(value, name)]
    return budget.each(value, name) if name in _OF_EACH else value


def _check_length(name: str, text: str) -> None:
    """Check the length of the text of a filter."""
    if name in _SLOW and len(text) > MAX_SLOW_TEXT:
        raise TemplateError(f"'{name}' is for at most {MAX_SLOW_TEXT:,} characters")
    if name in _NUMBERS and len(text) > MAX_SPLIT:
        raise TemplateError(f"'{name}' is for at most {MAX_SPLIT:,} characters")
    if name in _AS_LONG:
        checked(text)
    if name == "trim" or name in _CASED_UNLESS_ASCII:
        most = MAX_TEXT if name == "trim" or text.isascii() else MAX_CASED
        if len(text) > most:
            raise TemplateError(f"'{name}' is for at most {most:,} characters")


def _check_arguments(name: str, value: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Check what a filter is called with, beside the number of values."""
    if name in _OF_TEXT:
        compared(value)
    if name not in _OF_ANY_SIZE:
        compared([*args, *kwargs.values()])
    match name:
        case "dictsort":
            compared(value)
        case "join":
            between = args[0] if args else kwargs.get("d", "")
            _check_sum(map(_as_text, value), len(str(between)))
        case "replace":
            _check_replace(str(value), *map(str, (*args, *kwargs.values())[:2]))
        case "round":
            precision = args[0] if args else kwargs.get("precision", 0)
            if isinstance(precision, int) and abs(precision) > MAX_DIGITS:
                raise TemplateError(f"'round' is for at most {MAX_DIGITS} digits")
        case "sum":
            start = args[1] if len(args) > 1 else kwargs.get("start", 0)
            if not isinstance(start, (int, float)):
                raise TemplateError("'sum' is for numbers")
