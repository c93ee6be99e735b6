"""The codecs of the supported APIs: one folder per vendor, and in it one folder per API. It knows
wire formats, but neither mocks, the search for a match, sockets nor clocks.

A new API is a folder and a line in `registry`. Outside of this folder, vendors are named only
- in `config`, whose lists of mocks and demo are named after APIs;
- in `endpoints`, by the modules that belong to one vendor's API, by their table, and by `models`,
  which serves two vendors with one object;
- in `serve.embedded`, `cli.serving` and `conformance`, which know the settings of the official
  clients.
"""

from mockllm.providers.registry import APIS, VENDORS, find_vendor

__all__ = ["APIS", "VENDORS", "find_vendor"]
