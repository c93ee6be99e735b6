"""The endpoints beside the mocks: what official clients, agents and browsers call unasked.

None of them needs a mock of its own. They are one table of routes (`routes`); each module here
holds the answers to a few of them, as functions of the house and the request.
"""

from __future__ import annotations

from mockllm.neighbours.house import RESPONSES, House
from mockllm.neighbours.kept import Kept
from mockllm.neighbours.routes import Neighbours

__all__ = ["RESPONSES", "House", "Kept", "Neighbours"]
