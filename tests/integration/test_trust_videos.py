"""Videos that would have something else read: another file, another place, the network."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from pydantic import ValidationError

from db.errors import UsageError, VideoError
from db.files import sha256_of
from db.settings import Settings
from db.specs import TrackSpec
from producer.inputs import find_videos
from tests.clips import number_in, replace_in_boxes, write_clip
from tests.deployment import WEIGHTS
from tests.watched import Watched
from worker.context import Context
from worker.jobs import track
from worker.segments import plan
from worker.video import VideoReader


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with the video that somebody wants to have read."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write_clip(folder / "secret.mov", index_first=False)
    write_clip(folder / "secret.ts")
    return folder


@pytest.fixture
def watched(elsewhere: Path) -> Iterator[Watched]:
    watch = Watched(elsewhere)
    yield watch
    watch.close()


def numbers(video: Path) -> list[int]:
    """The numbers that the frames show, all of the ways to read a video having been gone."""
    plan(video, 2)
    with VideoReader(video) as reader:
        return [number_in(frame.image) for frame in reader]


def alias(path: Path) -> bytes:
    """A Macintosh alias record, the kind of data reference by which QuickTime names other files.

    Inside Macintosh: Files, "Alias Manager"; the records at its end are (kind, length, content).
    """
    name = path.name.encode()
    head = bytes(10 + 1 + 27 + 12) + bytes([len(name)]) + name.ljust(63, b"\0")
    head += bytes(16 + 4 + 16)  # no levels up or down: the path is absolute
    absolute = str(path).encode()
    absolute += bytes(len(absolute) % 2)
    records = struct.pack(">hH", 2, len(absolute)) + absolute + struct.pack(">hH", -1, 0)
    body = b"alis" + bytes(4) + head + records
    return struct.pack(">I", len(body) + 4) + body


_SELF_CONTAINED = b"\0\0\0\x0curl \0\0\0\x01"
_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")


def refer(video: Path, reference: bytes) -> None:
    """Let an MP4 or MOV file say that its frames lie in another file."""
    data = video.read_bytes()
    assert data.index(b"moov") > data.index(b"mdat"), "or every offset would have to be moved"
    video.write_bytes(replace_in_boxes(data, _BOXES, _SELF_CONTAINED, reference))


def test_frames_that_lie_in_another_file_are_not_fetched_from_there(
    tmp_path: Path, elsewhere: Path, watched: Watched
) -> None:
    video = tmp_path / "clip.mov"
    write_clip(video, index_first=False)
    refer(video, alias(elsewhere / "secret.mov"))
    followed = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(video), options=followed) as container:
        assert len(list(container.decode(video=0))) == 60
    assert watched.opened, "or the file is not what this test is about"

    with pytest.raises(VideoError, match="keeps them in another file, which is not read"):
        numbers(video)

    assert not watched.opened


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_an_address_as_the_place_of_the_frames_is_not_followed(
    tmp_path: Path, elsewhere: Path, watched: Watched, suffix: str
) -> None:
    video = tmp_path / f"clip{suffix}"
    write_clip(video, index_first=False)
    body = b"url " + bytes(4) + f"file://{elsewhere}/secret.mov".encode() + b"\0"
    refer(video, struct.pack(">I", len(body) + 4) + body)

    assert numbers(video) == list(range(60)), "FFmpeg knows no such reference, and reads its own"
    assert not watched.opened


def element(number: str, content: bytes) -> bytes:
    """An element of Matroska (RFC 8794): its number, its length in two bytes, its content."""
    return bytes.fromhex(number) + struct.pack(">H", 0x4000 | len(content)) + content


_OTHER = uuid.UUID(int=7).bytes


def linked_segment(other: Path) -> bytes:
    """Segment information (RFC 9559, 5.1.2) that names the file to be played next."""
    named = element("3e83bb", other.name.encode()) + element("3eb923", _OTHER)
    return element("1549a966", named)


def ordered_chapters(other: Path) -> bytes:
    """Chapters (RFC 9559, 20.1.3) that are to be taken from another segment."""
    chapter = element("73c4", b"\1") + element("91", b"\0") + element("92", b"\x3b\x9a\xca\0")
    chapter = element("b6", chapter + element("6e67", _OTHER))
    return element("1043a770", element("45b9", element("45dd", b"\1") + chapter))


def attachment(other: Path) -> bytes:
    """An attached file (RFC 9559, 5.1.6) of another one's name."""
    named = element("466e", other.name.encode()) + element("4660", b"video/mp2t")
    content = element("465c", b"x") + element("46ae", b"\1")
    return element("1941a469", element("61a7", named + content))


@pytest.mark.parametrize("make", [linked_segment, ordered_chapters, attachment])
def test_a_matroska_file_that_names_another_gives_its_own_frames(
    tmp_path: Path, make: Callable[[Path], bytes]
) -> None:
    video = tmp_path / "clip.mkv"
    write_clip(video)
    other = tmp_path / "x.mkv"
    write_clip(other, [(30, 30)])
    void = video.read_bytes().index(b"\xec\x01\0\0\0\0\0\0")  # left free for an index
    data = bytearray(video.read_bytes())
    room = 9 + data[void + 8]
    new = make(other)
    new += element("ec", bytes(room - len(new) - 3))
    data[void : void + room] = new
    video.write_bytes(data)
    watch = Watched(other)

    assert numbers(video) == list(range(60))
    assert not watch.opened
    watch.close()


def playlist(other: Path) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n"


def concat_script(other: Path) -> str:
    return f"ffconcat version 1.0\nfile '{other}'\n"


def dash(other: Path) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT2S"><Period><AdaptationSet contentType="video">'
        '<Representation id="0" codecs="avc1" mimeType="video/mp4" bandwidth="1">'
        f"<BaseURL>file://{other}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )


def session_description(other: Path) -> str:
    return (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv", ".m3u8"])
@pytest.mark.parametrize("make", [playlist, concat_script, dash, session_description])
def test_a_list_of_other_files_is_no_video_whatever_it_is_called(
    tmp_path: Path,
    elsewhere: Path,
    watched: Watched,
    make: Callable[[Path], str],
    suffix: str,
) -> None:
    video = tmp_path / f"clip{suffix}"
    video.write_text(make(elsewhere / "secret.ts"))
    if make is playlist:
        with av.open(str(video), format="hls", options={"allowed_extensions": "ALL"}) as container:
            assert next(container.decode(video=0))
        assert watched.opened, "or it is no playlist"

    with pytest.raises(VideoError, match="is no video in a known container"):
        numbers(video)

    assert not watched.opened


ADDRESSES = [
    "http://127.0.0.1:1/clip.mp4",
    "https://127.0.0.1:1/clip.mp4",
    "rtsp://127.0.0.1:1/clip",
    "concat:a.mp4|b.mp4",
    "file:a.mp4",
    "data:video/mp4;base64,AAAA",
    "subfile,,start,0,end,0,,:a.mp4",
    "pipe:0",
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_video(
    configured: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    write_clip(tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="no such file"):
        find_videos([address])
    with pytest.raises(ValidationError, match="must be absolute"):
        TrackSpec(video=address, video_sha256="a" * 64, model="a", model_sha256="b" * 64)


@pytest.mark.parametrize("address", [name.replace("/", "") for name in ADDRESSES])
def test_a_file_that_is_called_like_an_address_is_a_file(tmp_path: Path, address: str) -> None:
    video = tmp_path / address
    write_clip(tmp_path / "clip.mp4", [(5, 30)])
    (tmp_path / "clip.mp4").rename(video)

    assert numbers(video) == list(range(5))


def _by_dots(inside: Path, outside: Path) -> Path:
    return inside / ".." / outside.parent.name / outside.name


def _by_a_link(inside: Path, outside: Path) -> Path:
    link = inside / "link.mp4"
    link.symlink_to(outside)
    return link


def _by_a_linked_folder(inside: Path, outside: Path) -> Path:
    (inside / "below").symlink_to(outside.parent)
    return inside / "below" / outside.name


def _by_a_link_that_was_a_file_when_it_was_enqueued(inside: Path, outside: Path) -> Path:
    video = inside / "clip.mp4"
    video.unlink()
    video.symlink_to(outside)
    return video


@pytest.mark.parametrize(
    "way",
    [_by_dots, _by_a_link, _by_a_linked_folder, _by_a_link_that_was_a_file_when_it_was_enqueued],
)
def test_a_worker_reads_nothing_outside_the_roots_whatever_leads_there(
    tmp_path: Path, home: Path, way: Callable[[Path, Path], Path]
) -> None:
    inside, outside = tmp_path / "footage", tmp_path / "private"
    inside.mkdir()
    outside.mkdir()
    write_clip(inside / "clip.mp4")
    (outside / "clip.mp4").write_bytes((inside / "clip.mp4").read_bytes())
    named = way(inside, outside / "clip.mp4")
    spec = TrackSpec(
        video=str(named),
        video_sha256=sha256_of(outside / "clip.mp4"),
        model="products",
        model_sha256=sha256_of(WEIGHTS),
    )
    watch = Watched(outside)

    with pytest.raises(UsageError, match="outside the allowed folders"):
        track.run(spec, Context(home, tmp_path, roots=(inside,)))

    assert not watch.opened
    watch.close()
