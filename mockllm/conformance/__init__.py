"""Sends the response of every mock to the official clients (``mockllm check --wire``), and reports
what they reject. It knows no wire format itself, and only the command imports it.
"""

from mockllm.conformance.check import check_wire, count_unchecked

__all__ = ["check_wire", "count_unchecked"]
