"""What is remembered from one request to the next, as plain values. It keeps no clock, and does
not know who asks or which process it is in.
"""
