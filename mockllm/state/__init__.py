"""State that outlives a request, as plain values: stored responses, sequences, sessions and rate
limits. It has no clock, and does not know how other processes reach it.
"""
