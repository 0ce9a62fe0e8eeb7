"""Files that are nearly videos: small clips of each container, some of their bytes changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hypothesis import strategies as st

from tests.clips import write_clip

Edit = Callable[[bytes], bytes]

# As many containers and codecs as a clip of some kilobytes can be written in.
_CLIPS: Mapping[str, dict[str, object]] = {
    ".mp4": {"b_frames": 2},
    ".mov": {"rotation": 90, "b_frames": 2},
    ".mkv": {"b_frames": 2},
    ".ts": {"b_frames": 2},
    ".avi": {"codec": "mpeg4"},
    ".webm": {"codec": "libvpx"},
    ".flv": {"sound": True},
}


def write_clips(folder: Path) -> dict[str, bytes]:
    """The content of a clip of twelve frames by the suffix of its container."""
    contents = {}
    for suffix, options in _CLIPS.items():
        path = folder / f"clip{suffix}"
        write_clip(path, [(12, 30)], key_every=4, **options)  # type: ignore[arg-type]
        contents[suffix] = path.read_bytes()
    return contents


_NUMBERS = (b"\0", b"\xff", b"\x7f", b"\x80", b"\x01")


def fuzzed(clips: Mapping[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """The suffix and the content of a file that was one of the clips before some edits."""
    everything = b"".join(clips.values())

    @st.composite
    def draw_file(draw: st.DrawFn) -> tuple[str, bytes]:
        suffix = draw(st.sampled_from(sorted(clips)))
        content = clips[suffix]
        for edit in draw(st.lists(_edits(everything), min_size=1, max_size=8)):
            content = edit(content)
        return suffix, content

    return draw_file()


def _edits(everything: bytes) -> st.SearchStrategy[Edit]:
    # The first part of a file is what says how to read the rest.
    place = st.one_of(st.floats(0, 0.3), st.floats(0, 1))
    length = st.sampled_from((1, 2, 4, 8, 16, 64, 512))
    return st.one_of(
        st.builds(_overwritten, place, st.binary(min_size=1, max_size=8)),
        st.builds(_overwritten, place, st.builds(bytes.__mul__, st.sampled_from(_NUMBERS), length)),
        st.builds(_removed, place, length),
        st.builds(_repeated, place, length, st.sampled_from((1, 2, 40))),
        st.builds(_spliced, place, length, st.just(everything), st.floats(0, 1)),
        st.builds(_cut_off, place),
    )


def _overwritten(place: float, new: bytes) -> Edit:
    def edit(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + new + content[at + len(new) :]

    return edit


def _removed(place: float, length: int) -> Edit:
    def edit(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + content[at + length :]

    return edit


def _repeated(place: float, length: int, times: int) -> Edit:
    def edit(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + content[at : at + length] * times + content[at:]

    return edit


def _spliced(place: float, length: int, everything: bytes, origin: float) -> Edit:
    start = int(origin * len(everything))
    return _overwritten(place, everything[start : start + length])


def _cut_off(place: float) -> Edit:
    return lambda content: content[: int(place * len(content))]
