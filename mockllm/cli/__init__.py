"""The command line: its words, what it prints, and what it starts. It knows everything below and
is known by nobody.
"""
