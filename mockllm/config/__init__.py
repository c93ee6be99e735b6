"""The user's words: what a configuration may say, how its files are read, and how its mistakes
are reported. It does not know what a mock answers with, nor any SDK.
"""
