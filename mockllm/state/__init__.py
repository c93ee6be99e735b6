"""State that outlives a request, as plain values: stored responses and, in the future, sequences
and rate limits. It has no clock, and does not know which process it is in or how it is reached.
"""
