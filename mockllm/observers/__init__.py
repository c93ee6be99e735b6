"""What is made of exchanges that are over: log lines, and whatever else is counted or kept of
them. They change nothing about an exchange, and what they do wrong is no matter of the client's.
"""
