"""The state, the changes, the calls and the stored responses that several servers share, in one
Redis. It does not know how a request is decided, nor the workers of one server among themselves.
"""
