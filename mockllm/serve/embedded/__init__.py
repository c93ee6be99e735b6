"""Servers that a program starts, with their sessions, and the words in which its tests ask what
they had. It does not know how a request is answered, nor the command.
"""
