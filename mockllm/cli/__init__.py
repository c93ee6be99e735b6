"""The command line: its options, its output, and the server it starts. It may import everything
below it; nothing imports it.
"""
