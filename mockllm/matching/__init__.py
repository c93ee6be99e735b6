"""Which rule answers a request, and why none does. It sees a request only as a prompt and as
headers, and does not know any vendor's format, nor what the rule's mock says.
"""
