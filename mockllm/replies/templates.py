"""Templates: texts of a reply that are made for each request, by Jinja2.

    >>> template = compile_template("It is sunny in {{ user }}.", names=("user",))
    >>> finish(template.make({"user": "Paris"}, Budget(time.thread_time)))
    'It is sunny in Paris.'

A template is run in Jinja2's sandbox, without what could take long or much memory
(`template_bounds`): its values come from clients.

It pauses after `MAX_UNDIVIDED`, so that other requests are answered meanwhile: wherever it prints
or begins a round of a loop, but not inside a macro or a captured block (``set``, ``filter``,
``call``), which may take `MAX_STRETCH` without a pause.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from mockllm.errors import MissingExtraError, closest, did_you_mean
from mockllm.replies.template_bounds import (
    BUDGET,
    FILTERS,
    MAX_REASON,
    OPERATORS,
    Budget,
    TemplateError,
    bounded_filter,
    bounded_range,
    check_call,
    checked,
    compared,
    comparing,
    encodable,
    join_texts,
    to_json,
)

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes

# Names that no template can write, since one that begins with an underscore is refused.
_SPEND = "_spend"
"""The function that is called before the plain text of a template and in each loop and macro."""
_SAY = "_say"
"""The function that turns each value that a template prints into text."""
_JOIN = "_join"
"""The operator ``~``."""
_COMPARED = "_compared"
"""The function that each operand of a comparison passes."""


class Template:
    """A compiled template. `names` are the values that it uses."""

    def __init__(self, source: str, compiled: jinja2.Template, names: frozenset[str]) -> None:
        self.source = source
        self.names = names
        self._compiled = compiled

    def make(self, values: Mapping[str, Any], budget: Budget) -> Generator[bool, None, str]:
        """Return the text, made in pieces: it yields False at each pause. `values` has those that
        `names` lists.

        Raises:
            TemplateError: a value is missing, an operation fails or a bound is passed.
        """
        pieces = []
        budget.go_on()
        try:
            own = {_SPEND: budget.spend, _SAY: budget.say, BUDGET: budget}
            for piece in self._compiled.generate({**values, **own}):
                pieces.append(piece)
                if budget.needs_pause:
                    budget.pause()
                    yield False
                    budget.go_on()
        except TemplateError:
            raise
        except RecursionError as exc:
            raise TemplateError("the template is nested too deeply") from exc
        except Exception as exc:  # whatever an expression of the author does
            raise TemplateError(f"the template failed: {exc}"[:MAX_REASON]) from exc
        budget.pause()
        return encodable("".join(pieces))


def compile_template(source: str, names: Collection[str]) -> Template:
    """Compile a template that may use the values called `names`.

    Raises:
        ValueError: it is no template of Jinja2, or uses another name; the reason has the line.
        MissingExtraError: Jinja2 is not installed.
    """
    environment = _environment()
    from jinja2 import TemplateSyntaxError, meta

    try:
        tree = environment.parse(source)
        used = meta.find_undeclared_variables(tree) - {_SPEND, _SAY, *environment.globals}
        _check_names(used, names)
        compiled = environment.from_string(source)
    except TemplateSyntaxError as exc:
        raise ValueError(f"not a template of Jinja2: {exc.message} (line {exc.lineno})") from exc
    except RecursionError as exc:
        raise ValueError("not a template of Jinja2: nested too deeply") from exc
    return Template(source, compiled, frozenset(used))


def _check_names(used: Iterable[str], names: Collection[str]) -> None:
    for name in sorted(used):
        if name not in names:
            hint = did_you_mean(closest(name, names))
            known = ", ".join(sorted(names))
            raise ValueError(f"{name!r} is not known to templates, expected one of {known}{hint}")


# --- the sandbox ----------------------------------------------------------------------------------


@cache
def _environment() -> jinja2.Environment:
    """The sandbox of all templates.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        from jinja2 import StrictUndefined, UndefinedError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from jinja2.utils import missing
    except ImportError as exc:
        raise MissingExtraError("templates", "templates") from exc

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            _bound(tree)
            return tree

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            check = OPERATORS.get(operator)
            if check is not None:
                check(left, right)
            return checked(super().call_binop(context, operator, left, right))

        def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            receiver = getattr(function, "__self__", None)
            name = getattr(function, "__name__", "")
            if isinstance(receiver, str) and name == "join" and args:
                args = ([*context[BUDGET].each(args[0], name)],)
            check_call(receiver, name, args)
            return checked(super().call(context, function, *args, **kwargs))

        def wrap_str_format(self, value: Any) -> Any:
            receiver = getattr(value, "__self__", None)
            if isinstance(receiver, str) and value.__name__ in ("format", "format_map"):
                check_call(receiver, value.__name__, ())
            return None

        def handle_exception(self, source: str | None = None) -> NoReturn:
            raise  # rewriting the traceback of a deep recursion takes 0.2 s

    class Missing(StrictUndefined):
        def __init__(
            self,
            hint: str | None = None,
            obj: Any = missing,
            name: str | None = None,
            exc: type[jinja2.TemplateRuntimeError] = UndefinedError,
        ) -> None:
            if hint is None and obj is not missing:
                hint = f"there is no {name!r}; what may be missing needs a default: | default('')"
            super().__init__(hint, obj, name, exc)

    environment = Sandbox(undefined=Missing, keep_trailing_newline=True)
    environment.globals = {"range": bounded_range, _JOIN: join_texts, _COMPARED: compared}
    environment.tests = {name: comparing(test) for name, test in environment.tests.items()}
    filters = environment.filters | {"tojson": to_json}
    environment.filters = {name: bounded_filter(name, filters[name]) for name in FILTERS}
    return environment


def _bound(tree: nodes.Template) -> None:
    """Let a template spend what it prints and the time of each loop and macro.

    Raises:
        TemplateSyntaxError: it uses what is not available.
    """
    from jinja2 import TemplateSyntaxError, nodes

    environment = tree.environment
    assert environment is not None
    refused = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

    def call(name: str, *args: nodes.Expr) -> nodes.Call:
        return nodes.Call(nodes.Name(name, "load"), list(args), [], None, None)

    def visit(node: nodes.Node) -> nodes.Node:
        if isinstance(node, refused):
            word = type(node).__name__.lower()
            raise TemplateSyntaxError(f"'{word}' is not available", node.lineno)
        if isinstance(node, (nodes.Filter, nodes.Test)):
            known = environment.filters if isinstance(node, nodes.Filter) else environment.tests
            if node.name not in known:  # Jinja2 itself looks in a branch only when it is taken
                what = f"the {type(node).__name__.lower()} {node.name!r}"
                hint = did_you_mean(closest(node.name, known))
                raise TemplateSyntaxError(f"{what} is not available{hint}", node.lineno)
        if isinstance(node, nodes.Name) and node.name.startswith("_"):
            raise TemplateSyntaxError("a name does not begin with '_'", node.lineno)
        for field, value in list(node.iter_fields()):
            if isinstance(value, list):
                each = [visit(item) if isinstance(item, nodes.Node) else item for item in value]
                setattr(node, field, each)
            elif isinstance(value, nodes.Node):
                setattr(node, field, visit(value))
        match node:
            case nodes.Output():
                plain = [each for each in node.nodes if isinstance(each, nodes.TemplateData)]
                size = nodes.Const(sum(len(each.data) for each in plain))
                said = [each if each in plain else call(_SAY, each) for each in node.nodes]
                node.nodes = [call(_SPEND, size), *said]
            case nodes.For() | nodes.Macro() | nodes.CallBlock():
                node.body = [nodes.Output([call(_SPEND)]), *node.body]
            case nodes.Concat():
                return call(_JOIN, *node.nodes)
            case nodes.Compare() | nodes.Operand():
                node.expr = call(_COMPARED, node.expr)
        return node

    visit(tree).set_environment(environment)
