"""Reviews a configuration: mistakes that prevent serving it, what its author surely meant
otherwise, and notes. It does not know how requests are answered.
"""
