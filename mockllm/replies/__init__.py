"""Functions from reply to reply: preparation for many requests, CORS headers and, in the future,
pacing and faults. It does not know why a reply was chosen, nor any vendor's format, and has no
clock.
"""
