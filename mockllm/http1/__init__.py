"""HTTP/1.1 without I/O: bytes become requests, replies become bytes, and h11 is the authority on
the grammar. It does not know what a request asks for, who answers it, or where the bytes come
from.
"""
