"""Counts on rendered scenes against what was drawn: `python -m bench.scene_counts`.

Every scene is one that the model was not trained on. A product counts as drawn if it shows for
at least as long as `initialization_delay`, and more than a quarter of it does so at some moment.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from db.files import sha256_of
from db.layout import model_address
from db.results import TrackResult
from db.specs import TrackerOptions, TrackSpec
from demo.belt import belt
from demo.render import write_clip
from demo.shelf import shelf
from demo.truth import ClipTruth
from worker.context import Context
from worker.jobs import track

WEIGHTS = Path(__file__).parent.parent / "demo" / "products.pt"
SCENES = [(belt, seed) for seed in (1, 2, 3, 4)] + [(shelf, seed) for seed in (3, 4)]
SECONDS = 20.0


def main() -> None:
    """Track every scene and print the table."""
    table = Table("scene", "products drawn", "tracks", "|difference| by class", "peaks right")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        kept = home / model_address(sha256_of(WEIGHTS))
        kept.parent.mkdir(parents=True)
        kept.write_bytes(WEIGHTS.read_bytes())
        for build, seed in SCENES:
            clip = home / f"{build.__name__}-{seed}.mp4"
            truth = write_clip(build(seed, SECONDS), clip, clip.with_suffix(".json"))
            table.add_row(clip.stem, *compare(truth, run(home, clip)))
    Console().print(table)


def run(home: Path, clip: Path) -> TrackResult:
    """Track one clip with the default options."""
    folder = home / "jobs" / clip.stem
    folder.mkdir(parents=True)
    spec = TrackSpec(
        video=str(clip),
        video_sha256=sha256_of(clip),
        model="demo",
        model_sha256=sha256_of(WEIGHTS),
    )
    return track.run(spec, Context(home, folder))


def compare(truth: ClipTruth, found: TrackResult) -> tuple[str, str, str, str]:
    """Products drawn, tracks, how far the classes differ, and the classes whose peak is right."""
    delay = TrackerOptions().initialization_delay
    shown = [
        product
        for product in truth.products
        if len(product.boxes) >= delay and max(box.visible for box in product.boxes.values()) > 0.25
    ]
    drawn = Counter(product.class_name for product in shown)
    tracks = Counter({count.class_name: count.tracks for count in found.counts})
    off = sum(abs(drawn[name] - tracks[name]) for name in drawn | tracks)
    peaks = {count.class_name: count.peak_simultaneous for count in found.counts}
    right = sum(peaks.get(name) == _peak(truth, name) for name in drawn)
    return str(len(shown)), str(tracks.total()), str(off), f"{right} of {len(drawn)}"


def _peak(truth: ClipTruth, name: str) -> int:
    per_frame = Counter(
        frame for product in truth.products if product.class_name == name for frame in product.boxes
    )
    return max(per_frame.values())


if __name__ == "__main__":
    main()
