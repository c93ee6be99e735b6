"""Validates JSON against the types of an official SDK and reports the differences. It imports no
SDK and does not know the types of any API.
"""
