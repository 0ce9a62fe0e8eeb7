"""A written clip: all its frames, and the truth beside it."""

from pathlib import Path

import av
import numpy as np
import pytest

from demo.belt import belt
from demo.render import truth_path, write_clip
from demo.truth import ClipTruth


def test_a_written_clip_has_every_frame_and_its_truth_reads_back(tmp_path: Path) -> None:
    scene = belt(2, 2.4, 192, 108, 10)
    clip = tmp_path / "clip.mp4"
    truth = write_clip(scene, clip, truth_path(clip))

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 10
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(stream)]
    assert len(pictures) == scene.film.frames == truth.frames == 24
    for number in (0, 11, 23):
        off = np.abs(pictures[number].astype(int) - scene.render(number)[0])
        assert off.mean() < 8

    assert truth_path(clip) == tmp_path / "clip.truth.json"
    assert ClipTruth.read(truth_path(clip)) == truth
    assert truth.products


def test_a_clip_can_be_cut_at_a_key_frame_every_two_seconds(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(belt(2, 4.5, 96, 54, 10), clip, truth_path(clip))
    with av.open(str(clip)) as container:
        keys = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(video=0)
            if packet.is_keyframe and packet.pts is not None
        ]
    assert keys == pytest.approx([0.0, 2.0, 4.0])


def test_a_frames_boxes_are_those_that_rendering_gave() -> None:
    scene = belt(2, 1.0, 192, 108, 10)
    rendered = [boxes for _, boxes in scene]
    truth = scene.truth(rendered)
    assert [truth.in_frame(frame) for frame in range(truth.frames)] == rendered
