"""Anthropic's APIs, one folder each, and what they share as a vendor. It knows no other vendor,
no socket and no table of mocks.
"""
