from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clips import number_in, numbered_picture, write_clip
from worker.video import VideoReader
from worker.video_writer import VideoWriter


def _grey(width: int = 64, height: int = 64) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def test_what_is_written_is_read_back_with_the_times_of_its_source(tmp_path: Path) -> None:
    source, copy = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    times_s = write_clip(source, [(60, 30), (20, 10)], b_frames=2)

    with VideoReader(source) as reader:
        info = reader.info
        with VideoWriter(copy, info.width, info.height, info.fps) as writer:
            for frame in reader:
                writer.write(frame.image, frame.time_s)
    with VideoReader(copy) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    assert [number for number, _ in frames] == list(range(80))
    assert [time_s for _, time_s in frames] == pytest.approx(times_s, abs=1e-4)
    assert reader.end_s == pytest.approx(4.0, abs=0.06)
    assert reader.damage is None


def test_players_get_h264_in_yuv420p_with_the_index_in_front(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, 64, 64, 25.0) as writer:
        writer.write(_grey(), 0.0)

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("width", "height"), [(131, 67), (130, 67), (131, 68)])
def test_odd_sizes_are_padded_at_the_right_and_below(
    tmp_path: Path, width: int, height: int
) -> None:
    clip = tmp_path / "clip.mp4"
    picture = numbered_picture(0b1010_1100_0101_0110, width, height)
    with VideoWriter(clip, width, height, 30.0) as writer:
        writer.write(picture, 0.0)

    with VideoReader(clip) as reader:
        (frame,) = reader

    assert frame.image.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(frame.image[:height, :width].astype(int) - picture).mean() < 4
    assert np.abs(frame.image[-1].astype(int) - frame.image[-2]).mean() < 4


@pytest.mark.parametrize("colour", [(200, 30, 40), (40, 190, 60), (30, 50, 210)])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, 1280, 720, 30.0) as writer:
        writer.write(np.full((720, 1280, 3), colour, np.uint8), 0.0)

    with VideoReader(clip) as reader:
        (frame,) = reader

    assert np.abs(frame.image.reshape(-1, 3).mean(axis=0) - colour).max() < 4


def test_an_unknown_rate_does_not_prevent_writing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, 64, 64, 0.0) as writer:
        writer.write(_grey(), 0.0)
        writer.write(_grey(), 0.5)

    with VideoReader(clip) as reader:
        assert [frame.time_s for frame in reader] == pytest.approx([0.0, 0.5])


def test_an_error_leaves_no_file_and_keeps_the_one_that_was_there(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"the file of an earlier attempt")

    def write_and_fail() -> None:
        with VideoWriter(clip, 64, 64, 5) as writer:
            for number in range(100):
                writer.write(_grey(), number / 5)
            raise RuntimeError("out of products")

    with pytest.raises(RuntimeError, match="out of products"):
        write_and_fail()

    assert list(tmp_path.iterdir()) == [clip]
    assert clip.read_bytes() == b"the file of an earlier attempt"


def test_a_finished_video_replaces_the_file_that_was_there(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"the file of an earlier attempt")

    with VideoWriter(clip, 64, 64, 5) as writer:
        writer.write(_grey(), 0.0)

    assert list(tmp_path.iterdir()) == [clip]
    with VideoReader(clip) as reader:
        assert sum(1 for _ in reader) == 1


def test_a_video_without_frames_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="at least one frame"),
        VideoWriter(tmp_path / "clip.mp4", 64, 64, 5),
    ):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        VideoWriter(tmp_path / "nowhere" / "clip.mp4", 64, 64, 5) as writer,
    ):
        writer.write(_grey(), 0.0)


@pytest.mark.parametrize("time_s", [0.2, 0.1, -0.1])
def test_times_must_increase(tmp_path: Path, time_s: float) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 64, 64, 5) as writer:
        writer.write(_grey(), 0.2)
        with pytest.raises(ValueError, match="not later"):
            writer.write(_grey(), time_s)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="the video is"),
        VideoWriter(tmp_path / "clip.mp4", 64, 64, 5) as writer,
    ):
        writer.write(_grey(66, 64), 0.0)


@pytest.mark.parametrize(("width", "height", "fps"), [(0, 64, 5.0), (64, 0, 5.0), (64, 64, -1.0)])
def test_sizes_and_rates_that_no_video_has_are_refused(
    tmp_path: Path, width: int, height: int, fps: float
) -> None:
    with pytest.raises(ValueError, match="cannot write"):
        VideoWriter(tmp_path / "clip.mp4", width, height, fps)
