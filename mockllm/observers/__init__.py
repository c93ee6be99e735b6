"""Records completed exchanges: the access log, the journal and the metrics. It cannot influence an
exchange, and knows neither sockets nor how a mock was found.
"""
