"""Compiles one configuration and decides each request of a mocked API: which mock answers, and with
which reply (a new source of replies, such as a sequence, goes here). It knows no sockets, clocks or
loops, and no endpoints that need no mock.
"""
