"""Decides one request of a mocked API by one configuration: which mock answers, with what reply.
It does not know sockets, clocks or loops, nor what is answered without a mock.
"""
