"""Scripts for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from mockllm.state.choosing import AtEnd, Script, ScriptEntry


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Short scripts of every kind."""
    advances = st.sampled_from([False, False, True])
    entries = draw(
        st.lists(st.builds(ScriptEntry, st.integers(1, 4), advances), min_size=1, max_size=4)
    )
    if draw(st.booleans()):
        entries.append(ScriptEntry(None, draw(advances)))
    restart_at = draw(st.integers(0, len(entries) - 1))
    return Script(tuple(entries), draw(st.sampled_from(AtEnd)), restart_at)
