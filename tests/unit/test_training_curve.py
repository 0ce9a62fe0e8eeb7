"""A training in a line of text."""

from __future__ import annotations

from db.training_results import EpochFacts
from worker.training.curve import described, sparkline


def epoch(number: int, map50: float, seconds: float = 60.0, final: bool = False) -> EpochFacts:
    return EpochFacts(
        epoch=number,
        box_loss=1.5,
        cls_loss=0.75,
        dfl_loss=1.25,
        val_box_loss=None,
        val_cls_loss=None,
        val_dfl_loss=None,
        precision=0.5,
        recall=0.5,
        map50=map50,
        map50_95=map50 / 2,
        learning_rates=(0.01,),
        seconds=seconds,
        best=True,
        final=final,
    )


def test_bars_are_as_high_as_the_values_of_which_the_highest_is_full() -> None:
    assert sparkline([0.0, 0.25, 0.5]) == "▁▅█"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""
    assert len(sparkline([0.5] * 100)) == 24


def test_before_the_first_epoch_nothing_is_known_but_whether_there_is_a_gpu() -> None:
    assert described(1, 30, [], 0, on_cpu=False) == "epoch 1/30"
    assert described(1, 30, [], 0, on_cpu=True) == (
        "epoch 1/30, there is no GPU: after an epoch it is known how long it takes"
    )


def test_after_an_epoch_its_losses_the_curve_and_the_time_left_are_told() -> None:
    done = [epoch(1, 0.2), epoch(2, 0.4)]
    assert described(3, 30, done, 2, on_cpu=True) == (
        "epoch 3/30, box 1.500 cls 0.750 dfl 1.250, mAP50 0.400 ▅█, about 28 min left without a GPU"
    )


def test_the_speed_is_that_of_this_attempt() -> None:
    done = [epoch(1, 0.2, seconds=3600.0), epoch(2, 0.2, seconds=10.0)]
    assert "about 30 s left" in described(3, 5, done, 1, on_cpu=False)
    assert "left" not in described(3, 5, done, 0, on_cpu=False)
    assert "about 2.0 h left" in described(3, 4, done[:1], 1, on_cpu=False)


def test_after_the_last_epoch_no_time_is_left() -> None:
    done = [epoch(1, 0.2, final=True)]
    assert described(1, 30, done, 1, on_cpu=False).endswith("validating the best")
