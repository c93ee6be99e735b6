"""Records completed exchanges: the access log and, in the future, a journal and metrics. It cannot
influence an exchange, and knows neither sockets nor how a mock was found.
"""
