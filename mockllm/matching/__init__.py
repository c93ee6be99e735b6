"""Finds the rule that answers a request, or explains why none does. It sees a request as a prompt
and headers, and knows neither the format of any vendor nor the answer of the rule's mock.
"""
