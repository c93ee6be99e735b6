"""Generated text: words that are counted exactly, the same for the same request.

>>> "".join(generate_words(b'{"model": "m", ...}', 5))
'can turn keep that night'
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import shake_128

SLICE = 8_192
"""Words that are made at a time: 40 kB in 0.3 ms."""

WORDS = (  # noqa: SIM905  # a list would be 256 lines
    "the of and to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been "
    "call who now find long down day did get come made may part over new sound take only little "
    "work know place year live me back give most very after thing our just name good man think "
    "say great where help through much before line right too mean old any same tell boy follow "
    "want show also around form three small set put end does another well large must big even "
    "such because turn here why ask went men read need land different home us move try kind hand "
    "picture again change off play air away animal house point page letter mother answer found "
    "study still learn should world high every near add food between own below country last "
    "school father keep never start city earth eye light thought head under story river sea side "
    "without group always those both paper got run important until children car mile night walk "
    "white four state once book stop second later miss idea eat face watch far real almost let "
    "above girl sometimes cut young talk"
).split()
"""256 common words. Each is one token, alone and with the space before it, in the vocabularies of
OpenAI (cl100k, o200k), Anthropic (the published one) and DeepSeek."""


def generate_words(key: bytes, count: int) -> Iterator[str]:
    """Yield a text of `count` words, which is as many tokens, in slices. It is the same for the
    same `key`, and begins like the text of any smaller count."""
    choices = shake_128(key).digest(count)
    for start in range(0, count, SLICE):
        words = " ".join(map(WORDS.__getitem__, choices[start : start + SLICE]))
        yield f" {words}" if start else words
