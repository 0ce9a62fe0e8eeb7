"""The errors of Nightshelf: a small tree in which the type says whether trying again can help.

The message is one line for the person at the command line: what was wrong, where, what to do.
"""

from __future__ import annotations


class NightshelfError(Exception):
    """Something went wrong that may not go wrong again."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class PermanentError(NightshelfError):
    """The input is bad: trying again gives the same, so the job fails at once."""


class VideoError(PermanentError):
    """The file is not a video that can be decoded."""


class ModelError(PermanentError):
    """The model is not registered, is gone, has changed, or is no YOLO detection checkpoint."""


class DatasetError(PermanentError):
    """The file stands for no data set that can be used."""


class UsageError(PermanentError):
    """The request cannot be met as it was asked."""


class Unreachable(NightshelfError):
    """The database or the broker does not answer."""


class StorageError(NightshelfError):
    """The object store does not answer, or refuses."""


class SchemaBehind(NightshelfError):
    """The database's schema is not the one this code was written for."""


class LeaseLost(NightshelfError):
    """The job is no longer ours: its lease was taken, or could not be renewed in time."""


class Stopped(NightshelfError):
    """The job was asked to stop, and did so at a checkpoint."""
