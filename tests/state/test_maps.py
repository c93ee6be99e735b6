"""The maps of one process, and what every map does: `MapsContract`."""

from __future__ import annotations

from mockllm.state.maps import LocalMaps
from tests.state.maps_contract import MapsContract


class TestLocalMaps(MapsContract):
    make_maps = staticmethod(LocalMaps)
