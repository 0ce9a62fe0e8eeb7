"""Whether files can be kept: under `NIGHTSHELF_HOME`, and in the object store if there is one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

from db.doctor.finding import Finding, Verdict
from db.errors import StorageError, UsageError
from db.settings import MAX_SOCKET_PATH_BYTES, PREFIX, Settings

_GIB = 2**30
# A night of annotated video takes some GiB; below one, a single checkpoint's training may fail.
_WARNING_FREE_BYTES = 5 * _GIB
_BAD_FREE_BYTES = 1 * _GIB

# What is written in one of these folders is moved into another when it is whole.
_ROOMS = ("jobs", "detections", "models")


def examine(config: Settings) -> list[Finding]:
    """Everything about the folder of `config`; nothing is left in it."""
    found = [home(config.home)]
    if (there := _nearest_folder(config.home)) is not None:
        found.append(free_space(shutil.disk_usage(there).free))
    if config.home.is_dir():
        found.append(_one_file_system(config.home))
    if config.files_url:
        found.append(object_store(config))
    if config.embedded_broker:
        found.append(_socket_path(config))
    return found


def home(folder: Path) -> Finding:
    """Whether a file can be written, brought to the disk and moved there.

    A worker that cannot keep a result would take one job after the other and fail it.
    """
    what = "home"
    try:
        if not folder.exists():
            return _absent(what, folder)
        _write_and_move(folder)
    except OSError as error:
        return Finding(
            what,
            f"{folder} cannot be written to: {error.strerror}",
            Verdict.FATAL,
            f"mount it, give this user the right to write, or set {PREFIX}HOME",
        )
    return Finding(what, f"{folder}, writable")


def object_store(config: Settings) -> Finding:
    """Whether the object store of `config` takes a small object, gives it back and removes it.

    One that does not answer is waited for, job by job, and one of an unknown kind is not.
    """
    from db.object_store import ObjectStore  # its packages are loaded where they are used

    what = "object store"
    try:
        ObjectStore(config.files_url, config.home).probe()
    except UsageError as error:
        cure = f"`pip install 'nightshelf[s3]'` for s3://, or set {PREFIX}FILES_URL"
        return Finding(what, str(error), Verdict.FATAL, cure)
    except StorageError as error:
        cure = f"see to its bucket, credentials and endpoint, or set {PREFIX}FILES_URL"
        return Finding(what, str(error), Verdict.BAD, cure)
    return Finding(what, f"{config.files_url}, writable")


def _absent(what: str, folder: Path) -> Finding:
    nearest = _nearest_folder(folder)
    if nearest is None or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            what,
            f"{folder} is not there and cannot be made",
            Verdict.FATAL,
            f"make it, for this user to write to, or set {PREFIX}HOME",
        )
    return Finding(
        what,
        f"{folder} is not there yet",
        Verdict.WARNING,
        "`nightshelf up` or the first job makes it; where it is shared, mount it first",
    )


def _nearest_folder(path: Path) -> Path | None:
    """The folder itself or what is there of the way to it; None if that is no folder."""
    for one in (path, *path.parents):
        if one.exists():
            return one if one.is_dir() else None
    return None


def _write_and_move(folder: Path) -> None:
    # A job's own steps: a network share may allow the first and refuse the others.
    probe = folder / f".doctor-{uuid4().hex}"
    moved = probe.with_suffix(".moved")
    try:
        with probe.open("wb") as file:
            file.write(b"nightshelf")
            file.flush()
            os.fsync(file.fileno())
        probe.rename(moved)
    finally:
        for path in (probe, moved):
            path.unlink(missing_ok=True)


def free_space(free_bytes: int) -> Finding:
    """The verdict on so many bytes that this user may still write."""
    what, value = "free space", f"{free_bytes / _GIB:.1f} GiB"
    if free_bytes >= _WARNING_FREE_BYTES:
        return Finding(what, value)
    return Finding(
        what,
        value,
        Verdict.BAD if free_bytes < _BAD_FREE_BYTES else Verdict.WARNING,
        f"make room: {PREFIX}HOME/detections may be deleted at any time",
    )


def _one_file_system(folder: Path) -> Finding:
    device = folder.stat().st_dev
    apart = [
        room for room in _ROOMS if (folder / room).exists() and _device(folder / room) != device
    ]
    if not apart:
        return Finding("file system", "one for all of home")
    return Finding(
        "file system",
        f"another for {', '.join(apart)}",
        Verdict.BAD,
        "keep all of home on one file system: files are moved within it, which must be one step",
    )


def _device(path: Path) -> int:
    return path.stat().st_dev


def socket_fits(config: Settings) -> bool:
    """Whether the broker has an address: the embedded one's must fit into a socket's."""
    try:
        return bool(config.broker)
    except UsageError:
        return False


def _socket_path(config: Settings) -> Finding:
    what = "broker's socket"
    try:
        used = len(bytes(config.socket))
    except UsageError as error:
        return Finding(what, "its path is too long", Verdict.BAD, str(error))
    return Finding(what, f"a path of {used} bytes of {MAX_SOCKET_PATH_BYTES}")
