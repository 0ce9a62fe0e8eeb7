"""What commands print for people and for programs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars
import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

import producer
from db import job_creation
from db import jobs as protocol
from db.dialect import reading
from db.settings import Settings
from producer.cli import app, main
from tests.recorded import WORKER, finished, register_model, track, track_result, track_spec
from tests.servers import PostgresCluster

CLASSES = ("apple", "banana", "grape")
VIEWS = {"tracks": "track_report", "counts": "count_report"}

Run = Callable[..., str]


@pytest.fixture
def run(configured: Settings) -> Run:
    """`nightshelf ARGUMENTS`, which must end with this code; gives its standard output."""

    def _run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    return _run


@pytest.fixture
def model(configured: Settings, database: Engine) -> str:
    return register_model(database, "fruit", CLASSES, configured.home)


@pytest.fixture
def seen(database: Engine, model: str) -> int:
    """A job that saw three tracks of two classes in a video with an awkward name."""
    tracks = [track(1, 0, 0, 59, 0.9), track(2, 2, 5, 14, 0.7), track(3, 2, 20, 20, 0.3)]
    spec = track_spec(model, '/footage/aisle "4", [red] :apple: 🍎.mp4')
    return finished(database, spec, track_result(tracks, CLASSES, 60)).id


@pytest.fixture
def unseen(database: Engine, model: str) -> int:
    """A job that saw nothing."""
    return finished(database, track_spec(model), track_result([], CLASSES, 60)).id


def in_view(database: Engine, view: str, job_id: int) -> list[dict[str, Any]]:
    with reading(database) as tx:
        rows = tx.execute(
            text(f"SELECT * FROM {view} WHERE job_id = :job ORDER BY 2"), {"job": job_id}
        )
        return [{k: v for k, v in row.items() if k != "job_id"} for row in rows.mappings()]


def test_a_report_as_json_is_what_sql_says(run: Run, database: Engine, seen: int) -> None:
    tracks, counts = (json.loads(run("report", name, str(seen), "--json")) for name in VIEWS)
    assert tracks == {
        "job": seen,
        "totals": in_view(database, "track_totals", seen)[0],
        "quality": in_view(database, "track_quality", seen)[0],
        "tracks": in_view(database, "track_report", seen),
    }
    assert counts == {
        "job": seen,
        "totals": tracks["totals"],
        "counts": in_view(database, "count_report", seen),
    }


def test_a_report_as_csv_is_what_sql_says(run: Run, database: Engine, seen: int) -> None:
    for name, view in VIEWS.items():
        rows = list(csv.DictReader(io.StringIO(run("report", name, str(seen), "--csv"))))
        expected = in_view(database, view, seen)
        assert [list(row) for row in rows] == [list(row) for row in expected]
        for row, wanted in zip(rows, expected, strict=True):
            assert {key: type(wanted[key])(text) for key, text in row.items()} == wanted


def test_a_report_as_parquet_is_what_sql_says(
    run: Run, database: Engine, seen: int, tmp_path: Path
) -> None:
    for name, view in VIEWS.items():
        path = tmp_path / f"{name}.parquet"
        assert run("report", name, str(seen), "--parquet", str(path)) == "", "a note on stderr"
        assert polars.read_parquet(path).to_dicts() == in_view(database, view, seen)


def test_a_report_on_nothing_seen_has_its_columns_all_the_same(
    run: Run, database: Engine, seen: int, unseen: int, tmp_path: Path
) -> None:
    for name, view in VIEWS.items():
        columns = list(in_view(database, view, seen)[0])
        assert run("report", name, str(unseen), "--csv").splitlines() == [",".join(columns)]
        path = tmp_path / "none.parquet"
        run("report", name, str(unseen), "--parquet", str(path))
        assert polars.read_parquet(path).columns == columns
        said = json.loads(run("report", name, str(unseen), "--json"))
        assert said[name] == []
        assert said["totals"]["tracks"] == 0
        assert said["totals"]["mean_duration_s"] is None
        assert "tracks" in run("report", name, str(unseen))


def test_a_report_as_a_table_has_totals_and_every_row_under_the_names_of_sql(
    run: Run, database: Engine, seen: int
) -> None:
    for name, view in VIEWS.items():
        lines = run("report", name, str(seen)).splitlines()
        rows = in_view(database, view, seen)
        [header] = (number for number, line in enumerate(lines) if "class" in line.split())
        assert lines[header].split() == list(rows[0])
        assert len(lines[header + 1 :]) == len(rows)
        assert any('/footage/aisle "4", [red] :apple: 🍎.mp4' in line for line in lines)
        assert any(line.startswith("mean_duration_s ") for line in lines)


def test_a_file_that_cannot_be_written_is_one_line(
    seen: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", "tracks", str(seen), "--parquet", "/nowhere/tracks.parquet"]
    monkeypatch.setattr(sys, "argv", ["nightshelf", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("nightshelf: ")
    assert said.err.count("\n") == 1
    assert "/nowhere/tracks.parquet" in said.err


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_while_a_command_runs_is_one_line(
    configured: Settings, model: str, database: Engine, postgres: PostgresCluster
) -> None:
    with database.begin() as tx:
        job, _ = job_creation.create(tx, track_spec(model), max_attempts=3)
    with subprocess.Popen(
        [sys.executable, "-m", "producer", "jobs", "watch", str(job.id), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["state"] == "queued"
        postgres.stop()
        try:
            _, said = watch.communicate(timeout=60)
        finally:
            postgres.start()
    assert watch.returncode == 1
    assert said.startswith("nightshelf: the database does not answer: ")
    assert said.count("\n") == 1


def test_only_one_form_is_printed_at_a_time(run: Run, seen: int) -> None:
    done = CliRunner().invoke(app, ["report", "tracks", str(seen), "--csv", "--json"])
    assert "exclude each other" in str(done.exception)
    assert done.stdout == ""


def test_jobs_are_listed_as_json_with_every_column_but_the_lease(
    run: Run, database: Engine, seen: int, unseen: int
) -> None:
    listed = json.loads(run("jobs", "list", "--kind", "track", "--json"))
    assert [job["id"] for job in listed] == [unseen, seen]
    with reading(database) as tx:
        row = tx.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": seen}).mappings().one()
    assert set(row) - set(listed[1]) == {"lease_token", "superseded"}
    for column in ("kind", "label", "state", "attempt", "queue", "worker", "progress_done"):
        assert listed[1][column] == row[column]
    assert listed[1]["priority"] == "normal"
    assert listed[1]["spec"]["video"] == '/footage/aisle "4", [red] :apple: 🍎.mp4'
    ended = datetime.fromisoformat(listed[1]["ended_at"])
    assert ended.utcoffset() is not None
    assert ended >= datetime.fromisoformat(listed[1]["started_at"])


def test_jobs_are_filtered_by_state_and_number(run: Run, seen: int, unseen: int) -> None:
    assert json.loads(run("jobs", "list", "--state", "failed", "--json")) == []
    done = json.loads(run("jobs", "list", "--state", "succeeded", "--limit", "1", "--json"))
    assert [job["id"] for job in done] == [unseen]
    run("jobs", "list", "--state", "finished", code=2)
    run("jobs", "list", "--limit", "0", code=2)


def test_a_list_for_people_has_a_line_per_job_with_its_name_as_it_is(run: Run, seen: int) -> None:
    header, *lines = run("jobs", "list").splitlines()
    assert header.split() == ["job", "state", "kind", "label", "attempt", "created", "progress"]
    assert len(lines) == 2
    assert 'aisle "4", [red] :apple: 🍎.mp4 · coco' in lines[0]


def test_a_job_is_shown_as_json_with_attempts_and_files(
    run: Run, database: Engine, model: str
) -> None:
    with database.begin() as tx:
        job, _ = job_creation.create(tx, track_spec(model), max_attempts=3)
        lease = protocol.claim(tx, job.id, WORKER, 60)
        assert lease is not None
        protocol.fail(tx, lease, "out of luck", 'Traceback …\n  File "x.py"')
    shown = json.loads(run("jobs", "show", str(job.id), "--json"))
    assert (shown["state"], shown["error"]) == ("queued", "out of luck")
    assert (shown["children"], shown["files"]) == ([], [])
    [attempt] = shown["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["worker"]) == (
        1,
        "failed",
        "cpu-1@here",
    )
    assert attempt["traceback"] == 'Traceback …\n  File "x.py"'
    assert "lease_token" not in shown
    for_people = run("jobs", "show", str(job.id))
    assert "out of luck" in for_people
    assert 'Traceback …\n  File "x.py"' in for_people
    assert "to be tried again: out of luck" in run("jobs", "list")


def test_what_is_done_to_a_job_is_printed_as_json(run: Run, database: Engine, model: str) -> None:
    with database.begin() as tx:
        job, _ = job_creation.create(tx, track_spec(model), max_attempts=3)
    assert json.loads(run("jobs", "cancel", str(job.id), "--json"))["state"] == "cancelled"
    assert json.loads(run("jobs", "retry", str(job.id), "--json"))["state"] == "queued"
    run("jobs", "cancel", str(job.id))
    lines = run("jobs", "watch", str(job.id), "--json", code=3).splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["cancelled"]
    assert run("jobs", "watch", str(job.id), code=3).startswith(
        f"job {job.id}  cancelled  aisle.mp4"
    )


def test_a_request_is_answered_with_a_line_per_video(run: Run, model: str, tmp_path: Path) -> None:
    for name in ("[a] 1.mp4", "b.mp4"):
        (tmp_path / name).write_text(name)
    said = run("track", str(tmp_path), "--model", "fruit")
    first, second = (job.id for job in reversed(producer.jobs(kinds=["track"])))
    assert said.splitlines() == [
        f"job {first}  [a] 1.mp4  queued",
        f"job {second}  b.mp4  queued",
    ]
    again = json.loads(run("track", str(tmp_path / "b.mp4"), "--model", "fruit", "--json"))
    assert [(job["id"], job["new"]) for job in again] == [(second, False)]


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("classes", ["", "apple,,grape", "apple;grape"])
def test_classes_that_are_no_names_of_classes_are_refused(
    configured: Settings, tmp_path: Path, classes: str
) -> None:
    (tmp_path / "b.mp4").touch()
    arguments = ["track", str(tmp_path / "b.mp4"), "--model", "fruit", "--classes", classes]
    assert "has no class" in str(CliRunner().invoke(app, arguments).exception)


def test_models_are_listed_and_shown(run: Run, model: str) -> None:
    [listed] = json.loads(run("models", "list", "--json"))
    shown = json.loads(run("models", "show", "fruit", "--json"))
    [change] = shown.pop("stages")
    assert listed == shown
    assert (change["stage"], change["changed_by"]) == ("production", f"job {listed['job_id']}")
    assert (listed["name"], listed["sha256"], listed["classes"]) == ("fruit", model, list(CLASSES))
    assert "0 apple, 1 banana, 2 grape" in run("models", "show", "fruit")
    assert run("models", "list").splitlines()[1].split()[:3] == [
        "fruit@1",
        "production",
        "yolov8n",
    ]
