"""Reports on models against the same taken from the tables in Python."""

from __future__ import annotations

import json
from csv import DictReader
from dataclasses import replace
from datetime import datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Double, Engine, Integer, Text, delete, inspect, text
from typer.testing import CliRunner

from db import reports
from db.dialect import UtcDateTime, reading
from db.error_kinds import BoxSize
from db.errors import UsageError
from db.evaluation_tables import EvaluationErrorRow
from db.report_columns import TIMES, ColumnType, column_type
from db.settings import Settings
from producer import report
from producer.cli import app
from producer.reporting import ReportName
from tests.measured import CLASSES, SPLITS, Measured

Row = dict[str, Any]


@pytest.fixture
def measured(database: Engine) -> Measured:
    return Measured(database)


def table(database: Engine, name: str) -> list[Row]:
    with reading(database) as tx:
        return [dict(row) for row in tx.execute(text(f"SELECT * FROM {name}")).mappings()]


def view(database: Engine, name: str, job_id: int | None = None) -> list[Row]:
    with reading(database) as tx:
        if job_id is None:
            return reports.run_for_all(tx, name).dicts()
        return reports.run(tx, name, job_id).dicts()


def same(found: Row, row: Row, *columns: str) -> bool:
    return all(found[name] == row[name] for name in columns)


def test_the_leaderboard_is_the_best_of_each_model_on_each_split(
    database: Engine, measured: Measured
) -> None:
    objects = (50, 50, 20)  # the third model does not know all classes
    for number in range(24):
        model = number % 3
        measured.evaluation(model, number % 2, SPLITS[number % 5 % 3], instances=objects[model])
    equal = {"map50_95": 0.5, "instances": 50}
    older, newer, third = (measured.evaluation(one, 2, "val", **equal) for one in (0, 0, 1))
    last = measured.evaluation(2, 2, "val", map50_95=0.25, instances=50)
    models = {row["id"]: row for row in table(database, "models")}
    datasets = {row["id"]: row for row in table(database, "datasets")}
    groups: dict[tuple[int, str], dict[int, Row]] = {}
    for row in sorted(table(database, "evaluations"), key=lambda row: row["job_id"]):
        best = groups.setdefault((row["dataset_id"], row["split"]), {})
        known = best.get(row["model_id"])
        if known is None or row["map50_95"] >= known["map50_95"]:
            best[row["model_id"]] = row
    found = view(database, "model_leaderboard")
    assert len(found) == sum(map(len, groups.values()))
    by_job = {row["job_id"]: row for row in found}
    for (dataset_id, _), best in groups.items():
        for row in best.values():
            one, model = by_job[row["job_id"]], models[row["model_id"]]
            better = sum(
                other["map50_95"] > row["map50_95"] and other["instances"] == row["instances"]
                for other in best.values()
            )
            assert one["rank"] == 1 + better
            assert (one["model"], one["model_version"]) == (model["name"], model["version"])
            assert same(one, model, "stage", "parameters")
            assert one["dataset"] == datasets[dataset_id]["name"]
            assert one["dataset_content"] == datasets[dataset_id]["sha256"][:12]
            metrics = ("map50_95", "map50", "precision", "recall", "f1", "best_confidence")
            assert same(one, row, "split", *metrics, "imgsz", "images", "instances", "device")
            speed = row["preprocess_ms"] + row["inference_ms"] + row["postprocess_ms"]
            assert one["image_ms"] == pytest.approx(speed)
            assert one["evaluated_at"].tzinfo is not None
    assert older not in by_job
    assert [by_job[one]["rank"] for one in (newer, third, last)] == [1, 1, 3]
    assert {row["classes"] for row in found} == {len(CLASSES) - 1}, "one has no objects"
    order = [
        (row["dataset"], row["dataset_content"], row["split"], -row["instances"], row["rank"])
        for row in found
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("done", [True, False])
def test_training_curves_are_the_epochs_of_a_training(
    database: Engine, measured: Measured, done: bool
) -> None:
    measured.training(2)
    job_id = measured.training(12, done=done)
    epochs = [row for row in table(database, "training_epochs") if row["job_id"] == job_id]
    found = view(database, "training_curves", job_id)
    assert [row["epoch"] for row in found] == list(range(1, 13))
    known = ("shelf", 1, "fruit") if done else (None, None, None)
    for one, row in zip(found, sorted(epochs, key=lambda row: row["epoch"]), strict=True):
        losses = [f"{place}{part}_loss" for place in ("", "val_") for part in ("box", "cls", "dfl")]
        assert same(one, row, *losses, "precision", "recall", "map50", "map50_95", "seconds")
        assert (one["model"], one["model_version"], one["dataset"]) == known
        rates = row["learning_rates"]
        rates = json.loads(rates) if isinstance(rates, str) else rates
        assert json.loads(one["learning_rates"]) == rates
        assert one["best"] == (one["epoch"] == 3)
    totals = view(database, "training_totals", job_id)
    assert len(totals) == done
    if done:
        [row] = [row for row in table(database, "trainings") if row["job_id"] == job_id]
        assert same(totals[0], row, "base", "device", "batch", "epochs", "best_epoch", "seconds")
        assert totals[0]["stopped_early"] == int(row["stopped_early"])


def test_an_evaluation_is_its_classes_and_all_of_them(database: Engine, measured: Measured) -> None:
    measured.evaluation(1, 1)
    job_id = measured.evaluation(0, 0)
    metrics = ("images", "instances", "precision", "recall", "f1", "map50", "map50_95")
    classes = {
        row["class"]: row
        for row in table(database, "evaluation_classes")
        if row["job_id"] == job_id
    }
    [whole] = [row for row in table(database, "evaluations") if row["job_id"] == job_id]
    found = view(database, "evaluation_report", job_id)
    assert [row["class"] for row in found] == [*CLASSES, None]
    for row in found:
        assert same(row, classes.get(row["class"], whole), *metrics, "best_confidence")
    [totals] = view(database, "evaluation_totals", job_id)
    counts = ("true_positives", "false_positives", "false_negatives")
    assert same(totals, whole, "split", "imgsz", "batch", "conf", "iou", "max_det", *counts)
    assert (totals["model"], totals["dataset"]) == ("fruit", "fruit")
    swept = view(database, "confidence_sweep", job_id)
    kept = [row for row in table(database, "evaluation_sweep") if row["job_id"] == job_id]
    kept.sort(key=lambda row: (row["class"] is None, row["class"] or "", row["confidence"]))
    columns = ("confidence", "precision", "recall", "f1")
    assert [[row["class"], *(row[name] for name in columns)] for row in swept] == [
        [row["class"], *(row[name] for name in columns)] for row in kept
    ]


def test_errors_are_those_of_an_evaluation_and_of_each_model_of_a_comparison(
    database: Engine, measured: Measured
) -> None:
    evaluated, compared = measured.evaluation(0, 0), measured.comparison()
    measured.evaluation(1, 1)
    kinds = table(database, "evaluation_errors")
    expected = [("fruit", row) for row in kinds if row["job_id"] == evaluated]
    assert_costs(view(database, "error_report", evaluated), expected)
    names = ("fruit", "coco", "shelf")
    of_all = [(names[row["position"]], row) for row in table(database, "comparison_errors")]
    found = view(database, "error_report", compared)
    assert [row["model"] for row in found] == [name for name in names for _ in range(6)]
    assert_costs(found, of_all)
    confusion = view(database, "confusion_report", evaluated)
    counts = [
        (row["true_class"], row["predicted_class"], row["count"])
        for row in table(database, "evaluation_confusion")
        if row["job_id"] == evaluated
    ]
    ordered = sorted(counts, key=lambda one: (-one[2], one[0] or "", one[1] or ""))
    assert [tuple(row.values()) for row in confusion] == ordered
    kept = {
        (row["class"], row["size"]): row
        for row in table(database, "evaluation_misses")
        if row["job_id"] == evaluated
    }
    misses = view(database, "miss_report", evaluated)
    assert [(row["class"], row["size"]) for row in misses] == [
        (name, size) for name in CLASSES for size in BoxSize
    ]
    for row in misses:
        one = kept[row["class"], row["size"]]
        assert same(row, one, "instances", "found", "missed")
        rate = one["missed"] / one["instances"] if one["instances"] else None
        assert row["miss_rate"] == rate


def assert_costs(found: list[Row], expected: list[tuple[str, Row]]) -> None:
    assert sorted(
        (row["model"], row["kind"], row["count"], row["map50_cost"]) for row in found
    ) == (sorted((name, row["kind"], row["count"], row["map50_cost"]) for name, row in expected))
    for one, other in pairwise(found):
        assert one["position"] < other["position"] or one["map50_cost"] >= other["map50_cost"]


def test_detections_have_the_names_of_their_images(database: Engine, measured: Measured) -> None:
    measured.prediction(3)
    job_id = measured.prediction(30)
    names = {
        row["number"]: row["name"]
        for row in table(database, "prediction_images")
        if row["job_id"] == job_id
    }
    boxes = [row for row in table(database, "detections") if row["job_id"] == job_id]
    found = view(database, "detection_report", job_id)
    assert len(found) == len(boxes) > 30
    for row, box in zip(found, sorted(boxes, key=lambda box: box["number"]), strict=True):
        assert row["image"] == names[box["image_number"]]
        assert same(row, box, "number", "class", "confidence", "x1", "y1", "x2", "y2")
    [totals] = view(database, "prediction_totals", job_id)
    [row] = [row for row in table(database, "predictions") if row["job_id"] == job_id]
    assert same(totals, row, "images", "unreadable", "detections", "conf", "seconds", "folder")


# The columns of SQLite's views have no types.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_columns_hold_what_is_said_of_them(database: Engine) -> None:
    kinds = {
        ColumnType.TEXT: Text,
        ColumnType.WHOLE: Integer,
        ColumnType.REAL: Double,
        ColumnType.TIME: type(UtcDateTime().impl),
    }
    for name in reports.NAMES:
        for column in inspect(database).get_columns(name):
            assert isinstance(column["type"], kinds[column_type(column["name"])]), (name, column)


@pytest.fixture
def jobs(configured: Settings, measured: Measured) -> dict[ReportName, list[str]]:
    """What each report is asked of: a job, or none."""
    evaluated = str(measured.evaluation(0, 0))
    return {
        "models": [],
        "training": [str(measured.training(5))],
        "evaluation": [evaluated],
        "errors": [evaluated],
        "detections": [str(measured.prediction(9))],
    }


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_each_report_says_the_same_in_every_form(
    jobs: dict[ReportName, list[str]], tmp_path: Path
) -> None:
    for name, asked in jobs.items():
        rows = report(name, *map(int, asked)).rows
        assert rows.rows
        said = json.loads(run(name, *asked, "--json"))[name]
        assert [list(row) for row in said] == [list(rows.columns)] * len(rows.rows)
        if name == "training":
            assert all(isinstance(rate, float) for rate in said[0]["learning_rates"])
        path = tmp_path / f"{name}.parquet"
        run(name, *asked, "--parquet", str(path))
        assert pl.read_parquet(path).rows() == list(rows.rows)
        csv = run(name, *asked, "--csv")
        assert len(csv.splitlines()) == len(rows.rows) + 1
        assert csv.splitlines()[0] == ",".join(rows.columns)
        for column in TIMES & set(rows.columns):
            times = [row[column] for row in DictReader(StringIO(csv))]
            assert [datetime.fromisoformat(one) for one in times] == [
                row[column] for row in rows.dicts()
            ]
            assert all(one.endswith("+00:00") for one in times)
        shown = run(name, *asked)
        assert all(column in shown for column in report(name, *map(int, asked)).shown.columns)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_page_needs_nothing_beside_it_and_has_its_plots(
    jobs: dict[ReportName, list[str]], tmp_path: Path
) -> None:
    plots = {"models": 1, "training": 3, "evaluation": 3, "errors": 3, "detections": 2}
    for name, asked in jobs.items():
        path = tmp_path / f"{name}.html"
        run(name, *asked, "--html", str(path))
        content = path.read_text(encoding="utf-8")
        assert content.count("data:image/png;base64,iVBORw0KGgo") == plots[name], name
        assert content.count("<img") == plots[name]
        assert "http" not in content


def test_an_evaluation_from_before_errors_were_kept_is_not_one_without_errors(
    configured: Settings, database: Engine, measured: Measured
) -> None:
    job_id = measured.evaluation(0, 0)
    with database.begin() as tx:
        tx.execute(delete(EvaluationErrorRow).where(EvaluationErrorRow.job_id == job_id))
    with pytest.raises(UsageError, match="was measured before errors were: do it again, with --f"):
        report("errors", job_id)


def test_an_empty_report_has_columns_of_their_types(
    configured: Settings, database: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "models.parquet"
    run("models", "--parquet", str(path))
    schema = pl.read_parquet(path).schema
    assert schema["map50_95"] == pl.Float64
    assert schema["rank"] == pl.Int64
    assert schema["model"] == pl.String
    assert schema["evaluated_at"] == pl.Datetime("us", "UTC")
    assert pl.Null not in schema.values()
    html = tmp_path / "models.html"
    run("models", "--html", str(html))
    assert "None." in html.read_text()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_class_with_an_odd_name_breaks_no_page(configured: Settings, measured: Measured) -> None:
    from producer.report_page import page

    found = report("evaluation", measured.evaluation(0, 0))
    odd = "<b>$1_{ or $2 梨"
    renamed = tuple((odd if row[0] == "apple" else row[0], *row[1:]) for row in found.rows.rows)
    rows = reports.Rows(found.rows.columns, renamed)
    content = page(replace(found, rows=rows))
    assert "<b>" not in content
    assert "&lt;b&gt;$1_{ or $2 梨" in content


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_has_no_number_is_drawn_as_a_gap(configured: Settings, measured: Measured) -> None:
    from producer.report_plots import plots

    found = report("training", measured.training(4))
    place = found.rows.columns.index("val_box_loss")
    rows = tuple((*row[:place], None, *row[place + 1 :]) for row in found.rows.rows)
    assert len(plots(replace(found, rows=reports.Rows(found.rows.columns, rows)))) == 3


def test_a_training_that_goes_on_has_its_epochs_so_far(
    configured: Settings, measured: Measured
) -> None:
    found = report("training", measured.training(4, done=False))
    assert len(found.rows.rows) == 4
    assert found.summaries == {}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tracks", "is of kind predict: it has no tracks"),
        ("training", "is of kind predict: it has no training"),
        ("errors", "is of kind predict: it has no errors"),
    ],
)
def test_a_job_of_another_kind_is_refused(
    configured: Settings, measured: Measured, name: ReportName, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        report(name, measured.prediction(3))
    with pytest.raises(UsageError, match=f"of which job are the {name} wanted"):
        report(name)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_of_no_class_is_told_from_a_class_of_that_name(
    configured: Settings, database: Engine, measured: Measured
) -> None:
    from producer.report_page import page
    from producer.report_plots import plots

    job_id = measured.evaluation(0, 0)
    with database.begin() as tx:
        for table, columns in {
            "evaluation_classes": ("class",),
            "evaluation_sweep": ("class",),
            "evaluation_confusion": ("true_class", "predicted_class"),
        }.items():
            for column in columns:
                for name, other in (("apple", "all"), ("banana", "background")):
                    values = f"SET {column} = '{other}' WHERE {column} = '{name}'"
                    tx.execute(text(f"UPDATE {table} {values}"))
    asked = str(job_id)
    evaluation = json.loads(run("evaluation", asked, "--json"))
    classes = ["all", "background", "grape", None]
    assert [row["class"] for row in evaluation["evaluation"]] == classes
    assert [row["class"] for row in evaluation["sweep"]] == [
        name for name in classes for _ in range(11)
    ]
    assert [line.split(",")[0] for line in run("evaluation", asked, "--csv").splitlines()] == [
        "class",
        *(name or "" for name in classes),
    ]
    shown = run("evaluation", asked)
    assert [line.split()[0] for line in shown.splitlines()[-4:]] == [*classes[:3], "(all)"]
    errors = json.loads(run("errors", asked, "--json"))
    pairs = [(row["true_class"], row["predicted_class"]) for row in errors["confusion"]]
    assert len(set(pairs)) == len(pairs) == 15
    assert len(plots(report("errors", job_id))) == 3
    assert len(plots(report("evaluation", job_id))) == 3
    assert "(background)" in page(report("errors", job_id))
