"""`make demo`: one real `track` job on the embedded default, from a clip to a report.

It starts a broker, a database, a worker and a reconciler of its own under `demo-output/`, puts the
job through the real queue, prints what came out, and stops everything that it started.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av

from demo.belt import belt
from demo.render import truth_path, write_clip
from demo.truth import ClipTruth

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "demo-output"
WEIGHTS = HERE / "products.pt"

# Held out from the training; long enough to show occlusions and every class.
SEED, SECONDS = 4, 25.0


def main() -> int:
    """Run the demo; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--video", type=Path, help="a video of your own")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a YOLOv8 checkpoint")
    chosen = parser.parse_args()
    home = OUTPUT / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    os.environ |= {"NIGHTSHELF_HOME": str(home), "NIGHTSHELF_DEVICES": "auto"}
    for name in ("NIGHTSHELF_DATABASE_URL", "NIGHTSHELF_BROKER_URL"):
        os.environ.pop(name, None)

    # Only now: settings are read once, when they are first asked for.
    from db.errors import NightshelfError

    try:
        video = chosen.video or _render(OUTPUT / "belt.mp4")
        return _track(video, chosen.weights, home)
    except NightshelfError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; everything it started is stopped\n")
        return 130


def _render(clip: Path) -> Path:
    print(f"A checkout belt, {SECONDS:g} s, rendered with its exact truth (seed {SEED}).")
    write_clip(belt(SEED, SECONDS), clip, truth_path(clip))
    return clip


def _track(video: Path, weights: Path, home: Path) -> int:
    from db.settings import settings
    from producer import add_model, job, report, track
    from producer.console import print_report
    from producer.embedded import Embedded
    from producer.progress import follow

    print("Starting broker, database, worker and reconciler …")
    with Embedded(settings(), with_flower=False):
        if not _succeeded(follow([add_model(weights, "demo").job.id])):
            return 3
        [asked] = track([video], "demo", annotate=True)
        if not _succeeded(follow([asked.job.id])):
            return 3
        print()
        print_report(report("tracks", asked.job.id))
        print()
        counts = report("counts", asked.job.id)
        print_report(counts)
        files = {file.name: home / file.address for file in job(asked.job.id).files}
    if truth_path(video).exists():
        _compare(ClipTruth.read(truth_path(video)), counts.rows.dicts())
    picture = OUTPUT / "frame.png"
    _save_frame(files["annotated.mp4"], picture)
    print("\nEverything that was started is stopped. What came out:")
    print(f"  annotated video  {files['annotated.mp4']}")
    print(f"  a frame of it    {picture}")
    print(f"  every box        {files['trajectories.parquet']}")
    print(f"  the database     {home / 'nightshelf.db'}")
    return 0


def _succeeded(jobs: Sequence[object]) -> bool:
    failed = [job for job in jobs if getattr(job, "state", None) != "succeeded"]
    for job in failed:
        sys.stderr.write(f"demo: {getattr(job, 'label', '')}: {getattr(job, 'error', '')}\n")
    return not failed


def _compare(truth: ClipTruth, counts: Sequence[dict[str, object]]) -> None:
    """Hold what was counted against what was drawn."""
    from producer.console import print_table

    drawn = Counter(product.class_name for product in truth.products)
    counted = {str(row["class"]): row for row in counts}
    peaks = {name: _peak(truth, name) for name in drawn}
    print()
    print_table(
        ("class", "products drawn", "tracks", "most at once, drawn", "counted"),
        [
            (
                name,
                drawn[name],
                counted.get(name, {}).get("tracks", 0),
                peaks[name],
                counted.get(name, {}).get("peak_simultaneous", 0),
            )
            for name in sorted(drawn)
        ],
    )


def _peak(truth: ClipTruth, name: str) -> int:
    per_frame = Counter(
        frame
        for product in truth.products
        if product.class_name == name
        for frame in range(product.entry, product.exit + 1)
    )
    return max(per_frame.values())


def _save_frame(video: Path, picture: Path) -> None:
    """Save a frame from the middle of a video."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        middle = (stream.frames or 2) // 2
        for number, frame in enumerate(container.decode(stream)):
            if number == middle:
                frame.to_image().save(picture)
                return


if __name__ == "__main__":
    sys.exit(main())
