"""The table of all cases, in order."""

from __future__ import annotations

from tests.support.http.bodies import CONTENT, EXPECT
from tests.support.http.chunks import CHUNKS, TRAILERS
from tests.support.http.connections import ENDINGS, PERSISTENCE
from tests.support.http.framing import CODING, LENGTH
from tests.support.http.heads import HEADS
from tests.support.http.hosts import HOST
from tests.support.http.request_lines import METHODS, VERSIONS
from tests.support.http.targets import TARGETS

CASES = [
    *HOST,
    *LENGTH,
    *CODING,
    *CHUNKS,
    *TRAILERS,
    *EXPECT,
    *VERSIONS,
    *TARGETS,
    *HEADS,
    *METHODS,
    *CONTENT,
    *PERSISTENCE,
    *ENDINGS,
]
