"""Keeps what is derived of the SDKs' types in a folder, so that the next start imports none.

The folder is that of the user's caches. It may be absent, read-only, full or damaged, and several
processes may use it at once: nothing but time is lost. What is kept is data, never code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from mockllm.validation.declared import keep_in

VARIABLE = "MOCKLLM_CACHE_DIR"
"""The environment variable that names another folder; if it is empty, nothing is kept."""

DISTRIBUTIONS = ("openai", "anthropic", "pydantic", "pydantic-core", "typing-extensions")
"""Their versions decide what is derived."""

MAX_FOLDERS = 8  # of combinations of versions, such as those of a test matrix
MAX_FILE = 16 * 1024 * 1024  # bytes; the largest takes 1 MB
_DIGEST = 16  # bytes, at the start of a file
_PACKAGE = Path(__file__).parents[1]
_DERIVING = ("validation/*.py", "providers/*/*/sdk.py", "providers/*/*/older.py")
"""The modules that decide what is derived, too."""


def keep_schemas() -> None:
    """Keep what is derived of the SDKs' types from now on, in the folder of this user and of the
    versions that are installed."""
    keep_in(_folder_in(_cache_folder(os.environ)))


@cache  # a test suite starts many servers
def _folder_in(root: Path | None) -> SchemaFolder | None:
    key = None if root is None else _key()
    return None if root is None or key is None else SchemaFolder(root, key)


def _cache_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of this package among the caches of the user; None if there is none."""
    given = environment.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "mockllm"
    if sys.platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local) / "mockllm" / "Cache" if local else None
    try:
        home = Path.home()
    except RuntimeError:  # the user has none
        return None
    parts = ("Library", "Caches") if sys.platform == "darwin" else (".cache",)
    return home.joinpath(*parts, "mockllm")


def _key() -> str | None:
    """Return a digest of all that decides what is derived; None if that cannot be determined."""
    digest = hashlib.sha256(f"{platform.python_implementation()} {sys.version}".encode())
    try:
        for name in DISTRIBUTIONS:
            digest.update(_described(name).encode())
        modules = sorted(path for pattern in _DERIVING for path in _PACKAGE.glob(pattern))
        for module in modules:
            digest.update(module.read_bytes())
    except (OSError, PackageNotFoundError):
        return None
    return digest.hexdigest()[:16] if modules else None


def _described(name: str) -> str:
    """Return a text with the version of a distribution, unparsed: to parse it takes a millisecond.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    return distribution(name).read_text("METADATA") or f"{name} {version(name)}"


class SchemaFolder:
    """A `validation.declared.SchemaStore` in the folder called `key` in `root`."""

    def __init__(self, root: Path, key: str) -> None:
        self._root = root
        self._folder = root / f"types-{key}"
        self._is_writable = True

    def read(self, name: str) -> bytes | None:
        """Return the bytes that were written under `name`; None if there are none, or others."""
        path = self._folder / name
        try:
            if not path.is_file() or path.stat().st_size > MAX_FILE:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        digest, data = content[:_DIGEST], content[_DIGEST:]
        return data if digest == _digest(data) else None

    def write(self, name: str, data: bytes) -> None:
        """Keep bytes under `name`. After a failure, nothing more is tried."""
        if not self._is_writable:
            return
        try:
            if not self._folder.is_dir():
                self._begin()
            self._replace(name, _digest(data) + data)
        except OSError:
            self._is_writable = False

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file at once, whoever reads or writes it meanwhile."""
        file, path = tempfile.mkstemp(prefix=f"{name}.", dir=self._folder)
        part = Path(path)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
            part.replace(self._folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def _begin(self) -> None:
        """Make the folder, and remove those that were made longest ago."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = [path for path in self._root.glob("types-*") if path != self._folder]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[MAX_FOLDERS - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
