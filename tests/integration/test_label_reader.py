"""Label files as a check reads them, held to what Ultralytics makes of the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.labelled import write_image
from tests.quiet import quiet_ultralytics
from worker.datasets.labels import Labels, read_labels
from worker.datasets.problems import SEVERITY, Kind, Severity

CLASSES = 3


@pytest.fixture(autouse=True, scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quiet_ultralytics(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image(tmp_path_factory.mktemp("images") / "image.png", 1)


def read_by_both(image: Path, content: bytes) -> tuple[Labels, Any]:
    """What a check reads, and Ultralytics' rows, None if it leaves the image out."""
    from ultralytics.data.utils import verify_image_label

    label = image.with_suffix(".txt")
    label.write_bytes(content)
    with np.errstate(all="ignore"):
        found = verify_image_label((str(image), str(label), "", False, CLASSES, 0, 0, False))
    return read_labels(label, CLASSES), found[1]


NUMBERS = st.one_of(
    st.floats(-0.02, 1.02).map(repr),
    st.floats(0.3, 0.5).map("{:.3f}".format),
    st.floats(width=32).map(repr),
    st.sampled_from(["0", "-0.0", "1", "1.01", "1.0100001", "1.01000001"]),
    st.sampled_from(["-0.01", "-0.0100001", "-1e-9", "1e39", "-1e400", "nan"]),
    st.sampled_from(["1_0", "٣", "0x1", "apple", "0\x00", "\ufeff0.5"]),
)
CLASS_IDS = st.one_of(
    st.sampled_from(["0", "1", "2", "0.0", "2.", "+1", "-0"] * 4),
    st.sampled_from(["3", "-1", "0.5", "-0.005", "1.00000000001", "0.99999999999", "1e-50"]),
    NUMBERS,
)
GAPS = st.sampled_from([" ", "\t", "  ", "\u00a0", "\x0b"])


@st.composite
def a_line(draw: st.DrawFn, lengths: st.SearchStrategy[int], numbers: Any) -> str:
    fields = [draw(CLASS_IDS)] + [draw(numbers) for _ in range(draw(lengths))]
    return draw(GAPS).join(fields)


def lines(*lengths: int) -> st.SearchStrategy[list[str]]:
    sound = st.floats(0.1, 0.5).map("{:.3f}".format)
    of = st.sampled_from(lengths)
    return st.lists(st.one_of(a_line(of, sound), a_line(of, NUMBERS)), max_size=4)


CONTENTS = st.builds(
    lambda start, body, repeated, end, encoding: (
        start + end.join([*body, *body[:repeated]]).encode(encoding, "replace")
    ),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xe9", b"\n\n"]),
    st.one_of(lines(4), lines(6, 8), lines(4, 6), lines(0, 1, 2, 3, 4, 5, 6, 7)),
    st.integers(0, 1),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\u2028"]),
    st.sampled_from(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=CONTENTS)
@example(b"")
@example(b"0 0.5 0.5 -0.005 0.2")
@example(b"0 0.9 0.5 0.3 0.2")
@example(b"0 0.1 0.1 0.3 0.1 0.3 0.3\n0 0.5 0.5 0.2 0.2")
@example(b"0 0.1 0.1 0.3 0.1 0.3 0.3\n1 0.5 0.5")
@example(b"0 0.9 0.1 1.2 0.1 1.2 0.3")
@example(b"0 0.9 0.1 1e39 0.1 -1e39 0.3")
def test_an_error_is_found_where_ultralytics_leaves_the_image_out(
    image: Path, content: bytes
) -> None:
    ours, theirs = read_by_both(image, content)
    errors = {kind for kind, _ in ours.problems if SEVERITY[kind] is Severity.ERROR}
    if theirs is None:
        assert errors, "it is left out, and nothing is said"
        return
    # It keeps a box without extent, of which nothing can be learned.
    assert errors <= {Kind.DEGENERATE_BOX}
    flat = (theirs[:, 3:] == 0).any(axis=1)
    assert bool(errors) == bool(flat.any())
    kept = theirs[~flat]
    assert len(ours.rows) == len(kept)
    apart = np.abs(ours.rows[:, None] - kept[None]).max(axis=2)
    if len(kept):
        assert max(apart.min(axis=0).max(), apart.min(axis=1).max()) < 1e-6, "the same objects"


@pytest.mark.parametrize(
    ("content", "problems", "objects"),
    [
        (b"\xef\xbb\xbf0 .5 .5 .2 .2", [], 1),
        (b"0.0\t.5\t.5\t.2\t.2\r\n", [], 1),
        (b"0 .9 .5 .3 .2\n0 1.0 .5 .0003 .2\n", [(Kind.OVER_THE_EDGE, n) for n in (1, 2)], 2),
        (b"0 1.02 .5 .1 .1", [(Kind.BOX_OUTSIDE, 1)], 0),
        (b"0 -.02 .5 .1 .1", [(Kind.BOX_OUTSIDE, 1)], 0),
        (b"0 .5 .5 -.1 .2", [(Kind.DEGENERATE_BOX, 1)], 0),
        (
            b"0 .1 .1 .3 .1 .3 .3\n\n0 .5 .5 .2 .2\n0 .6 .5 .2 .2",
            [(Kind.MIXED_SHAPES, 3), (Kind.SEGMENT, 1)],
            3,
        ),
        (b"0 .5 .5 .1 .1 # caf\xe9", [(Kind.MALFORMED_LINE, 1)], 0),
    ],
)
def test_what_is_unusual_is_said_with_its_line(
    tmp_path: Path, content: bytes, problems: list[tuple[Kind, int]], objects: int
) -> None:
    label = tmp_path / "label.txt"
    label.write_bytes(content)
    found = read_labels(label, CLASSES)
    assert list(found.problems) == problems
    assert len(found.rows) == objects
