"""Where files are kept: under `home`, or in an object store of which `home` holds copies.

Jobs read and write under `home` alone. What they need is fetched there before they run, and what
they leave is published before the row that points to it is committed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from db.files import sha256_of
from db.settings import Settings

Moving = Callable[[int], None]
"""Called with the bytes that were moved since the last call; what it raises ends the move."""


def silent(moved: int) -> None:
    """For whoever does not follow a move."""


class Storage(Protocol):
    """What is kept, under addresses relative to its root."""

    def holds(self, address: PurePosixPath | str) -> bool:
        """Whether a file is kept.

        Raises:
            StorageError: the store does not answer.
        """

    def fetch_file(self, address: PurePosixPath, sha256: str, moving: Moving = silent) -> None:
        """Have a file lie at its path with this content, if it is kept.

        Raises:
            StorageError: the store does not answer.
        """

    def fetch_folders(self, parent: PurePosixPath, moving: Moving = silent) -> None:
        """Have every folder that is kept under `parent` lie at its path.

        Raises:
            StorageError: the store does not answer.
        """

    def fetch_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Have a folder lie at its path, if it is kept.

        Raises:
            StorageError: the store does not answer.
        """

    def publish_file(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Keep the file that lies at its path, instead of what was kept there.

        Raises:
            StorageError: the store does not answer, or refuses.
        """

    def publish_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """Keep the folder that lies at its path, if one does and none is kept.

        Raises:
            StorageError: the store does not answer, or refuses.
        """

    def release(self, folder: PurePosixPath) -> None:
        """Remove this machine's copies of what was published: nobody here needs them again."""

    def remove(self, folder: PurePosixPath) -> None:
        """Remove all that is kept under a folder, and its copies; what cannot be is logged."""

    def sha256_of(self, address: PurePosixPath | str) -> str | None:
        """The SHA-256 of a kept file's content; None if there is no such file.

        Raises:
            StorageError: the store does not answer.
        """


def storage(config: Settings) -> Storage:
    """The storage that the settings name.

    Raises:
        UsageError: it is of a kind that is not known, or needs a package that is not installed.
    """
    if not config.files_url:
        return HomeFolder(config.home)
    from db.object_store import ObjectStore  # its packages are loaded where they are used

    return ObjectStore(config.files_url, config.home)


class HomeFolder:
    """Files that are kept where they lie."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def holds(self, address: PurePosixPath | str) -> bool:
        """Whether a file is kept."""
        return (self._home / address).is_file()

    def fetch_file(self, address: PurePosixPath, sha256: str, moving: Moving = silent) -> None:
        """It lies there already."""

    def fetch_folders(self, parent: PurePosixPath, moving: Moving = silent) -> None:
        """They lie there already."""

    def fetch_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """It lies there already."""

    def publish_file(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """It is kept where it lies."""

    def publish_folder(self, address: PurePosixPath, moving: Moving = silent) -> None:
        """It is kept where it lies."""

    def release(self, folder: PurePosixPath) -> None:
        """There are no copies."""

    def remove(self, folder: PurePosixPath) -> None:
        """Remove a folder."""
        remove_folder(self._home / folder)

    def sha256_of(self, address: PurePosixPath | str) -> str | None:
        """The SHA-256 of a file's content; None if there is no such file."""
        path = self._home / address
        return sha256_of(path) if path.is_file() else None


def remove_folder(folder: Path) -> None:
    """Remove a folder, and the one around it if nothing else is in that."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()
