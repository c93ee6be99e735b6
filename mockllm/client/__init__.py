"""Drives a server that runs in another process over its control API, in the words of a server of
this process. It does not know how the server decides anything: it only asks.
"""
