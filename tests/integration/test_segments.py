from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path

import av
import pytest

from db.errors import VideoError
from db.specs import Segment
from tests.clips import cut_off, hide_first_second, number_in, spoil_packet, write_clip
from worker.segments import plan
from worker.video import VideoReader

_REPOSITORY = Path(__file__).resolve().parents[2]

# Long enough that decoding of the later segments begins in the middle.
_FRAMES = 240
_RATES = [(_FRAMES, 30)]

Shown = tuple[int, float, str]


@dataclass(frozen=True)
class Read:
    """What a reader gave: number, time and content of each frame, and its last words."""

    frames: list[Shown]
    decoded: int
    end_s: float
    missing: int
    damage: str | None


def read(clip: Path, stride: int = 1, segment: Segment | None = None) -> Read:
    with VideoReader(clip, stride, segment) as reader:
        frames = [
            (frame.index, frame.time_s, sha256(frame.image.data).hexdigest()) for frame in reader
        ]
    return Read(frames, reader.frames_decoded, reader.end_s, reader.missing, reader.damage)


def renumbered(parts: Sequence[Read], segments: Sequence[Segment]) -> list[Shown]:
    """All frames, numbered on by what was decoded: what is damaged is missing."""
    begins = accumulate((part.decoded for part in parts[:-1]), initial=0)
    return [
        (index - segment.first_frame + begin, time_s, content)
        for part, segment, begin in zip(parts, segments, begins, strict=True)
        for index, time_s, content in part.frames
    ]


def undecodable(damage: str | None) -> int:
    notes = [note.partition(": ") for note in (damage or "").split("; ")]
    return sum(int(n) for what, _, n in notes if what == "packets that could not be decoded")


def closed_gops(path: Path) -> None:
    write_clip(path, _RATES, b_frames=3, grainy=True)


def open_gops(path: Path) -> None:
    write_clip(path, _RATES, b_frames=3, codec_params="open-gop=1:scenecut=0", grainy=True)


def hevc_closed_gops(path: Path) -> None:
    _write_hevc(path, "open-gop=0:scenecut=0")


def hevc_open_gops(path: Path) -> None:
    _write_hevc(path, "open-gop=1:scenecut=0")


def _write_hevc(path: Path, params: str) -> None:
    write_clip(path, _RATES, codec="libx265", b_frames=3, codec_params=params, grainy=True)


def varying_rate(path: Path) -> None:
    write_clip(path, [(100, 30), (40, 10), (100, 60)], b_frames=3, grainy=True)


def late_start(path: Path) -> None:
    write_clip(path, _RATES, b_frames=3, start_s=5, grainy=True)


def trimmed(path: Path) -> None:
    write_clip(path, [(_FRAMES + 30, 30)], b_frames=2, grainy=True)
    hide_first_second(path)


def rotated(path: Path) -> None:
    write_clip(path, _RATES, rotation=90, mirrored=True, grainy=True)


def with_sound(path: Path) -> None:
    write_clip(path, _RATES, b_frames=2, sound=True, grainy=True)


def motion_jpeg(path: Path) -> None:
    write_clip(path, _RATES, codec="mjpeg", pix_fmt="yuvj420p", grainy=True)


def without_b_frames(path: Path) -> None:
    write_clip(path, _RATES, grainy=True)


def growing(path: Path) -> None:
    """A stream whose pictures become larger in the middle."""
    small, large = path.with_name("small.ts"), path.with_name("large.ts")
    write_clip(small, [(120, 30)], b_frames=2, grainy=True)
    write_clip(large, [(120, 30)], b_frames=2, width=192, height=96, start_s=5, grainy=True)
    path.write_bytes(small.read_bytes() + large.read_bytes())


def begun_in_the_middle(path: Path) -> None:
    """A recording whose beginning was cut away, so that its first frames cannot be decoded."""
    open_gops(path)
    data = path.read_bytes()
    packets = 188  # bytes of an MPEG-TS packet, ISO/IEC 13818-1
    tables, rest = data[: 3 * packets], data[len(data) // packets // 10 * packets :]
    path.write_bytes(tables + rest)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        *((f"clip{suffix}", closed_gops) for suffix in (".mp4", ".mkv", ".ts", ".flv")),
        *((f"clip{suffix}", open_gops) for suffix in (".mp4", ".mkv", ".ts")),
        ("clip.mp4", hevc_closed_gops),
        *((f"clip{suffix}", hevc_open_gops) for suffix in (".mp4", ".mkv", ".ts")),
        *((f"clip{suffix}", varying_rate) for suffix in (".mp4", ".mkv")),
        *((f"clip{suffix}", late_start) for suffix in (".mp4", ".ts")),
        ("clip.mp4", trimmed),
        ("clip.mp4", rotated),
        ("clip.mkv", with_sound),
        ("clip.avi", motion_jpeg),
        ("clip.avi", without_b_frames),
        ("clip.ts", growing),
        ("clip.ts", begun_in_the_middle),
    ],
)
def test_segments_together_give_what_the_whole_video_gives(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    clip = tmp_path / name
    write(clip)

    wholes = {stride: read(clip, stride) for stride in (1, 3)}
    assert wholes[1].decoded > 200

    for wanted in (1, 2, 7):
        segments = plan(clip, wanted)
        assert [segment.number for segment in segments] == list(range(wanted))
        for stride, whole in wholes.items():
            parts = [read(clip, stride, segment) for segment in segments]

            assert [frame for part in parts for frame in part.frames] == whole.frames
            assert sum(part.decoded for part in parts) == whole.decoded
            assert parts[-1].end_s == whole.end_s
            if wanted > 1:
                assert [part.decoded for part in parts] == [one.frames for one in segments]
                assert [(part.missing, part.damage) for part in parts] == [(0, None)] * wanted


@pytest.mark.parametrize("write", [open_gops, hevc_open_gops])
def test_frames_of_an_open_gop_shown_before_its_key_frame_are_of_the_segment_before(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    clip = tmp_path / "clip.mp4"
    write(clip)
    segments = plan(clip, 7)
    with av.open(str(clip)) as container:
        decoded = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    leading = 0
    for before, after in pairwise(segments):
        assert after.first_pts is not None
        leading += sum(pts < after.first_pts for pts in decoded[decoded.index(after.first_pts) :])
        with VideoReader(clip, segment=before) as reader:
            *_, last = (number_in(frame.image) for frame in reader)
        assert last == after.first_frame - 1
    assert leading > 0


def test_segments_are_of_about_equal_numbers_of_frames(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [(200, 10), (400, 60)], key_every=10)

    lengths = [segment.frames or 0 for segment in plan(clip, 6)]

    assert sum(lengths) == 600
    assert max(lengths) - min(lengths) <= 20


def test_a_segment_needs_nothing_from_long_before_it(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    open_gops(clip)
    *_, last = plan(clip, 3)
    sound = read(clip, segment=last)
    for number in range(5, 100):
        spoil_packet(clip, number)

    assert read(clip, segment=last) == sound


_READ_SEGMENT = """
import json, sys
from hashlib import sha256
from pathlib import Path
from db.specs import Segment
from worker.video import VideoReader

segment = Segment.model_validate_json(sys.argv[2])
with VideoReader(Path(sys.argv[1]), 3, segment) as reader:
    print(json.dumps([[f.index, f.time_s, sha256(f.image.data).hexdigest()] for f in reader]))
"""


def test_each_segment_can_be_decoded_in_a_process_of_its_own(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    open_gops(clip)

    frames = []
    for segment in plan(clip, 3):
        child = subprocess.run(
            [sys.executable, "-c", _READ_SEGMENT, str(clip), segment.model_dump_json()],
            cwd=_REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        frames += [tuple(frame) for frame in json.loads(child.stdout)]

    assert frames == read(clip, 3).frames


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_off_video_is_cut_into_what_is_left_of_it(
    tmp_path: Path, name: str, share: float
) -> None:
    clip = tmp_path / name
    closed_gops(clip)
    cut_off(clip, share)
    whole = read(clip)

    segments = plan(clip, 3)
    parts = [read(clip, segment=segment) for segment in segments]

    assert len(segments) == 3
    assert [frame for part in parts for frame in part.frames] == whole.frames
    assert parts[-1].end_s == whole.end_s
    assert [part.damage for part in parts[:-1]] == [None, None]
    # How many are missing is for whoever joins them to say: it is of the whole video.
    notes = [note for note in (whole.damage or "").split("; ") if "frames are missing" not in note]
    assert parts[-1].damage == ("; ".join(notes) or None)
    assert [part.missing for part in parts] == [0, 0, 0]


def key_frame_of_the_cut(cut: int) -> list[int]:
    return [cut]


def frames_before_the_cut(cut: int) -> list[int]:
    return [cut - 3, cut - 7]


def key_frames_before_the_cut(cut: int) -> list[int]:
    return [cut - 12, cut - 24, cut - 36, cut - 48]


def frames_after_the_cut(cut: int) -> list[int]:
    return [cut + 1, cut + 20]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize(
    "which",
    [
        key_frame_of_the_cut,
        frames_before_the_cut,
        key_frames_before_the_cut,
        frames_after_the_cut,
    ],
)
def test_segments_of_a_damaged_video_give_the_frames_of_the_whole_one(
    tmp_path: Path, name: str, which: Callable[[int], list[int]]
) -> None:
    clip = tmp_path / name
    write_clip(clip, _RATES, b_frames=2, codec_params="scenecut=0", grainy=True)
    for number in which(plan(clip, 3)[1].first_frame):
        spoil_packet(clip, number)
    whole = read(clip)
    assert whole.decoded < _FRAMES

    segments = plan(clip, 3)
    parts = [read(clip, segment=segment) for segment in segments]

    assert len(segments) == 3
    assert renumbered(parts, segments) == whole.frames
    assert parts[-1].end_s == whole.end_s
    assert sum(undecodable(part.damage) for part in parts) == undecodable(whole.damage)


def test_where_what_leads_up_to_a_segment_is_damaged_decoding_begins_before_that(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, _RATES, codec_params="scenecut=0", grainy=True)
    segments = plan(clip, 2)
    cut = segments[1].first_frame
    for number in range(cut - 60, cut + 12, 12):
        spoil_packet(clip, number, keep=5)
    whole = read(clip)
    assert undecodable(whole.damage) == 6

    parts = [read(clip, segment=segment) for segment in segments]

    # What FFmpeg makes up where a key frame is lost is not always the same, even in one process.
    shown = [(index, time_s) for index, time_s, _ in renumbered(parts, segments)]
    assert shown == [(index, time_s) for index, time_s, _ in whole.frames]
    assert sum(undecodable(part.damage) for part in parts) == 6


def test_a_segment_of_one_frame_ends_where_that_frame_ends_in_the_whole_video(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "clip.mkv"
    write_clip(clip, [(30, 30), (10, 5)], key_every=1)
    whole = read(clip)

    parts = [read(clip, segment=segment) for segment in plan(clip, 40)]

    assert [part.frames for part in parts] == [[frame] for frame in whole.frames]
    assert parts[-1].end_s == whole.end_s == pytest.approx(3.0, abs=0.001)


def avi_with_b_frames(path: Path) -> None:
    write_clip(path, _RATES, b_frames=2)


def one_key_frame(path: Path) -> None:
    write_clip(path, _RATES, key_every=1000, codec_params="scenecut=0")


def another_codec(path: Path) -> None:
    write_clip(path, _RATES, codec="mpeg4", b_frames=2)


def a_clock_that_jumps_back(path: Path) -> None:
    write_clip(path, _RATES)
    path.write_bytes(path.read_bytes() * 2)


def one_frame(path: Path) -> None:
    write_clip(path, [(1, 30)])


def copy(source: Path, path: Path, later: Mapping[int, int] | None = None) -> None:
    """Put the packets into another container, those numbered some milliseconds later."""
    with av.open(str(source)) as copied, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(copied.streams.video[0])
        for number, packet in enumerate(copied.demux(video=0)):
            if packet.size:
                assert packet.pts is not None
                packet.pts += (later or {}).get(number, 0)
                packet.stream = stream
                container.mux(packet)


def guessed_times(path: Path) -> None:
    """A copy of an AVI with B-frames: decoding times pass for presentation times."""
    avi_with_b_frames(path.with_suffix(".avi"))
    copy(path.with_suffix(".avi"), path)


def a_frame_after_the_next_key_frame(path: Path) -> None:
    source = path.with_name("source.mkv")
    write_clip(source, _RATES, codec_params="scenecut=0")
    copy(source, path, later={35: 50})


def a_frame_before_the_last_key_frame_but_one(path: Path) -> None:
    source = path.with_name("source.mkv")
    write_clip(source, _RATES, codec_params="scenecut=0")
    # A frame must not be shown before it is decoded, so all the others are shown later.
    copy(source, path, later=dict.fromkeys(range(_FRAMES), 2000) | {50: 2000 - 890})


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("clip.avi", avi_with_b_frames),
        ("clip.mp4", one_key_frame),
        ("clip.mp4", another_codec),
        ("clip.ts", a_clock_that_jumps_back),
        ("clip.mp4", one_frame),
        ("clip.mkv", guessed_times),
        ("clip.mkv", a_frame_after_the_next_key_frame),
        ("clip.mkv", a_frame_before_the_last_key_frame_but_one),
    ],
)
def test_a_video_whose_cutting_cannot_be_shown_to_be_exact_is_one_segment(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    clip = tmp_path / name
    write(clip)

    assert plan(clip, 3) == [Segment.whole()]
    assert read(clip, segment=Segment.whole()) == read(clip)


def test_a_stream_refreshed_little_by_little_is_not_cut_where_decoding_does_not_begin(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, _RATES, codec_params="intra-refresh=1", grainy=True)
    with av.open(str(clip)) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(video=0))
    assert keys > 7

    segments = plan(clip, 7)
    frames = [frame for one in segments for frame in read(clip, segment=one).frames]

    assert len(segments) < 7
    assert frames == read(clip).frames


def test_what_is_no_video_cannot_be_cut(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_text("the footage of 3 March is on the other disk\n" * 20)

    with pytest.raises(VideoError, match="is no video"):
        plan(clip, 2)


def test_no_segments_cannot_be_wanted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one segment"):
        plan(tmp_path / "clip.mp4", 0)
