"""The sandbox of all templates: Jinja2's, without what could take long or much memory.

It is imported only where there is a template, because it needs Jinja2.
"""

from __future__ import annotations

from itertools import count
from typing import Any, NoReturn

from jinja2 import (
    Environment,
    StrictUndefined,
    TemplateRuntimeError,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from mockllm.errors import closest, did_you_mean
from mockllm.replies.template_bounds import (
    BUDGET,
    FILTERS,
    OPERATORS,
    SAY,
    SPEND,
    bounded_filter,
    bounded_range,
    check_call,
    checked,
    compared,
    comparing,
    join_texts,
    spread,
    to_json,
)

MAX_NODES = 5_000
"""Parts of a template. Python compiles it at once, 30 µs for each, in which nothing else runs."""

# Names that no template can write, like those of `template_bounds`.
_JOIN = "_join"
"""The operator ``~``."""
_COMPARED = "_compared"
"""The function that each operand of a comparison and each key of an object passes."""
_CHECKED = "_checked"
"""The function that each slice passes."""
_SPREAD = "_spread"
"""The function that the arguments of a call pass which are in one value (``*values``)."""


def make_environment() -> Environment:
    """Return the environment that compiles templates."""
    # to find out at once what does not depend on values takes time cubic in the depth of a template
    environment = _Sandbox(undefined=_Missing, keep_trailing_newline=True, optimized=False)
    environment.globals = {
        "range": bounded_range,
        _JOIN: join_texts,
        _COMPARED: compared,
        _CHECKED: checked,
        _SPREAD: spread,
    }
    environment.tests = {name: comparing(name, test) for name, test in environment.tests.items()}
    filters = environment.filters | {"tojson": to_json}
    environment.filters = {name: bounded_filter(name, filters[name]) for name in FILTERS}
    return environment


class _Sandbox(ImmutableSandboxedEnvironment):
    """Bounds what a template does: each operation and each call."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _bound(tree)
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        check = OPERATORS.get(operator)
        if check is not None:
            check(left, right, context[BUDGET])
        return checked(super().call_binop(context, operator, left, right))

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        receiver = getattr(function, "__self__", None)
        name = getattr(function, "__name__", "")
        if isinstance(receiver, str) and name == "join" and args:
            args = ([*context[BUDGET].each(args[0], name)],)
        check_call(receiver, name, args)
        result = checked(super().call(context, function, *args, **kwargs))
        context[BUDGET].spend_on(receiver)
        return result

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(obj, compared(argument))

    def wrap_str_format(self, value: Any) -> Any:
        receiver = getattr(value, "__self__", None)
        if isinstance(receiver, str) and value.__name__ in ("format", "format_map"):
            check_call(receiver, value.__name__, ())
        return None

    def handle_exception(self, source: str | None = None) -> NoReturn:
        raise  # rewriting the traceback of a deep recursion takes 0.2 s


class _Missing(StrictUndefined):
    """A value that is missing, whose error says how to do without it."""

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        if hint is None and obj is not missing:
            hint = f"there is no {name!r}; what may be missing needs a default: | default('')"
        super().__init__(hint, obj, name, exc)


_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
"""Statements that would read files."""


def _bound(tree: nodes.Template) -> None:
    """Let a template spend what it prints and the time of each loop and macro.

    Raises:
        TemplateSyntaxError: it uses what is not available.
    """
    environment = tree.environment
    assert environment is not None
    visited = count(1)

    def visit(node: nodes.Node) -> nodes.Node:
        if next(visited) > MAX_NODES:
            raise TemplateSyntaxError(f"it has more than {MAX_NODES:,} parts", node.lineno)
        _refuse(node, environment)
        for field, value in list(node.iter_fields()):
            if isinstance(value, list):
                each = [visit(item) if isinstance(item, nodes.Node) else item for item in value]
                setattr(node, field, each)
            elif isinstance(value, nodes.Node):
                setattr(node, field, visit(value))
        return _with_bounds(node)

    visit(tree).set_environment(environment)


def _refuse(node: nodes.Node, environment: Environment) -> None:
    """Raise the error of `_bound` about this part of a template, if it is not available."""
    if isinstance(node, _REFUSED):
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


def _with_bounds(node: nodes.Node) -> nodes.Node:
    """Return a part of a template with its bounds; the parts of it have theirs."""
    match node:
        case nodes.Output():
            data = nodes.TemplateData
            size = sum(len(each.data) for each in node.nodes if isinstance(each, data))
            said = [each if isinstance(each, data) else _call(SAY, each) for each in node.nodes]
            node.nodes = [_call(SPEND, nodes.Const(size)), *said]
        case nodes.For() if node.test is not None and not _is_plain(node):
            node.test = nodes.And(nodes.Not(_call(SPEND)), node.test)
            node.body = [nodes.Output([_call(SPEND)]), *node.body]
        case nodes.For() if node.test is not None:
            node.body = [
                nodes.Output([_call(SPEND)]),
                nodes.If(node.test, node.body, [], [], lineno=node.lineno),
            ]
            node.test = None
        case nodes.For() | nodes.Macro() | nodes.CallBlock():
            node.body = [nodes.Output([_call(SPEND)]), *node.body]
        case nodes.Getitem(arg=nodes.Slice()):
            return _call(_CHECKED, node)
        case nodes.Concat():
            return _call(_JOIN, *node.nodes)
        case nodes.Compare() | nodes.Operand():
            node.expr = _call(_COMPARED, node.expr)
        case nodes.Pair() if not isinstance(node.key, nodes.Const):
            node.key = _call(_COMPARED, node.key)
    if isinstance(node, (nodes.Call, nodes.Filter, nodes.Test)):
        if node.dyn_args is not None:
            node.dyn_args = _call(_SPREAD, node.dyn_args)
        if node.dyn_kwargs is not None:
            node.dyn_kwargs = _call(_SPREAD, node.dyn_kwargs)
    return node


def _call(name: str, *args: nodes.Expr) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load"), list(args), [], None, None)


def _is_plain(loop: nodes.For) -> bool:
    """True if ``if`` of a loop may as well stand around its body, where the loop pauses at each
    value: what it counts, and what is done without any value, goes by those that remain."""
    assert loop.test is not None
    asked = {name.name for name in loop.test.find_all(nodes.Name)}
    names = [name for each in loop.body for name in each.find_all(nodes.Name)]
    set_names = {name.name for name in names if name.ctx != "load"}
    uses_loop = "loop" in asked or any(name.name == "loop" for name in names)
    return not (loop.else_ or loop.recursive or uses_loop or asked & set_names)
