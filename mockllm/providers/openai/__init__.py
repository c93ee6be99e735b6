"""OpenAI's APIs, one folder each, what they share as a vendor, and Azure's routes to them. It
knows no other vendor, no socket and no table of mocks.
"""
