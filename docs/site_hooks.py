"""Hooks of mkdocs: what the site has beside the pages in this folder.

The README is its first page and the changelog its last. The options and the file format are written
from the code. Links that lead out of this folder in a clone lead to copies in the site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mockllm.cli.limit_options import LIMIT_OPTIONS
from mockllm.cli.option_tables import CHECK_OPTIONS, SERVE_OPTIONS, Flag, Option
from mockllm.config.models import Config
from mockllm.limits import Limits

ROOT = Path(__file__).parent.parent
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md"}
COPIES = (
    "benchmarks/results/full.svg",
    "benchmarks/results/paced.svg",
    *(f"deploy/{path.name}" for path in sorted((ROOT / "deploy").iterdir())),
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]*)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages and the copies."""
    from mkdocs.structure.files import File

    made = {name: (ROOT / source).read_text() for name, source in PAGES.items()}
    made |= {"all-options.md": options_page(), "file-format.md": format_page()}
    made |= {name: (ROOT / name).read_text() for name in COPIES}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead links to their places in the site."""
    return lead_links(markdown, in_root=page.file.src_uri in PAGES)


def lead_links(markdown: str, *, in_root: bool) -> str:
    """Return a page whose links lead to files of the site. A page `in_root` is in the folder above
    in a clone."""

    def lead(link: re.Match[str]) -> str:
        path, anchor = link[1], link[2] or ""
        path = path.removeprefix("docs/") if in_root else path.removeprefix("../")
        names = {source: name for name, source in PAGES.items()}
        return f"]({names.get(path, path)}{anchor})"

    return _LINK.sub(lead, markdown)


# --- the options ----------------------------------------------------------------------------------


def options_page() -> str:
    """Return the page with all options of the command, as its tables have them."""
    lines = ["# All options", "", "Written from the code. [The command](options.md) says more.", ""]
    for title, options in SERVE_OPTIONS.items():
        lines += [f"## {title.capitalize()}", "", *_table(("option", "meaning"), _rows(options))]
    lines += ["## Limits", "", "Sizes accept units: 512KiB, 64M.", ""]
    limits = Limits()
    rows = [
        (f"`{limit.option} {limit.metavar}`", f"{limit.help}; default {getattr(limits, name):,}")
        for name, limit in LIMIT_OPTIONS.items()
    ]
    lines += _table(("option", "meaning"), rows)
    lines += ["## mockllm check", "", *_table(("option", "meaning"), _rows(CHECK_OPTIONS))]
    return "\n".join(lines)


def _rows(options: Sequence[Option | Flag]) -> Iterator[tuple[str, str]]:
    for option in options:
        if isinstance(option, Flag):
            names = [option.name] if option.short is None else [option.short, option.name]
            yield ", ".join(f"`{name}`" for name in names), option.help
        else:
            words = option.help.replace("%(default)s", str(option.default))
            choices = option.extra.get("choices")
            value = option.metavar or ("|".join(choices) if choices else "")
            spaced = "" if value.startswith("=") or not value else " "
            yield f"`{option.name}{spaced}{value}`", words.replace("%%", "%")


# --- the file format ------------------------------------------------------------------------------


def format_page() -> str:
    """Return the page with all objects of a configuration file and their keys."""
    schema = Config.model_json_schema()
    lines = [
        "# The file format",
        "",
        "Written from the code. `mockllm schema` prints it as JSON Schema, and",
        "[Configuration](configuration.md) explains it.",
        "",
        *_object("A file", schema),
    ]
    for name in sorted(_objects()):
        lines += _object(name, schema["$defs"][name])
    return "\n".join(lines)


def _object(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## {name}", "", _text(schema.get("description", "")), "")
    required = schema.get("required", ())
    rows = (
        (
            f"`{key}`",
            _type(member),
            "required" if key in required else _default(member),
            _text(member.get("description", "")),
        )
        for key, member in schema["properties"].items()
    )
    yield from _table(("key", "value", "default", "meaning"), rows)


def _type(member: Mapping[str, Any]) -> str:
    """Return a value's type in a few words."""
    if "$ref" in member:
        name = member["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in _objects() else name
    kinds = [each for key in ("anyOf", "oneOf", "allOf") for each in member.get(key, ())]
    if kinds:
        return " or ".join(dict.fromkeys(_type(each) for each in kinds if each != {"type": "null"}))
    if "enum" in member:
        return ", ".join(f"`{json.dumps(each)}`" for each in member["enum"])
    if "const" in member:
        return f"`{json.dumps(member['const'])}`"
    kind = member.get("type", "any")
    name = next(iter(each for each in kind if each != "null")) if isinstance(kind, list) else kind
    if name == "array" and "items" in member:
        return f"list of {_type(member['items'])}"
    return {"array": "list", "integer": "whole number"}.get(name, name)


@cache
def _objects() -> frozenset[str]:
    """Return the names of the objects, each of which has a heading."""
    definitions = Config.model_json_schema()["$defs"]
    return frozenset(name for name, each in definitions.items() if "properties" in each)


def _default(member: Mapping[str, Any]) -> str:
    default = member.get("default")
    simple = isinstance(default, str | int | float) and default != ""
    return f"`{json.dumps(default)}`" if simple else ""


def _text(description: str) -> str:
    """Return a docstring as a line of Markdown."""
    return " ".join(description.split()).replace("``", "`").replace("|", "\\|")


def _table(heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |"
    yield ""
