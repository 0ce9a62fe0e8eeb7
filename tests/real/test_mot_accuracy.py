"""On given detections, HOTA and IDF1 are the recorded ones, and better than plain Norfair's."""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import norfair
import numpy as np
import pytest
import trackeval

from db.specs import TrackerOptions
from worker.detection.detections import Detections
from worker.tracking import NorfairTracker

SEQUENCES = ("TUD-Campus", "TUD-Stadtmitte")
GOLDEN = json.loads(Path(__file__).with_name("mot_golden.json").read_text(encoding="utf-8"))
NORFAIR_DEFAULTS = TrackerOptions(hit_counter_max=15, initialization_delay=7)

Row = tuple[int, int, Iterable[float]]
"""Frame number from 0, track, and corners in pixels."""

Scores = Mapping[str, dict[str, dict[str, float]]]
"""Tracker -> sequence -> name of the number -> number."""


def sequence(folder: Path) -> list[Detections]:
    """The given detections of a MOTChallenge sequence, whose frames start at 1."""
    info = configparser.ConfigParser()
    info.read(folder / "seqinfo.ini")
    rows = np.loadtxt(folder / "det" / "det.txt", delimiter=",")
    frames = []
    for frame in range(info.getint("Sequence", "seqLength")):
        own = rows[rows[:, 0] == frame + 1]
        frames.append(
            Detections(
                frame=frame,
                time_s=frame / info.getfloat("Sequence", "frameRate"),
                xyxy=np.hstack([own[:, 2:4], own[:, 2:4] + own[:, 4:6]]).astype(np.float32),
                confidence=own[:, 6].astype(np.float32),
                class_id=np.zeros(len(own), np.int32),
            )
        )
    return frames


def ours(frames: list[Detections], options: TrackerOptions) -> list[Row]:
    tracker = NorfairTracker(options)
    observations = [seen for frame in frames for seen in tracker.update(frame)]
    observations += tracker.finish()[0]
    return [(seen.frame, seen.track, seen.xyxy) for seen in observations]


def plain(frames: list[Detections], options: TrackerOptions) -> list[Row]:
    """What a notebook does: the estimates of the objects that are active in each frame."""
    tracker = norfair.Tracker(
        distance_function=options.distance_function,
        distance_threshold=options.distance_threshold,
        hit_counter_max=options.hit_counter_max,
        initialization_delay=options.initialization_delay,
    )
    rows: list[Row] = []
    for frame in frames:
        boxes = [
            norfair.Detection(
                points=xyxy.reshape(2, 2).astype(float),
                scores=np.array([confidence, confidence]),
                label=0,
            )
            for xyxy, confidence in zip(frame.xyxy, frame.confidence, strict=True)
        ]
        rows += [(frame.frame, one.id, one.estimate.ravel()) for one in tracker.update(boxes)]
    return rows


def write_mot(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{frame + 1},{track},{x1:.3f},{y1:.3f},{x2 - x1:.3f},{y2 - y1:.3f},1,-1,-1,-1\n"
        for frame, track, (x1, y1, x2, y2) in rows
    ]
    path.write_text("".join(lines), encoding="utf-8")


def score(
    truth: Path, found: Path, trackers: list[str]
) -> Mapping[str, dict[str, dict[str, float]]]:
    """TrackEval's numbers; HOTA is its mean over the 19 thresholds."""
    evaluator = trackeval.Evaluator(
        {
            "LOG_ON_ERROR": None,
            "OUTPUT_DETAILED": False,
            "OUTPUT_SUMMARY": False,
            "PLOT_CURVES": False,
            "PRINT_CONFIG": False,
            "PRINT_RESULTS": False,
            "TIME_PROGRESS": False,
        }
    )
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "BENCHMARK": "MOT15",
            "GT_FOLDER": str(truth),
            "PRINT_CONFIG": False,
            "SEQ_INFO": dict.fromkeys(SEQUENCES),
            "SKIP_SPLIT_FOL": True,
            "TRACKERS_FOLDER": str(found),
            "TRACKERS_TO_EVAL": trackers,
        }
    )
    quiet = {"PRINT_CONFIG": False}
    metrics = [
        trackeval.metrics.HOTA(),
        trackeval.metrics.Identity(quiet),
        trackeval.metrics.CLEAR(quiet),
    ]
    results, _ = evaluator.evaluate([dataset], metrics)
    return {
        tracker: {
            name: {
                "HOTA": float(own["pedestrian"]["HOTA"]["HOTA"].mean()),
                "IDF1": float(own["pedestrian"]["Identity"]["IDF1"]),
                "identity_switches": int(own["pedestrian"]["CLEAR"]["IDSW"]),
            }
            for name, own in sequences.items()
        }
        for tracker, sequences in results["MotChallenge2DBox"].items()
    }


@pytest.fixture(scope="module")
def scores(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    truth = shared / "data" / "mot"
    found = tmp_path_factory.mktemp("trackers")
    for name in SEQUENCES:
        frames = sequence(truth / name)
        for tracker, rows in {
            "nightshelf": ours(frames, TrackerOptions()),
            "norfair": plain(frames, TrackerOptions()),
            "norfair_defaults": plain(frames, NORFAIR_DEFAULTS),
        }.items():
            write_mot(found / tracker / "data" / f"{name}.txt", rows)
    return score(truth, found, list(GOLDEN["scores"]))


@pytest.mark.parametrize("tracker", GOLDEN["scores"])
def test_accuracy_is_the_recorded_one(tracker: str, scores: Scores) -> None:
    expected = GOLDEN["scores"][tracker]

    assert scores[tracker].keys() == expected.keys()
    for name, numbers in expected.items():
        assert scores[tracker][name] == pytest.approx(numbers, abs=1e-6)


@pytest.mark.parametrize("name", [*SEQUENCES, "COMBINED_SEQ"])
@pytest.mark.parametrize("metric", ["HOTA", "IDF1"])
def test_accuracy_is_better_than_plain_norfairs(metric: str, name: str, scores: Scores) -> None:
    best_plain = max(scores[plain][name][metric] for plain in ("norfair", "norfair_defaults"))

    assert scores["nightshelf"][name][metric] > best_plain
