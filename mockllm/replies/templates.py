"""Templates: texts of a reply that are made for each request, by Jinja2.

    >>> template = compile_template("It is sunny in {{ user }}.", names=("user",))
    >>> finish(template.make({"user": "Paris"}, Budget(time.thread_time)))
    'It is sunny in Paris.'

A template is run in Jinja2's sandbox (`template_sandbox`), without what could take long or much
memory (`template_bounds`): its values come from clients.

It pauses after `MAX_UNDIVIDED`, so that other requests are answered meanwhile: wherever it prints
or begins a round of a loop, but not inside a macro or a captured block (``set``, ``filter``,
``call``), which may take `MAX_STRETCH` without a pause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mockllm.errors import MissingExtraError, closest, did_you_mean
from mockllm.pieces import Pieces
from mockllm.replies.template_bounds import (
    BUDGET,
    MAX_REASON,
    SAY,
    SPEND,
    Budget,
    TemplateError,
    encodable,
)

if TYPE_CHECKING:
    import jinja2


class Template:
    """A compiled template. `names` are the values that it uses."""

    def __init__(self, source: str, compiled: jinja2.Template, names: frozenset[str]) -> None:
        self.source = source
        self.names = names
        self._compiled = compiled

    def make(self, values: Mapping[str, Any], budget: Budget) -> Pieces[str]:
        """Return the text, made in pieces: it yields False at each pause. `values` has those that
        `names` lists.

        Raises:
            TemplateError: a value is missing, an operation fails or a bound is passed.
        """
        pieces = []
        budget.go_on()
        try:
            own = {SPEND: budget.spend, SAY: budget.say, BUDGET: budget}
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
        found = meta.TrackingCodeGenerator(environment)  # as `find_undeclared_variables` does
        found.optimizer = None  # as in the sandbox
        found.visit(tree)
        used = found.undeclared_identifiers - {SPEND, SAY, *environment.globals}
        _check_names(used, names)
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as exc:
        raise ValueError(f"not a template of Jinja2: {exc.message} (line {exc.lineno})") from exc
    except SyntaxError as exc:  # of the Python that Jinja2 makes of it
        raise ValueError(f"not a template of Jinja2: {exc.msg}") from exc
    except RecursionError as exc:
        raise ValueError("not a template of Jinja2: nested too deeply") from exc
    return Template(source, compiled, frozenset(used))


def _check_names(used: Iterable[str], names: Collection[str]) -> None:
    for name in sorted(used):
        if name not in names:
            hint = did_you_mean(closest(name, names))
            known = ", ".join(sorted(names))
            raise ValueError(f"{name!r} is not known to templates, expected one of {known}{hint}")


@cache
def _environment() -> jinja2.Environment:
    """Return the sandbox of all templates.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        from mockllm.replies.template_sandbox import make_environment
    except ImportError as exc:
        raise MissingExtraError("templates", "templates") from exc
    return make_environment()
