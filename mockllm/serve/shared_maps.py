"""Maps of state in an SQLite database that several processes use, one after the other.

Everything is in one table, in the order of its keys, so that what a question touches lies together:

    entries    the value of each key of each map; its place is a number that only grows
    facts      one row: the facts, and the number of keys of each map

A group of a grouped map is a key of another map, whose value is the number of its keys. The caller
sees to it that no two processes use the database at the same time: see `serve.shared_lock`.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = 1024  # bytes; a question that changes four small values writes less than with 4 KiB
MAX_PAGES = 256 * 1024  # 256 MiB, at least twice what the bounds of `state` add up to
CHECKPOINT = 256  # pages in the log after which they are moved into the database; more is slower
LOG_BYTES = 4 * 1024 * 1024  # to which the file of the log is cut after it was larger

NAMES = (
    *("answered", "attempts", "buckets", "draws", "ended", "leases", "pinned", "pools"),
    *("unpinned", "values", "lines"),
)
"""The maps. A number in the database is that of a place here: append only."""

_GROUPS_OF = len(NAMES)  # the map of the groups of map 3 has the number 3 + this
_NO_GROUP = b""
_NOBODY = b"n"  # the group None; those that are strings begin with another letter

_SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE IF NOT EXISTS entries (
    map INTEGER, "group" BLOB, key BLOB, value, place INTEGER, PRIMARY KEY (map, "group", key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS places ON entries (map, "group", place);
CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY, value BLOB);
"""

_GET = 'SELECT value FROM entries WHERE map = ? AND "group" = ? AND key = ?'
_SET = 'UPDATE entries SET value = ? WHERE map = ? AND "group" = ? AND key = ?'
_MOVE = 'UPDATE entries SET value = ?, place = ? WHERE map = ? AND "group" = ? AND key = ?'
_ADD = 'INSERT INTO entries (map, "group", key, value, place) VALUES (?, ?, ?, ?, ?)'
_DROP = 'DELETE FROM entries WHERE map = ? AND "group" = ? AND key = ?'
_FIRST = 'SELECT key, value FROM entries WHERE map = ? AND "group" = ? ORDER BY place LIMIT 1'
_ALL = 'SELECT key, value FROM entries WHERE map = ? AND "group" = ? ORDER BY place'
_DROP_FIRST = """
DELETE FROM entries WHERE map = ?1 AND "group" = ?2 AND key = (
    SELECT key FROM entries WHERE map = ?1 AND "group" = ?2 ORDER BY place LIMIT 1
) RETURNING key, value
"""
_DROP_ALL = 'DELETE FROM entries WHERE map = ? AND "group" = ?'
_VALUES_OF = "SELECT value FROM entries WHERE map = ? AND key = ?"
_CLEAR = "DELETE FROM entries WHERE map = ?"

_PLACE = "last place"


class SharedMaps:
    """The maps in a database, during a transaction of this process.

    Without one, nothing may be called but `begin`.
    """

    def __init__(self, path: Path) -> None:
        """Open the database at `path`, which is created if it is not there.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        import sqlite3  # nothing of SQLite before the fork, nor without state

        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        self.execute = self._connection.execute
        """Executes a statement."""
        self.facts: dict[str, Any] = {}
        self._stored_facts = b""
        self.absent: tuple[int, bytes, bytes] | None = None
        """A map, a group and a key that was looked for, and is not there."""
        self._set_up()

    def _set_up(self) -> None:
        self.execute(f"PRAGMA page_size = {PAGE}")
        self.execute("PRAGMA synchronous = off")  # what only a crash of the machine loses
        self.execute(f"PRAGMA max_page_count = {MAX_PAGES}")
        self.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        self.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        self._connection.executescript(_SCHEMA)
        self.execute("INSERT OR IGNORE INTO facts VALUES (1, ?)", (_dump({}),))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def begin(self) -> None:
        """Begin a transaction: what happens until `commit` happens as a whole, or not at all."""
        self.execute("BEGIN")
        (self._stored_facts,) = self.execute("SELECT value FROM facts").fetchone()
        self.absent = None
        self.facts.clear()
        self.facts.update(_load(self._stored_facts))

    def commit(self) -> None:
        """End a transaction. Everything that it has changed is there."""
        facts = _dump(self.facts)
        if facts != self._stored_facts:
            self.execute("UPDATE facts SET value = ?", (facts,))
        self.execute("COMMIT")

    def roll_back(self) -> None:
        """End a transaction, if there is one. Nothing of it has happened."""
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def next_place(self) -> int:
        """Return a place behind all others."""
        place: int = self.facts.get(_PLACE, 0) + 1
        self.facts[_PLACE] = place
        return place

    def ordered(self, name: str) -> SharedMap:
        """Return the map with this name."""
        return SharedMap(self, NAMES.index(name), f"keys of {name}")

    def grouped(self, name: str) -> SharedGroups:
        """Return the grouped map with this name."""
        return SharedGroups(self, NAMES.index(name), f"keys of {name}")


class SharedMap:
    """A map in a database."""

    def __init__(self, maps: SharedMaps, number: int, size: str) -> None:
        self._maps = maps
        self._execute = maps.execute
        self._number = number
        self._size = size
        self._last = f"{size}: last"  # the fact (key, value) of what was put last

    def __len__(self) -> int:
        size: int = self._maps.facts.get(self._size, 0)
        return size

    def __iter__(self) -> Iterator[Any]:
        found = self._execute(_ALL, (self._number, _NO_GROUP)).fetchall()
        return iter([_decode(key) for key, _ in found])

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not None

    def _find(self, key: Any) -> tuple[Any] | None:
        found: tuple[Any] | None
        found = self._execute(_GET, (self._number, _NO_GROUP, _encode(key))).fetchone()
        return found

    def get(self, key: Any) -> Any:
        """Return the value of `key`; None if it has none."""
        found = self._find(key)
        return None if found is None else _unpack(found[0])

    def put(self, key: Any, value: Any) -> None:
        """Set the value of `key`, which keeps its place."""
        packed = _pack(value)
        where = (self._number, _NO_GROUP, _encode(key))
        self._maps.facts.pop(self._last, None)
        if not self._execute(_SET, (packed, *where)).rowcount:
            self._execute(_ADD, (*where, packed, self._maps.next_place()))
            self._grow(1)

    def put_last(self, key: Any, value: Any) -> None:
        """Set the value of `key`, and move it to the end."""
        packed, facts = _pack(value), self._maps.facts
        where = (self._number, _NO_GROUP, _encode(key))
        last, now_last = facts.get(self._last), (where[2], packed)
        if last == now_last:
            return
        facts[self._last] = now_last
        if last is not None and last[0] == where[2]:
            self._execute(_SET, (packed, *where))
            return
        place = self._maps.next_place()
        if not self._execute(_MOVE, (packed, place, *where)).rowcount:
            self._execute(_ADD, (*where, packed, place))
            self._grow(1)

    def drop(self, key: Any) -> bool:
        """Remove `key`. Returns False if it is not there."""
        if not len(self):
            return False
        self._maps.facts.pop(self._last, None)
        gone = self._execute(_DROP, (self._number, _NO_GROUP, _encode(key))).rowcount
        self._grow(-gone)
        return gone > 0

    def first(self) -> tuple[Any, Any] | None:
        """Return the first key and its value; None of an empty map."""
        found = self._execute(_FIRST, (self._number, _NO_GROUP)).fetchone() if len(self) else None
        return None if found is None else (_decode(found[0]), _unpack(found[1]))

    def clear(self) -> None:
        """Remove all keys."""
        self._execute(_CLEAR, (self._number,))
        self._maps.facts.pop(self._last, None)
        self._grow(-len(self))

    def _grow(self, by: int) -> None:
        if by:
            self._maps.facts[self._size] = len(self) + by


class SharedGroups:
    """A grouped map in a database.

    Most questions are about the group, and often the key, that was put last before. So the facts
    have this group, the number of its keys, and its last key: nothing of the group is written, and
    nothing is moved, until another one is put last.
    """

    def __init__(self, maps: SharedMaps, number: int, size: str) -> None:
        self._maps = maps
        self._execute = maps.execute
        self._number = number
        self._size = size
        self._groups = SharedMap(maps, _GROUPS_OF + number, f"{size}: groups")
        self._last = f"{size}: last"  # the fact (group, number of its keys, last key)

    def __len__(self) -> int:
        size: int = self._maps.facts.get(self._size, 0)
        return size

    def get(self, group: Any, key: Any) -> Any:
        """Return the value of `key` in `group`; None if it has none."""
        where = (self._number, _encode_group(group), _encode(key))
        found = self._execute(_GET, where).fetchone()
        if found is None:
            self._maps.absent = where
            return None
        return _unpack(found[0])

    def put(self, group: Any, key: Any, value: Any) -> None:
        """Set the value of `key`, which keeps its place, as the group does."""
        self._put(_encode_group(group), _encode(key), _pack(value))

    def put_last(self, group: Any, key: Any, value: Any) -> None:
        """Set the value of `key`, and move it and its group to the end."""
        encoded, encoded_key, packed = _encode_group(group), _encode(key), _pack(value)
        last = self._maps.facts.get(self._last)
        if last is None or last[0] != encoded:
            self._forget_last()
            last = (encoded, self._groups.get(encoded) or 0, None)
            self._groups.put_last(encoded, last[1])
            self._maps.facts[self._last] = last
        if last[2] == encoded_key:
            self._execute(_SET, (packed, self._number, encoded, encoded_key))
            return
        self._put(encoded, encoded_key, packed, moves=True)
        _, keys, _ = self._maps.facts[self._last]
        self._maps.facts[self._last] = (encoded, keys, encoded_key)

    def _put(self, group: bytes, key: bytes, packed: Any, *, moves: bool = False) -> None:
        where = (self._number, group, key)
        is_new = self._maps.absent == where
        place = self._maps.next_place() if moves or is_new else 0
        self._maps.absent = None
        if not is_new and moves:
            is_new = not self._execute(_MOVE, (packed, place, *where)).rowcount
        elif not is_new:
            is_new = not self._execute(_SET, (packed, *where)).rowcount
        if is_new:
            self._execute(_ADD, (*where, packed, place or self._maps.next_place()))
            self._count(group, 1)

    def drop(self, group: Any, key: Any) -> None:
        """Remove `key` from `group`, and a group that has no other."""
        self._drop(_encode_group(group), _encode(key))

    def _drop(self, group: bytes, key: bytes) -> None:
        self._note_drop(group, key)
        self._count(group, -self._execute(_DROP, (self._number, group, key)).rowcount)

    def _note_drop(self, group: bytes, key: bytes) -> None:
        last = self._maps.facts.get(self._last)
        if last is not None and last[2] == key and last[0] == group:
            self._maps.facts[self._last] = (group, last[1], None)

    def drop_group(self, group: Any) -> list[Any]:
        """Remove a group. Returns the values of its keys."""
        values = [value for _, value in self.items(group)]
        if values:
            encoded = _encode_group(group)
            self._execute(_DROP_ALL, (self._number, encoded))
            self._count(encoded, -len(values))
        return values

    def drop_first(self, group: Any = None) -> Any:
        """Remove the first key of `group`, or of the first group. Returns its value."""
        if group is None:
            first = self._groups.first()
            assert first is not None
            encoded = first[0]
        else:
            encoded = _encode_group(group)
        ((key, value),) = self._execute(_DROP_FIRST, (self._number, encoded)).fetchall()
        self._note_drop(encoded, key)
        self._count(encoded, -1)
        return _unpack(value)

    def size(self, group: Any) -> int:
        """Return the number of keys in `group`."""
        return self._keys(_encode_group(group)) if len(self) else 0

    def groups(self) -> tuple[Any, ...]:
        """Return the groups in order."""
        return tuple(map(_decode_group, self._groups))

    def items(self, group: Any) -> tuple[tuple[Any, Any], ...]:
        """Return the keys of `group` in order, with their values."""
        if not len(self):
            return ()
        found = self._execute(_ALL, (self._number, _encode_group(group))).fetchall()
        return tuple((_decode(key), _unpack(value)) for key, value in found)

    def values_of(self, key: Any) -> list[Any]:
        """Return the value of `key` in each group that has it."""
        found = self._execute(_VALUES_OF, (self._number, _encode(key))).fetchall()
        return [_unpack(value) for (value,) in found]

    def clear(self) -> None:
        """Remove all groups."""
        self._execute(_CLEAR, (self._number,))
        self._maps.facts[self._size] = 0
        self._maps.facts.pop(self._last, None)
        self._groups.clear()

    # --- the number of keys of a group ---

    def _keys(self, group: bytes) -> int:
        last = self._maps.facts.get(self._last)
        if last is not None and last[0] == group:
            known: int = last[1]
            return known
        return self._groups.get(group) or 0

    def _count(self, group: bytes, by: int) -> None:
        """Note that a group has so many keys more."""
        if not by:
            return
        facts = self._maps.facts
        facts[self._size] = len(self) + by
        keys, last = self._keys(group) + by, facts.get(self._last)
        if last is not None and last[0] != group:
            last = None
        if not keys:
            self._groups.drop(group)
            if last is not None:
                del facts[self._last]
        elif last is not None:
            facts[self._last] = (group, keys, last[2] if by < 0 else None)  # a new key is the last
        else:
            if keys == by:  # a new group is the last
                self._forget_last()
            self._groups.put(group, keys)

    def _forget_last(self) -> None:
        """Write the number of keys of the group that is no longer the last."""
        last = self._maps.facts.pop(self._last, None)
        if last is not None:
            self._groups.put(last[0], last[1])


# --- What is stored -------------------------------------------------------------------------------


def _encode(key: Any) -> bytes:
    """Return a key as it is stored: with a letter for its type."""
    if type(key) is bytes:
        return b"b" + key
    return b"s" + key.encode(errors="surrogatepass")  # type: ignore[no-any-return]  # a string


def _decode(stored: bytes) -> Any:
    """Return a key that was stored."""
    return stored[1:].decode(errors="surrogatepass") if stored[:1] == b"s" else stored[1:]


def _encode_group(group: str | None) -> bytes:
    return _NOBODY if group is None else b"s" + group.encode(errors="surrogatepass")


def _decode_group(stored: bytes) -> str | None:
    return None if stored == _NOBODY else stored[1:].decode(errors="surrogatepass")


def _pack(value: Any) -> Any:
    """Return a value as it is stored: numbers and None as they are, anything else in bytes."""
    if value is None or type(value) is int or type(value) is float:
        return value
    return _dump(value)


def _unpack(stored: Any) -> Any:
    """Return a value that was stored."""
    return _load(stored) if type(stored) is bytes else stored


_dump = marshal.dumps
_load = marshal.loads  # only this server's processes can write what it reads
