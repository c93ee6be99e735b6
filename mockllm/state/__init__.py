"""State that outlives a request, as plain values: stored responses and, in the future, sequences
and rate limits. It has no clock, and does not know how other processes reach it.
"""
