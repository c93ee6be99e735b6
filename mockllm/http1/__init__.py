"""HTTP/1.1 without I/O: bytes become requests, replies become bytes, and h11 is the authority on
the grammar. It knows neither sockets nor the meaning of a request.
"""
