"""Runs the server: the only folder with a loop, sockets, processes, signals and a clock. It
receives requests, carries out decisions and plays replies, but decides nothing about a request.
"""
