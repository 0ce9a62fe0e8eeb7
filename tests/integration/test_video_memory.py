from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import write_clip

_REPOSITORY = Path(__file__).resolve().parents[2]

# Holding on to its frames would cost 6000 x 320 x 180 x 3 bytes, about 990 MiB.
_MINUTES, _FPS, _WIDTH, _HEIGHT = 20, 5, 320, 180

_DECODE = """
import json, sys
from pathlib import Path
import psutil
from worker.read_ahead import read_ahead
from worker.video import VideoReader

process = psutil.Process()
after_a_minute = highest = 0
with VideoReader(Path(sys.argv[1])) as reader:
    for frame in read_ahead(reader):
        if frame.time_s >= 60:
            rss = process.memory_info().rss
            after_a_minute = after_a_minute or rss
            highest = max(highest, rss)
print(json.dumps([reader.frames_decoded, reader.end_s, highest - after_a_minute]))
"""


@pytest.mark.slow
def test_memory_stays_flat_over_twenty_minutes_of_video(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(
        clip,
        [(_MINUTES * 60 * _FPS, _FPS)],
        width=_WIDTH,
        height=_HEIGHT,
        b_frames=2,
        key_every=250,
    )

    child = subprocess.run(
        [sys.executable, "-c", _DECODE, str(clip)],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    frames, end_s, growth = json.loads(child.stdout)

    assert (frames, end_s) == (_MINUTES * 60 * _FPS, _MINUTES * 60)
    assert growth < 100 * 2**20
