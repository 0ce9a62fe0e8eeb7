"""Reports against counts made another way, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, text

from db import reports
from db.dialect import reading
from producer import report
from producer.reporting import ReportName
from tests.recorded import finished, register_model, track, track_result, track_spec
from worker.track_statistics import Track

NAMES = ("apple", "banana", "grape")
FPS = 10.0


def many(number: int, frames: int) -> list[Track]:
    """Tracks of all classes and of any length, many of which overlap."""
    dice = random.Random(number)
    made = []
    for one in range(1, number + 1):
        first = dice.randrange(frames)
        last = min(frames - 1, first + dice.choice((0, 1, 5, 9, 10, 29, 30, 31, 80)))
        made.append(track(one, dice.randrange(len(NAMES)), first, last, dice.uniform(0.3, 0.9)))
    return made


# Of each job: its id, its video, its tracks, and how many frames the video has.
Scenes = list[tuple[int, str, list[Track], int]]

SCENES: dict[str, tuple[list[Track], int]] = {
    "several classes that overlap": (
        [
            track(1, 0, 0, 59, 0.9),
            track(2, 0, 20, 40, 0.6),
            track(3, 0, 41, 41, 0.3),
            track(4, 2, 5, 15, 0.5),
            track(5, 2, 15, 25, 0.7),
        ],
        60,
    ),
    "one track of one frame": ([track(1, 1, 7, 7, 0.4)], 30),
    "tracks that meet in one frame": ([track(1, 1, 0, 9), track(2, 1, 9, 19)], 20),
    "tracks that follow each other": ([track(1, 1, 0, 9), track(2, 1, 10, 19)], 20),
    "as long as the bounds of short and long": (
        [track(1, 0, 0, 9), track(2, 0, 0, 10), track(3, 0, 0, 30), track(4, 0, 0, 31)],
        40,
    ),
    "no tracks at all": ([], 30),
    "many tracks": (many(150, 400), 400),
}


@pytest.fixture
def scenes(database: Engine) -> Scenes:
    """A finished job for each scene, side by side: its id, video, tracks and frames."""
    model = register_model(database, "coco", NAMES)
    made = []
    for name, (tracks, frames) in SCENES.items():
        video = f"/footage/{name}.mp4"
        result = track_result(tracks, NAMES, frames, FPS)
        made.append(
            (finished(database, track_spec(model, video), result).id, video, tracks, frames)
        )
    return made


def run(database: Engine, name: str, job_id: int) -> list[dict[str, Any]]:
    with reading(database) as tx:
        return reports.run(tx, name, job_id).dicts()


def query(database: Engine, sql: str, **values: object) -> list[tuple[Any, ...]]:
    with reading(database) as tx:
        return [tuple(row) for row in tx.execute(text(sql), values)]


def test_the_track_report_has_a_row_per_track_as_it_was(database: Engine, scenes: Scenes) -> None:
    for job_id, video, tracks, _ in scenes:
        expected = [
            {
                "track": one.number,
                "class": NAMES[one.class_id],
                "first_frame": one.first_frame,
                "last_frame": one.last_frame,
                "duration_frames": len(range(one.first_frame, one.last_frame + 1)),
                "first_s": one.first_s,
                "last_s": one.last_s,
                "duration_s": one.last_s - one.first_s,
                "detections": one.detections,
                "mean_confidence": one.mean_confidence,
            }
            for one in tracks
        ]
        assert run(database, "track_report", job_id) == expected, video


# Each frame of a job joined with the tracks that cover it.
_COUNTED_BY_FRAME = """
WITH RECURSIVE frames(frame) AS (
    SELECT 0 UNION ALL SELECT frame + 1 FROM frames WHERE frame < :frames - 1
),
visible AS (
    SELECT frames.frame, tracks.class, COUNT(*) AS number
    FROM frames
    JOIN tracks ON frames.frame BETWEEN tracks.first_frame AND tracks.last_frame
    WHERE tracks.job_id = :job
    GROUP BY frames.frame, tracks.class
)
SELECT class, MAX(number), SUM(number) * 1.0 / :frames
FROM visible GROUP BY class ORDER BY class
"""


def test_the_count_report_equals_a_count_frame_by_frame_in_sql(
    database: Engine, scenes: Scenes
) -> None:
    for job_id, video, _, frames in scenes:
        counted = query(database, _COUNTED_BY_FRAME, job=job_id, frames=frames)
        found = run(database, "count_report", job_id)
        assert [(row["class"], row["peak_simultaneous"]) for row in found] == [
            (name, peak) for name, peak, _ in counted
        ], video
        assert [row["mean_visible"] for row in found] == pytest.approx(
            [float(mean) for _, _, mean in counted]
        ), video


def test_the_count_report_equals_a_count_in_python(database: Engine, scenes: Scenes) -> None:
    for job_id, video, tracks, frames in scenes:
        found = run(database, "count_report", job_id)
        by_class: dict[str, list[Track]] = {}
        for one in tracks:
            by_class.setdefault(NAMES[one.class_id], []).append(one)
        assert [row["class"] for row in found] == sorted(by_class), video
        for row in found:
            assert row == counted_in_python(row["class"], by_class[row["class"]], frames), video


def counted_in_python(name: str, tracks: list[Track], frames: int) -> dict[str, Any]:
    visible = Counter(
        frame for one in tracks for frame in range(one.first_frame, one.last_frame + 1)
    )
    boxes = [one.mean_confidence for one in tracks for _ in range(one.detections)]
    return {
        "class": name,
        "tracks": len(tracks),
        "peak_simultaneous": max(visible.values()),
        "mean_visible": pytest.approx(visible.total() / frames),
        "detections": len(boxes),
        "mean_duration_s": pytest.approx(fmean(one.last_s - one.first_s for one in tracks)),
        "mean_confidence": pytest.approx(fmean(boxes)),
    }


def test_totals_and_quality_equal_a_count_in_python(database: Engine, scenes: Scenes) -> None:
    for job_id, video, tracks, frames in scenes:
        [totals] = run(database, "track_totals", job_id)
        assert totals == totals_in_python(video, tracks, frames)
        [quality] = run(database, "track_quality", job_id)
        assert quality == quality_in_python(tracks), video


def totals_in_python(video: str, tracks: list[Track], frames: int) -> dict[str, Any]:
    lengths = [one.last_frame - one.first_frame + 1 for one in tracks]
    seconds = [one.last_s - one.first_s for one in tracks]
    return {
        "video": video,
        "model": "coco",
        "model_version": 1,
        "video_s": frames / FPS,
        "frames_decoded": frames,
        "frames_missing": 2,
        "frames_processed": frames,
        "frames_inferred": frames,
        "limited_frames": 1,
        "detections": sum(one.detections for one in tracks),
        "tracks": len(tracks),
        "mean_duration_frames": pytest.approx(fmean(lengths)) if tracks else None,
        "max_duration_frames": max(lengths, default=None),
        "min_duration_frames": min(lengths, default=None),
        "mean_duration_s": pytest.approx(fmean(seconds)) if tracks else None,
        "max_duration_s": max(seconds, default=None),
        "min_duration_s": min(seconds, default=None),
    }


def quality_in_python(tracks: list[Track]) -> dict[str, Any]:
    seconds = [one.last_s - one.first_s for one in tracks]
    short, long = sum(one < 1 for one in seconds), sum(one > 3 for one in seconds)
    return {
        "tracks": len(tracks),
        "short_tracks": short,
        "short_share": pytest.approx(short / len(tracks)) if tracks else None,
        "long_tracks": long,
        "long_share": pytest.approx(long / len(tracks)) if tracks else None,
    }


def test_a_view_and_the_report_of_its_name_say_the_same(database: Engine, scenes: Scenes) -> None:
    job_id = scenes[0][0]
    for name in ("track_report", "track_totals", "count_report", "track_quality"):
        columns = [column["name"] for column in inspect(database).get_columns(name)]
        with reading(database) as tx:
            found = reports.run(tx, name, job_id)
        assert ["job_id", *found.columns] == columns
        sql = f"SELECT * FROM {name} WHERE job_id = :job ORDER BY 2"
        in_view = query(database, sql, job=job_id)
        assert in_view
        assert [(job_id, *row) for row in found.rows] == in_view


@pytest.mark.parametrize("name", reports.NAMES)
def test_every_report_describes_itself(name: str) -> None:
    loaded = reports.load(name)
    assert loaded.name == name
    assert loaded.description.endswith(".")
    assert "--" not in loaded.sql


def test_a_job_without_results_has_no_rows(database: Engine) -> None:
    assert [run(database, name, 999) for name in reports.NAMES] == [[]] * len(reports.NAMES)


@contextmanager
def counted_statements(database: Engine) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database, "before_cursor_execute", note)
    yield statements
    event.remove(database, "before_cursor_execute", note)


@pytest.mark.usefixtures("configured")
def test_the_number_of_statements_does_not_grow_with_the_tracks(database: Engine) -> None:
    model = register_model(database, "coco", NAMES)
    needed: dict[tuple[str, int], list[str]] = {}
    for number in (1, 150):
        spec = track_spec(model, f"/footage/{number}.mp4")
        job_id = finished(database, spec, track_result(many(number, 400), NAMES, 400)).id
        names: tuple[ReportName, ...] = ("tracks", "counts")
        for name in names:
            with counted_statements(database) as statements:
                assert report(name, job_id).summaries["totals"]["tracks"] == number
            needed[name, number] = [one for one in statements if "SELECT" in one]
    for name in names:
        assert needed[name, 1] == needed[name, 150]
        assert 1 < len(needed[name, 1]) <= 8, needed[name, 1]
