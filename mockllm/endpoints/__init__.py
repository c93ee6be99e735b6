"""What is answered without a mock: what official clients, agents and browsers call unasked. Each
answer is a function of a context, a request and the values in its path; none knows how a request
came or what becomes of the reply.
"""
