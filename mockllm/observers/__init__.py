"""Records completed exchanges: the access log and, in the future, a journal and metrics. Observers
cannot influence an exchange, and their errors never reach the client.
"""
