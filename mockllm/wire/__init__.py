"""The building blocks of bodies in all APIs: JSON texts, event streams, text deltas, token counts,
placeholders. It knows neither vendors nor HTTP.
"""
