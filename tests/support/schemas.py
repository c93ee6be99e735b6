"""Validators by JSON Schemas, each made once: to check such a schema takes up to four seconds."""

from __future__ import annotations

import contextlib
import io
import json
from functools import cache
from typing import Any

import jsonschema

from mockllm import Config
from mockllm.cli.main import main


@cache
def config_validator() -> jsonschema.Draft202012Validator:
    """A validator by the types of `Config`, which does not know those of the SDKs."""
    schema = Config.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@cache
def printed_schema() -> dict[str, Any]:
    """What `mockllm schema` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["schema"]) == 0
    schema: dict[str, Any] = json.loads(printed.getvalue())
    return schema


@cache
def printed_validator() -> jsonschema.Draft202012Validator:
    """A validator by what `mockllm schema` prints."""
    return jsonschema.Draft202012Validator(printed_schema())
