"""Where under `home` each thing lies; addresses in rows are relative to it."""

from __future__ import annotations

from pathlib import PurePosixPath


def model_address(sha256: str) -> PurePosixPath:
    """A registered checkpoint."""
    return PurePosixPath("models") / sha256 / "weights.pt"


def job_address(job_id: int) -> PurePosixPath:
    """The folder of everything that a job leaves behind."""
    return PurePosixPath("jobs") / str(job_id)


def attempt_address(job_id: int, attempt: int) -> PurePosixPath:
    """The folder of one attempt at a job.

    Each attempt has its own, so that a worker presumed dead that writes on does not write into
    the files that a row points to.
    """
    return job_address(job_id) / f"attempt-{attempt}"


def checkpoints_address(job_id: int) -> PurePosixPath:
    """The folder of what a training can go on from, whichever attempt left it."""
    return PurePosixPath("checkpoints") / str(job_id)


def checkpoint_address(job_id: int, attempt: int, epoch: int) -> PurePosixPath:
    """The checkpoint of an epoch, which nobody writes twice: in a folder of its own."""
    return checkpoints_address(job_id) / f"attempt-{attempt}" / f"epoch-{epoch}" / "last.pt"
