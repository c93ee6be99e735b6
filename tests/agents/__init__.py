"""Agents of other frameworks, with their own clients, in the loop that docs/agents.md describes.

They need the extra ``agents``. Without it, each module is skipped."""
