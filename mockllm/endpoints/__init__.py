"""Answers requests without a mock, such as official clients, agents and browsers send unasked, by
functions of a context, a request and the values in its path. It does not know how a request
arrived or how the reply is sent.
"""
