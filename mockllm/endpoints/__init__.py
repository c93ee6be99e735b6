"""Routes each request: to the engine, or if it needs no mock, such as those for health, models and
stored responses, to a function of a context, a request and the values in its path (a metrics page
goes here). It does not know how a request arrived or how its reply is sent.
"""
