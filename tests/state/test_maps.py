"""The maps of one process: what all maps do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from mockllm.state.maps import LocalMaps, Maps
from tests.state.maps_contract import MapsContract


class TestLocalMaps(MapsContract):
    def open_maps(self, folder: Path) -> AbstractContextManager[Maps]:
        return nullcontext(LocalMaps())
