"""Promotion by a comparison, and the lineage of models; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

import producer
from db import jobs
from db.comparison_tables import ComparisonModelRow, ComparisonRow
from db.dataset_results import known_dataset
from db.errors import ModelError, UsageError
from db.job_records import Job
from db.layout import checkpoint_address, model_address
from db.settings import Settings
from db.specs import CheckSpec, RegisterSpec, Spec
from db.training_results import write_epoch
from db.training_tables import TrainingRow
from producer.cli import app
from tests.labelled import write_dataset
from tests.recorded import WORKER, checkpoint, claimed, epoch_facts, finished, sha256

_MEASURED = {
    "precision": 0.9,
    "recall": 0.9,
    "f1": 0.9,
    "map50": 0.9,
    "map50_95": 0.7,
    "best_confidence": 0.4,
    "counted_at": 0.4,
    "true_positives": 9,
    "false_positives": 1,
    "false_negatives": 1,
    "counted_precision": 0.9,
    "counted_recall": 0.9,
    "counted_f1": 0.9,
    "size_bytes": 1,
    "parameters": 1,
    "gflops": 1.0,
    "preprocess_ms": 1.0,
    "inference_ms": 1.0,
    "postprocess_ms": 1.0,
}


@pytest.fixture
def fruit(configured: Settings, database: Engine) -> Engine:
    """Three versions of `fruit`, the first of them in production."""
    for content in "abc":
        spec = RegisterSpec(
            name="fruit", weights=f"/w/{content}.pt", weights_sha256=sha256(content)
        )
        finished(database, spec, checkpoint("apple"))
        kept = configured.home / model_address(sha256(content))
        kept.parent.mkdir(parents=True)
        kept.write_text(content)
    return database


def ended(database: Engine, number: int) -> Job:
    """A job that succeeded, and wrote nothing."""
    asked: Spec = CheckSpec(name="x", data="/x.yaml", dataset_sha256=sha256(str(number)))
    with database.begin() as tx:
        lease = claimed(tx, asked)
        jobs.finish(tx, lease)
    return lease.job


def compared(
    database: Engine,
    *versions: int,
    low: float | None,
    high: float | None,
    done: Job | None = None,
    left_out: Mapping[int, list[str]] | None = None,
) -> int:
    """A comparison of versions of `fruit` with the first of them; returns its job."""
    ids = {one.version: one.id for one in producer.models()}
    job = done or ended(database, 1)
    with database.begin() as tx:
        dataset = known_dataset(tx, sha256("data"), "shop", "/shop/data.yaml")
        values: dict[str, Any] = {
            "split": "val",
            "imgsz": 640,
            "batch": 16,
            "conf": 0.001,
            "iou": 0.7,
            "max_det": 300,
            "match_iou": 0.5,
            "device": "cpu",
            "images": 54,
            "instances": 100,
            "classes": ["apple"],
        }
        tx.execute(insert(ComparisonRow).values(job_id=job.id, dataset_id=dataset, **values))
        for position, version in enumerate(versions):
            differences: dict[str, Any] = {}
            if position:
                for metric in ("map50", "map50_95"):
                    differences |= {
                        f"{metric}_difference": ((low or 0) + (high or 0)) / 2,
                        f"{metric}_low": low,
                        f"{metric}_high": high,
                    }
            row = {"job_id": job.id, "position": position, "model_id": ids[version]}
            differences |= {"left_out": (left_out or {}).get(version, [])}
            tx.execute(insert(ComparisonModelRow).values(**row, **_MEASURED, **differences))
    return job.id


def in_production() -> list[str]:
    return [one.reference for one in producer.models() if one.stage == "production"]


def test_what_was_shown_to_be_better_is_promoted_and_the_comparison_is_its_reason(
    fruit: Engine,
) -> None:
    job = compared(fruit, 1, 2, low=0.012, high=0.056)
    promoted = producer.promote_if_better(job, by="ada@shop")
    assert promoted.reference == "fruit@2"
    assert in_production() == ["fruit@2"]
    change = producer.stage_changes("fruit@2")[-1]
    assert (change.job_id, change.changed_by) == (job, "ada@shop")
    assert change.why == (
        f"map50_95 +0.034, 95 % interval [+0.012, +0.056], compared with fruit@1 in job {job}"
    )


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.08), (0.0, 0.05), (-0.2, -0.1)])
def test_what_was_not_shown_to_be_better_is_refused(fruit: Engine, low: float, high: float) -> None:
    job = compared(fruit, 1, 2, low=low, high=high)
    with pytest.raises(UsageError, match=r"fruit@2 was not shown to be better: map50 .* nothing"):
        producer.promote_if_better(job, metric="map50")
    assert in_production() == ["fruit@1"]


def test_a_comparison_with_what_is_no_longer_in_production_promotes_nothing(fruit: Engine) -> None:
    job = compared(fruit, 1, 2, low=0.01, high=0.05)
    producer.promote("fruit@3", why="in a hurry")
    with pytest.raises(UsageError, match="were changed while it was compared"):
        producer.promote_if_better(job)
    assert in_production() == ["fruit@3"]
    since = producer.last_stage_change("fruit")
    assert producer.promote_if_better(job, since=since).reference == "fruit@2"


def test_what_was_retired_while_it_was_compared_stays_retired(fruit: Engine) -> None:
    job = compared(fruit, 1, 2, low=0.01, high=0.05)
    producer.retire("fruit@2", why="mixes up limes and lemons")
    with pytest.raises(UsageError, match="were changed while it was compared"):
        producer.promote_if_better(job)
    assert in_production() == ["fruit@1"]


def test_a_version_that_was_added_while_it_was_compared_is_no_hindrance(fruit: Engine) -> None:
    job = compared(fruit, 1, 2, low=0.01, high=0.05)
    spec = RegisterSpec(name="fruit", weights="/d.pt", weights_sha256=sha256("d"))
    finished(fruit, spec, checkpoint("apple"))
    assert producer.promote_if_better(job).reference == "fruit@2"


def test_a_comparison_without_an_interval_decides_nothing(fruit: Engine) -> None:
    job = compared(fruit, 1, 2, low=None, high=None)
    with pytest.raises(UsageError, match="on too few images to tell which is better: nothing was"):
        producer.promote_if_better(job)
    assert in_production() == ["fruit@1"]


def test_a_model_that_has_lost_a_class_is_refused_however_good_it_is(fruit: Engine) -> None:
    job = compared(fruit, 1, 2, low=0.6, high=0.8, left_out={1: ["kiwi"], 2: ["kiwi", "orange"]})
    with pytest.raises(UsageError, match="fruit@2 does not know orange, which fruit@1 does: noth"):
        producer.promote_if_better(job)
    assert in_production() == ["fruit@1"]


def test_only_a_comparison_of_two_decides(fruit: Engine) -> None:
    with pytest.raises(UsageError, match="compared no two models"):
        producer.promote_if_better(ended(fruit, 2).id)
    three = compared(fruit, 1, 2, 3, low=0.01, high=0.05)
    with pytest.raises(UsageError, match="compared no two models"):
        producer.promote_if_better(three)


@pytest.fixture
def run() -> Callable[..., str]:
    """`nightshelf ARGUMENTS`, which must end with this code; gives all that it says."""

    def _run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return done.output if done.exception is None else f"{done.output}{done.exception}"

    return _run


@pytest.mark.parametrize(("low", "better"), [(0.012, True), (-0.01, False)])
def test_the_command_compares_first_and_promotes_what_is_better_alone(
    fruit: Engine, tmp_path: Path, run: Callable[..., str], low: float, better: bool
) -> None:
    data = str(write_dataset(tmp_path / "shop"))
    asked = producer.compare("fruit", ["fruit@2"], data, imgsz=320)
    with fruit.begin() as tx:
        lease = jobs.claim(tx, asked.job.id, WORKER, 60)
        assert lease is not None
        jobs.finish(tx, lease)
    compared(fruit, 1, 2, low=low, high=0.05, done=asked.job)
    gate = ("--if-better-than", "production", "--on", data, "--imgsz", "320")
    said = run("models", "promote", "fruit@2", *gate, code=0 if better else 1)
    if better:
        assert "fruit@2 is in production: fruit means it from now on" in said
    else:
        assert "fruit@2 was not shown to be better" in said
    assert in_production() == ["fruit@2" if better else "fruit@1"]
    assert len([one for one in producer.jobs() if one.kind == "compare"]) == 1


@pytest.mark.usefixtures("fruit")
def test_the_commands_change_stages_and_show_who_did(run: Callable[..., str]) -> None:
    assert "needs its reason" in run("models", "promote", "fruit@2", code=1)
    again = ("models", "promote", "fruit@1", "--if-better-than", "fruit@2", "--on", "/none.yaml")
    assert "fruit@1 is in production already" in run(*again, code=1)
    half = ("models", "promote", "fruit@2", "--if-better-than", "production")
    assert "--if-better-than needs --on DATA.yaml" in run(*half, code=1)
    run("models", "promote", "fruit@2", "--why", "fewer misses at night")
    assert "fruit@3 is retired" in run("models", "retire", "fruit@3", "--why", "no")
    assert [line.split()[:2] for line in run("models", "list").splitlines()[1:]] == [
        ["fruit@1", "retired"],
        ["fruit@2", "production"],
        ["fruit@3", "retired"],
    ]
    assert "fewer misses at night" in run("models", "show", "fruit")
    [origin] = json.loads(run("models", "lineage", "fruit", "--json"))
    assert (origin["model"]["reference"], origin["made"]) == ("fruit@2", None)
    assert "/w/b.pt" in run("models", "lineage", "fruit")


def trained(database: Engine, version: int, base: int | None) -> None:
    """Say that a version was trained from another, or from scratch."""
    ids = {one.version: one.id for one in producer.models()}
    job = ended(database, 10 + version)
    with database.begin() as tx:
        tx.execute(
            insert(TrainingRow).values(
                job_id=job.id,
                model_id=ids[version],
                base_model_id=base and ids[base],
                base=f"fruit@{base}" if base else "yolov8s.yaml",
                dataset_id=known_dataset(tx, sha256("data"), "shop", "/shop/data.yaml"),
                args={"lr0": 0.01},
                versions={"ultralytics": "8.4"},
                device="cpu",
                batch=16,
                epochs=30,
                epochs_run=20,
                best_epoch=12,
                stopped_early=True,
                seconds=60.0,
            )
        )
        for number in (19, 20):
            address = checkpoint_address(job.id, 1, number)
            write_epoch(tx, job.id, 1, epoch_facts(number), address, sha256(str(address)))


def test_a_lineage_goes_back_to_what_was_added(fruit: Engine) -> None:
    trained(fruit, 3, base=2)
    trained(fruit, 2, base=1)
    found = producer.lineage("fruit@3")
    assert [one.model.reference for one in found] == ["fruit@3", "fruit@2", "fruit@1"]
    newest, _, oldest = found
    assert newest.made is not None
    assert (newest.made.base, newest.made.dataset) == ("fruit@2", "shop")
    assert (newest.made.best_epoch, newest.made.last_epoch) == (12, 20)
    assert (newest.made.args, newest.made.versions) == ({"lr0": 0.01}, {"ultralytics": "8.4"})
    assert oldest.made is None, "it was added from a file"


def test_a_lineage_ends_at_a_training_from_scratch(fruit: Engine) -> None:
    trained(fruit, 2, base=None)
    [one] = producer.lineage("fruit@2")
    assert one.made is not None
    assert one.made.base == "yolov8s.yaml"


@pytest.mark.usefixtures("fruit")
def test_an_unknown_model_has_no_lineage() -> None:
    with pytest.raises(ModelError, match="there is no model fruit@7"):
        producer.lineage("fruit@7")
