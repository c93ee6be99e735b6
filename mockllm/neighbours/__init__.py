"""The endpoints beside the mocks: what official clients, agents and browsers call unasked.

None of them needs a mock of its own. They are one table of routes (`routes`); each module here
holds the answers to a few of them, as functions of the context and the request.
"""
