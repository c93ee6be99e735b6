"""The configuration format: its types, its files, and the messages about mistakes in them. It knows
neither the rendering of responses nor any SDK.
"""
