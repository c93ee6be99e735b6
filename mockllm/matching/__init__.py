"""Finds the rule that answers a request, or explains why none does (a new condition of a mock's
match is a predicate here). It sees a request as a prompt and headers, and knows neither the format
of any vendor nor the answer of the rule's mock.
"""
