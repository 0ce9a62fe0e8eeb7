"""Files in an object store, of which this machine holds copies.

An object appears whole or not at all, so that no row ever points to half a file. A folder whose
files belong together is kept as one object, a tar archive, for the same reason.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from db.errors import NightshelfError, StorageError, UsageError
from db.files import sha256_of
from db.settings import PREFIX
from db.storage import Moving, remove_folder, silent

log = logging.getLogger(__name__)


class ObjectStore:
    """Files that are kept in an object store, through fsspec; their copies lie under `home`."""

    def __init__(self, url: str, home: Path) -> None:
        import fsspec  # it loads a client of the store's, and most commands need none

        try:
            # What others have stored must be seen at once.
            self._files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise UsageError(f"{PREFIX}FILES_URL: {error}") from error
        except ValueError as error:
            raise UsageError(f"{PREFIX}FILES_URL: {error}") from None
        self._root = PurePosixPath(root)
        self._url = url.rstrip("/")
        self._home = home

    def holds(self, address: PurePosixPath | str) -> bool:
        """Whether a file is kept."""
        with self._asking(address):
            try:
                # Not `exists`: in some clients a store that does not answer is an empty one.
                self._files.info(self._key(address))
            except FileNotFoundError:
                return False
            return True

    def fetch_file(self, address: PurePosixPath, sha256: str, moving: Moving = silent) -> None:
        """Copy a file here, unless it is here with this content; nothing if it is not kept."""
        path = self._home / address
        if path.is_file() and sha256_of(path) == sha256:
            return
        with self._asking(address), _scratch(path) as copy:
            if self.holds(address):
                self._get(address, copy, moving)
                copy.replace(path)

    def fetch_folders(self, parent: PurePosixPath, moving: Moving = silent) -> None:
        """Copy every folder under `parent` here that is not here."""
        with self._asking(parent):
            archives = self._files.find(self._key(parent))
        for archive in archives:
            key = PurePosixPath(archive).relative_to(self._root)
            if key.suffix == ".tar" and ".." not in key.parts:
                self._unpack(key, moving)

    def fetch_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Copy a folder here that is not here."""
        key = address.with_suffix(".tar")
        if not (self._home / address).exists() and self.holds(key):
            self._unpack(key, moving)

    def _unpack(self, key: PurePosixPath, moving: Moving) -> None:
        folder = self._home / key.with_suffix("")
        if folder.exists():
            return
        with self._asking(key), _scratch(folder) as copy, _scratch(folder) as unpacked:
            self._get(key, copy, moving)
            with tarfile.open(copy) as tar:
                tar.extractall(unpacked, filter="data")
            try:
                unpacked.rename(folder)
            except OSError:
                log.debug("%s was fetched by somebody else", folder)

    def publish_file(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Copy a file from here to the store."""
        with self._asking(address):
            self._put(self._home / address, address, moving)

    def publish_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Copy a folder from here to the store, as one object."""
        folder, key = self._home / address, address.with_suffix(".tar")
        with self._asking(key):
            if self.holds(key) or not folder.is_dir():
                return
            with _scratch(folder) as archive:
                with tarfile.open(archive, "w") as tar:
                    tar.add(folder, arcname=".")
                self._put(archive, key, moving)

    def release(self, folder: PurePosixPath) -> None:
        """Remove the copies here."""
        remove_folder(self._home / folder)

    def remove(self, folder: PurePosixPath) -> None:
        """Remove a folder here and in the store."""
        remove_folder(self._home / folder)
        try:
            with self._asking(folder):
                if kept := self._files.find(self._key(folder)):
                    self._files.rm(kept)
        except StorageError as error:
            log.warning("%s was not removed: %s", self._named(folder), error)

    def sha256_of(self, address: PurePosixPath | str) -> str | None:
        """The SHA-256 of a kept file's content; None if there is no such file."""
        with self._asking(address), tempfile.TemporaryDirectory() as folder:
            if not self.holds(address):
                return None
            copy = Path(folder) / "copy"
            self._get(PurePosixPath(address), copy, silent)
            return sha256_of(copy)

    def probe(self) -> None:
        """Write, read and remove a small object: what a job will do.

        Raises:
            StorageError: one of them failed.
        """
        key = PurePosixPath(f".doctor-{uuid4().hex}")
        with self._asking(key):
            self._files.pipe_file(self._key(key), b"nightshelf")
            try:
                if self._files.cat_file(self._key(key)) != b"nightshelf":
                    raise OSError("what was written is not what was read")
            finally:
                self._files.rm_file(self._key(key))

    def _named(self, address: PurePosixPath | str) -> str:
        return f"{self._url}/{address}"

    def _key(self, address: PurePosixPath | str) -> str:
        return str(self._root / address)

    def _get(self, address: PurePosixPath, path: Path, moving: Moving) -> None:
        self._files.get_file(self._key(address), str(path), callback=_told(moving))

    def _put(self, path: Path, address: PurePosixPath, moving: Moving) -> None:
        self._files.put_file(str(path), self._key(address), callback=_told(moving))

    @contextmanager
    def _asking(self, address: PurePosixPath | str) -> Iterator[None]:
        """Turn whatever a client of a store raises into our own."""
        try:
            yield
        except NightshelfError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise StorageError(f"{self._named(address)}: {type(error).__name__}: {text}") from error


def _told(moving: Moving) -> Any:
    from fsspec.callbacks import Callback

    class Told(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            moving(inc)

    return Told()


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A name beside `path`, free for a file or a folder that is about to be moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        yield scratch
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)
