"""The last message of a request, with which most rules compare theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

# Messages and prompts are not to be modified, but are not frozen dataclasses: those take a
# microsecond longer to create, and each request needs one of each.


PARTS_AT_ONCE = 500  # that are made without a pause: 1 to 2 ms
MANY_ITEMS = 5_000  # which have thousands of values
PIECES_AT_ONCE = 200  # of the canonical form of items; with them, as many commas: 0.5 to 1 ms
MAX_PIECE = 8_192  # bytes of such pieces that are joined with the next


class MessagePart(NamedTuple):
    """A part, block or item in a normalised form. `call_id` is that of the call whose result it is;
    empty if it is none."""

    value: Any
    call_id: str = ""


def _no_parts(item: Any) -> tuple[()]:
    return ()


def _drop(values: Iterable[Sequence[Any]]) -> None:
    """Keep nothing for later."""


class ItemSizes(NamedTuple):
    """Functions that tell in little time how large an item is, whose canonical form is not made."""

    is_longer: Callable[[Any, int], bool]
    """Returns True if the canonical form of an item has certainly more than so many bytes."""

    has_many: Callable[[Sequence[Any]], bool]
    """Returns True if some items have thousands of values."""

    without_lists: Callable[[Any], Any]
    """Returns an item without the entries of its content or output."""

    in_pieces: Callable[[Any], Iterator[bytes]]
    """Returns the canonical form of an item in pieces, some of which may be empty."""


class DividedForm:
    """The canonical form of the last items of a large message, which is made as far as it is
    compared: to make that of 10 MB takes seconds."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._rest = pieces
        self._made: list[bytes] = []
        self._differing: dict[bytes, tuple[int, bytes]] = {}
        """The pieces that are not in other forms, and where these have others."""

    def find_among(self, forms: Collection[bytes]) -> Generator[bool, None, bytes | None]:
        """Return the one of `forms` that is the same, with pauses (`pieces.Pieces`); None if there
        is none."""
        left, size = list(forms), 0
        for piece in self._pieces():
            same: list[bytes] = []
            for form in left:
                if form.startswith(piece, size):
                    same.append(form)
                else:
                    self._differing[form] = size, piece
            if not same:
                return None
            left = same
            size += len(piece)
            yield False
        return next((form for form in left if len(form) == size), None)

    def difference_from(self, form: bytes) -> tuple[int, bytes]:
        """Return how many bytes at the beginning are those of another form, and some that follow
        them here. It takes long unless they were compared."""
        if form not in self._differing:
            for _ in self.find_among((form,)):
                pass
        size, piece = self._differing.get(form, (0, b""))
        at = _common(piece, form[size : size + len(piece)])
        return size + at, piece[at:]

    def _pieces(self) -> Iterator[bytes]:
        yield from self._made
        for piece in self._rest:
            self._made.append(piece)
            yield piece


def _common(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (here, there) in pairs if here != there), len(other))


@dataclass(slots=True)
class Message:
    """The last message of a request, or the one before trailing system messages.

    Chat and Messages: a single message, which is the only one of its `items`. Responses: the whole
    input as `items`, with the role and the texts of the last one. `items` is None if a message can
    be matched by its texts only; no rule equals it then. `texts` are its words; `search_texts` are
    all texts that ``contains`` searches, also those of documents, calls and the like, and for
    Responses the JSON of the last item.
    """

    role: str
    texts: Sequence[str]
    search_texts: Sequence[str]
    items: Sequence[Any] | None
    canonical: Callable[[Any], bytes]
    """Returns the canonical form of one item: equal bytes if and only if the items are equivalent.
    """
    parts_of: Callable[[Any], Iterable[MessagePart | list[Any] | None]] = field(
        default=_no_parts, compare=False
    )
    """Returns the parts of one item. Those of a large request come with pauses in a part, which are
    None, and with the long lists that are made for it, each behind those within it."""
    content: str | Sequence[Any] = field(default="", repr=False, compare=False)
    """The content of the last item, if it is one text, or entries that are read in pieces."""
    sizes: ItemSizes | None = field(default=None, repr=False, compare=False)
    """What tells how large an item of a large request is."""
    _keys_by_size: dict[int, bytes] | None = field(default=None, repr=False, compare=False)
    _item_keys: list[bytes] | None = field(default=None, repr=False, compare=False)
    """The canonical forms of the last items, in reverse order."""
    _divided: dict[int, DividedForm] | None = field(default=None, repr=False, compare=False)
    _parts: Sequence[MessagePart] | None = field(default=None, repr=False, compare=False)
    _call_ids: Sequence[str] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of items; -1 if `items` is None."""
        return -1 if self.items is None else len(self.items)

    @property
    def entries(self) -> int:
        """The number of entries in `content`. Each takes 2 to 4 µs in the canonical form."""
        return 0 if isinstance(self.content, str) else len(self.content)

    @property
    def least_size(self) -> int:
        """Bytes that the canonical form of the last item has at least: to make that of a large
        message takes long, and is no use where it is longer than what it is compared with."""
        if isinstance(self.content, str):
            return len(self.content)
        return 2 * len(self.content)  # a byte for each entry, and one between two

    def is_longer(self, size: int, longest: int) -> bool:
        """Return True if `key_of_last` has certainly more than `longest` bytes."""
        if size <= 0 or self.items is None:
            return False
        if self.least_size > longest:
            return True
        if self.sizes is None:
            return False
        return any(
            self.is_item_longer(item, longest) for item in islice(reversed(self.items), size)
        )

    def is_item_longer(self, item: Any, longest: int) -> bool:
        """Return True if the canonical form of an item has certainly more than `longest` bytes."""
        return self.sizes is not None and self.sizes.is_longer(item, longest)

    def without_lists(self, item: Any) -> Any:
        """Return an item of a large request without the entries of its content or output."""
        return item if self.sizes is None else self.sizes.without_lists(item)

    def has_many_values(self, size: int) -> bool:
        """Return True if the last `size` items of a large request have so many values that their
        canonical form takes long, and a difference in it even longer."""
        if self.sizes is None or size <= 0:
            return False
        items = self.items or ()
        first = max(len(items) - size, 0)
        return self.sizes.has_many(items[first : first + MANY_ITEMS])

    def divided_form(self, size: int) -> DividedForm:
        """Return the canonical form of the last `size` items of a large message, joined by commas.
        It is made once."""
        if self._divided is None:
            self._divided = {}
        form = self._divided.get(size)
        if form is None:
            form = self._divided[size] = DividedForm(self._pieces_of_last(size))
        return form

    def _pieces_of_last(self, size: int) -> Iterator[bytes]:
        assert self.sizes is not None
        items, together, length = self.items or (), list[bytes](), 0
        first = len(items) - size
        for number in range(first, len(items)):
            if number > first:
                together.append(b",")
            for piece in self.sizes.in_pieces(items[number]):
                together.append(piece)
                length += len(piece)
                if length > MAX_PIECE or len(together) > PIECES_AT_ONCE:
                    yield b"".join(together)
                    together, length = [], 0
        yield b"".join(together)

    def key_of_last(self, size: int) -> bytes:
        """Return the canonical form of the last `size` items. Computed on first use and cached,
        because conversations are long and most rules compare texts only."""
        if self._keys_by_size is None or self._item_keys is None:
            self._keys_by_size, self._item_keys = {}, []
            if self.items is not None and size == len(self.items) == 1:  # as nearly always
                only = self.canonical(self.items[0])
                self._keys_by_size[1] = only
                self._item_keys.append(only)
                return only
        key = self._keys_by_size.get(size)
        if key is None:
            items, keys = self.items or (), self._item_keys
            while len(keys) < size:
                keys.append(self.canonical(items[-1 - len(keys)]))
            key = b",".join(reversed(keys[:size]))
            self._keys_by_size[size] = key
        return key

    def key_of_item(self, back: int) -> bytes:
        """Return the canonical form of one item, counted from 0 at the last one. Kept like those of
        `key_of_last`."""
        if self._item_keys is None:
            self._keys_by_size, self._item_keys = {}, []
        items, keys = self.items or (), self._item_keys
        while len(keys) <= back:
            keys.append(self.canonical(items[-1 - len(keys)]))
        return keys[back]

    def parts(self) -> Sequence[MessagePart]:
        """Return the parts of the last item. Computed on first use and cached, because most rules
        do not look at them."""
        if self._parts is None:
            for _ in self.make_parts():
                pass
        return self._parts or ()

    def make_parts(
        self, let_go_later: Callable[[Iterable[Sequence[Any]]], None] = _drop
    ) -> Iterator[bool]:
        """Make the parts of the last item, unless they are made, with pauses. `let_go_later` is
        called with the lists that are made, each behind those within it."""
        if self._parts is not None:
            return
        found: list[MessagePart] = []
        call_ids: list[str] = []
        for part in self.parts_of(self.items[-1]) if self.items else ():
            if isinstance(part, MessagePart):
                found.append(part)
                if part.call_id:
                    call_ids.append(part.call_id)
                if not len(found) % PARTS_AT_ONCE:
                    yield False
            elif part is None:
                yield False
            else:
                let_go_later((part,))
        let_go_later((found,))
        self._parts = found
        self._call_ids = call_ids

    def call_ids(self) -> Sequence[str]:
        """Return the ids of the calls whose results are in the last item."""
        self.parts()
        return self._call_ids or ()
