"""Functions from reply to reply: preparation for many requests, CORS headers, headers of limits,
templates and faults. It does not know why a reply was chosen, nor any vendor's format, and has no
clock.
"""
