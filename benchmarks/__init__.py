"""Measures the cost of a request: this server, one that parses nothing, and comparable ones.

Usage: python -m benchmarks --help

Each server runs alone on one core while `wrk` sends requests from another. The CPU time comes from
the kernel's accounting. The server under test is a black box, like the others: it is started by its
command and reached over a socket.
"""
