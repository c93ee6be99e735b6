"""From reply to reply: how one is made ready for many requests. It does not know why a reply was
chosen, nor any vendor's format, and it keeps no clock.
"""
