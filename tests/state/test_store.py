"""The store of one process: the contract of all stores, and its own bounds."""

from __future__ import annotations

from mockllm.state.store import LocalStore
from tests.state.contract import StoreContract
from tests.state.machine import make_store_machine


class TestLocalStore(StoreContract):
    make_store = staticmethod(LocalStore)


TestLocalStoreMachine = make_store_machine(LocalStore).TestCase
