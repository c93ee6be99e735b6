"""What bodies are made of, whichever API they belong to: JSON texts, event streams, the cuts of a
text, counted tokens, placeholders. It does not know what any of them means to a vendor, nor HTTP.
"""
