"""The options by which a run of pytest has the plugin of mockllm, installed or not."""

from __future__ import annotations

from importlib.metadata import entry_points

_IS_INSTALLED = bool(entry_points(group="pytest11", name="mockllm_server"))
PLUGIN_OPTIONS = () if _IS_INSTALLED else ("-p", "mockllm.pytest_plugin")
