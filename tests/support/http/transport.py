"""The transport of a connection without a socket, which records what is written."""

from __future__ import annotations


class Written:
    """A transport of a protocol. Its peer takes everything but `unsent` bytes at once."""

    def __init__(self, unsent: int = 0) -> None:
        self._written: list[bytes] = []
        self.ends: list[str] = []
        """How it was ended, in order: ``eof``, ``close``, ``abort``."""
        self.unsent = unsent

    @property
    def data(self) -> bytes:
        """All that was written, or was since it was set."""
        self._written = [b"".join(self._written)]
        return self._written[0]

    @data.setter
    def data(self, data: bytes) -> None:
        self._written = [data]

    @property
    def ended(self) -> bool:
        return bool(self.ends)

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def write_eof(self) -> None:
        self.ends.append("eof")

    def close(self) -> None:
        self.ends.append("close")

    def is_closing(self) -> bool:
        return "close" in self.ends or "abort" in self.ends

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None:
        self.ends.append("abort")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_extra_info(self, name: str) -> object:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
