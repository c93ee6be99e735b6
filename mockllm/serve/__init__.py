"""Acts: the only folder with a loop, sockets, processes, signals and a clock. It carries out what
was decided, and decides nothing about a request itself.
"""
