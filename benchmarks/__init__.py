"""What a request costs: this server beside a server that parses nothing and beside its peers.

Usage: python -m benchmarks --help

Each server runs alone on one core and `wrk` loads it from another; the kernel's accounting tells
the CPU time of a request. Nothing here knows how the server under test works inside: it is started
by its command and asked over a socket, like the others.
"""
