from __future__ import annotations

import os
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import (
    cut_off,
    hide_first_second,
    number_in,
    spoil_packet,
    write_clip,
)
from worker.read_ahead import read_ahead
from worker.video import VideoInfo, VideoReader, probe


def test_every_frame_comes_once_and_in_order_of_presentation(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    times_s = write_clip(clip, [(90, 30)], b_frames=3)
    with av.open(str(clip)) as container:
        decoding_order = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    assert (np.diff(decoding_order) < 0).any()  # it does have B-frames

    with VideoReader(clip) as reader:
        frames = list(reader)

    assert [number_in(frame.image) for frame in frames] == list(range(90))
    assert [frame.index for frame in frames] == list(range(90))
    assert [frame.time_s for frame in frames] == pytest.approx(times_s)
    assert (reader.frames_decoded, reader.missing, reader.damage) == (90, 0, None)


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_times_hold_where_the_frame_rate_changes(
    tmp_path: Path, suffix: str, b_frames: int
) -> None:
    clip = tmp_path / f"clip{suffix}"
    times_s = write_clip(clip, [(60, 30), (20, 10)], b_frames=b_frames)

    with VideoReader(clip) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    assert [number for number, _ in frames] == list(range(80))
    # Matroska counts in milliseconds.
    assert [time_s for _, time_s in frames] == pytest.approx(times_s, abs=0.001)
    assert frames[-1][1] == pytest.approx(3.9, abs=0.001)
    assert reader.end_s == pytest.approx(4.0, abs=0.001)


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    times_s = write_clip(clip, start_s=5)

    with VideoReader(clip) as reader:
        assert [frame.time_s for frame in reader] == pytest.approx(times_s)
    assert reader.end_s == pytest.approx(2.0)


def test_times_increase_where_the_container_has_none_for_presentation(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    times_s = write_clip(clip, b_frames=2)

    with VideoReader(clip) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    assert [number for number, _ in frames] == list(range(60))
    assert (np.diff([time_s for _, time_s in frames]) > 0).all()
    assert [time_s for _, time_s in frames] == pytest.approx(times_s, abs=0.1)


def test_a_stride_skips_frames_but_counts_them(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    times_s = write_clip(clip, b_frames=2)

    with VideoReader(clip, stride=7) as reader:
        frames = [(frame.index, number_in(frame.image), frame.time_s) for frame in reader]

    shown = range(0, 60, 7)
    assert [(index, number) for index, number, _ in frames] == [(n, n) for n in shown]
    assert [time_s for *_, time_s in frames] == pytest.approx([times_s[n] for n in shown])
    assert reader.frames_decoded == 60
    assert reader.end_s == pytest.approx(2.0)


def test_a_probe_says_what_the_container_claims(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(60, 30)], sound=True)

    assert probe(clip) == VideoInfo(
        width=128, height=64, fps=30.0, frames_claimed=60, duration_s=2.0, codec="h264"
    )


def test_a_container_that_states_no_number_of_frames_claims_none(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_clip(clip)

    assert probe(clip).frames_claimed is None


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_turned_and_mirrored_as_the_file_asks(
    tmp_path: Path, rotation: int, mirrored: bool
) -> None:
    lying, clip = tmp_path / "lying.mp4", tmp_path / "clip.mp4"
    write_clip(lying, [(20, 10)])
    write_clip(clip, [(20, 10)], rotation=rotation, mirrored=mirrored)
    with VideoReader(lying) as reader:
        *_, as_coded = (frame.image for frame in reader)
    expected = np.rot90(as_coded, rotation // 90)
    expected = np.fliplr(expected) if mirrored else expected

    with VideoReader(clip) as reader:
        *_, image = (frame.image for frame in reader)

    assert np.array_equal(image, expected)
    assert image.flags.c_contiguous
    assert image.shape[:2] == (reader.info.height, reader.info.width)


def test_odd_sizes_are_decoded_whole(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, width=131, height=67, pix_fmt="yuv444p")

    with VideoReader(clip) as reader:
        frames = list(reader)

    assert (reader.info.width, reader.info.height) == (131, 67)
    assert {frame.image.shape for frame in frames} == {(67, 131, 3)}
    assert [number_in(frame.image) for frame in frames] == list(range(60))


@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_truncated_mp4_gives_what_decodes_and_says_how_much_is_missing(
    tmp_path: Path, b_frames: int
) -> None:
    clip = tmp_path / "clip.mp4"
    times_s = write_clip(clip, [(120, 30)], b_frames=b_frames)
    cut_off(clip, 0.6)

    with VideoReader(clip) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    assert 10 < len(frames) < 110
    # With B-frames, some frames before the last may lie behind the cut.
    numbers = [number for number, _ in frames]
    assert numbers == sorted(set(numbers))
    assert [time_s for _, time_s in frames] == pytest.approx([times_s[n] for n in numbers])
    assert reader.info.frames_claimed == 120
    assert reader.missing == 120 - len(frames)
    assert f"{reader.missing} of 120 frames are missing" in str(reader.damage)


def test_a_truncated_matroska_says_that_it_ends_early(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_clip(clip, [(120, 30)])
    cut_off(clip, 0.4)

    with VideoReader(clip) as reader:
        numbers = [number_in(frame.image) for frame in reader]

    assert numbers == list(range(len(numbers)))
    assert "its container says 4.0 s" in str(reader.damage)


def test_decoding_goes_on_after_a_corrupt_packet(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    times_s = write_clip(clip, key_every=1)
    spoil_packet(clip, 30)

    with VideoReader(clip) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    decodable = [number for number in range(60) if number != 30]
    assert [number for number, _ in frames] == decodable
    assert [time_s for _, time_s in frames] == pytest.approx([times_s[n] for n in decodable])
    assert reader.missing == 1
    assert "packets that could not be decoded: 1" in str(reader.damage)


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(60, 30)], b_frames=2)
    hide_first_second(clip)

    with VideoReader(clip) as reader:
        frames = [(number_in(frame.image), frame.time_s) for frame in reader]

    assert [number for number, _ in frames] == list(range(30, 60))
    assert frames[0][1] == 0.0
    assert (reader.info.frames_claimed, reader.missing, reader.damage) == (30, 0, None)


def test_text_in_another_encoding_in_the_metadata_does_no_harm(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    data = clip.read_bytes()
    assert b"VideoHandler" in data
    clip.write_bytes(data.replace(b"VideoHandler", b"Vid\xe9oHandler"))

    assert probe(clip).frames_claimed == 60


def test_damage_does_not_spill_onto_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(120, 30)], b_frames=3)
    spoil_packet(clip, 20)
    cut_off(clip, 0.6)
    capfd.readouterr()

    with VideoReader(clip) as reader:
        assert sum(1 for _ in reader) > 0

    assert capfd.readouterr() == ("", "")


def test_a_stride_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stride"):
        VideoReader(tmp_path / "clip.mp4", stride=0)


def test_a_closed_reader_does_not_pass_for_a_finished_one(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    with VideoReader(clip) as reader:
        frames = iter(reader)
        next(frames)

    with pytest.raises(ValueError, match="closed"):
        list(frames)


def test_leaving_early_closes_the_file_and_ends_every_thread(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    probe(clip)  # whatever the libraries start once for good, they have started now
    files, threads = os.listdir("/proc/self/fd"), os.listdir("/proc/self/task")

    with VideoReader(clip) as reader:
        for frame in read_ahead(reader, depth=2):
            if frame.index == 5:
                break
    del reader

    assert len(os.listdir("/proc/self/fd")) == len(files)
    # A thread that was joined is in the kernel's list for a moment longer.
    limit = time.monotonic() + 10
    while len(left := os.listdir("/proc/self/task")) > len(threads):
        assert time.monotonic() < limit, left
        time.sleep(0.01)


def test_a_reader_closed_under_a_thread_that_reads_ahead_does_no_harm(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(300, 30)])

    with VideoReader(clip) as reader:
        frames = read_ahead(reader, depth=2)
        next(frames)

    with pytest.raises(ValueError, match="closed"):
        list(frames)
