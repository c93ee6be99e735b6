"""The control API at ``/__mockllm/``: what a server has had, and changes while it runs. It does not
know how a request arrived, nor how its peer was found out.
"""
