"""Write a scene as an H.264 clip with its truth beside it: `python -m demo.render`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import av
from rich.progress import track

from demo.belt import belt
from demo.scenes import FPS, HEIGHT, WIDTH, Film, Image, Scene
from demo.shelf import shelf
from demo.truth import ClipTruth, TruthBox

_KEY_FRAME_S = 2.0
"""A key frame this often, as recorders set it, so that a clip can be cut."""

_CRF = "20"
"""H.264's quality: small files in which the grain still shows."""


def write_clip(scene: Scene, clip: Path, truth: Path) -> ClipTruth:
    """Render every frame into an MP4 at `clip` and the truth into JSON at `truth`."""
    frames = track(scene, f"Rendering {clip.name}", total=scene.film.frames)
    boxes = _encode(frames, clip, scene.film)
    found = scene.truth(boxes)
    found.write(truth)
    return found


def truth_path(clip: Path) -> Path:
    """Where the truth of a clip is kept: `clip.truth.json` for `clip.mp4`."""
    return clip.with_suffix(".truth.json")


def _encode(
    frames: Iterable[tuple[Image, list[TruthBox]]], clip: Path, film: Film
) -> list[list[TruthBox]]:
    """Encode the pictures as they come, and return the boxes that came with them."""
    boxes: list[list[TruthBox]] = []
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=film.fps)
        stream.width, stream.height = film.width, film.height
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": _CRF, "g": str(round(_KEY_FRAME_S * film.fps))}
        for image, found in frames:
            boxes.append(found)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return boxes


def main() -> None:
    """Parse the command line, render, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m demo.render", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=("belt", "shelf"), default="belt")
    parser.add_argument("--seed", type=int, default=4, help="which scene (4)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--width", type=int, default=WIDTH, help=f"pixels, even ({WIDTH})")
    parser.add_argument("--height", type=int, default=HEIGHT, help=f"pixels, even ({HEIGHT})")
    parser.add_argument("--fps", type=int, default=FPS, help=f"frames a second ({FPS})")
    parser.add_argument("--out", type=Path, default=Path("clip.mp4"), help="the clip (clip.mp4)")
    chosen = parser.parse_args()
    build = belt if chosen.kind == "belt" else shelf
    scene = build(chosen.seed, chosen.seconds, chosen.width, chosen.height, chosen.fps)
    truth = write_clip(scene, chosen.out, truth_path(chosen.out))
    print(f"{chosen.out}: {truth.frames} frames, {len(truth.products)} products")
    print(f"{truth_path(chosen.out)}: the truth")


if __name__ == "__main__":
    main()
