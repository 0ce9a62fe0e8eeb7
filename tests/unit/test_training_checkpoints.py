"""Where earlier attempts may have left what no row points to, and what is gone on from."""

from __future__ import annotations

from pathlib import Path

from db.layout import checkpoint_address
from db.training_results import EpochRecord
from tests.recorded import epoch_facts
from worker.training.checkpoints import leftovers, resume_from

JOB = 7


def record(epoch: int, attempt: int, *, best: bool = False, kept: bool = False) -> EpochRecord:
    address = checkpoint_address(JOB, attempt, epoch) if kept else None
    return EpochRecord(epoch_facts(epoch, best=best), attempt, address, "f" * 64 if kept else None)


def folders(attempt: int, *epochs: EpochRecord) -> list[str]:
    return [str(one) for one in leftovers(JOB, attempt, epochs)]


def test_a_first_attempt_finds_nothing_left() -> None:
    assert folders(1) == []


def test_attempts_that_ended_no_epoch_left_nothing_that_counts() -> None:
    assert folders(3) == ["checkpoints/7/attempt-1", "checkpoints/7/attempt-2"]


def test_what_rows_point_to_is_no_leftover() -> None:
    found = folders(2, record(1, 1, best=True, kept=True), record(2, 1, kept=True))
    assert "checkpoints/7/attempt-1/epoch-1" not in found
    assert "checkpoints/7/attempt-1/epoch-2" not in found


def test_an_epoch_without_a_row_is_one() -> None:
    assert "checkpoints/7/attempt-1/epoch-2" in folders(2, record(1, 1, best=True, kept=True))


def test_what_the_last_row_replaced_is_one() -> None:
    """The epoch before it, and the best before it: its removal may not have come about."""
    epochs = [
        record(1, 1, best=True),
        record(2, 1),
        record(3, 1),
        record(4, 1, best=True, kept=True),
    ]
    found = folders(2, *epochs)
    assert {f"checkpoints/7/attempt-1/epoch-{one}" for one in (1, 3, 5)} <= set(found)


def test_an_attempt_to_which_no_row_points_any_more_goes_as_a_whole() -> None:
    epochs = [record(1, 1, best=True), record(2, 2, best=True, kept=True)]
    assert "checkpoints/7/attempt-1" in folders(3, *epochs)
    assert "checkpoints/7/attempt-2" not in folders(3, *epochs)


def test_the_last_epoch_is_gone_on_from_and_the_best_is_kept_beside_it() -> None:
    assert resume_from(Path("/home"), []) is None
    epochs = [record(1, 1, best=True, kept=True), record(2, 1), record(3, 2, kept=True)]
    found = resume_from(Path("/home"), epochs)
    assert found is not None
    assert found.last == "/home/checkpoints/7/attempt-2/epoch-3/last.pt"
    assert found.best == "/home/checkpoints/7/attempt-1/epoch-1/last.pt"
    assert [one.epoch for one in found.epochs] == [1, 2, 3]
