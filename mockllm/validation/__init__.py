"""Holds JSON against the types of an official SDK, and says where it differs. It imports no SDK
and does not know which type belongs to which API.
"""
