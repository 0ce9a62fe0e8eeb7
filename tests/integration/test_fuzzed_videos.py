"""Damaged containers: frames or a `VideoError`, and never anything else; no crash and no hang."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.deployment import REPOSITORY
from tests.fuzzed import fuzzed, write_clips

# A clip of twelve frames takes a hundredth of a second, and none of it more than some megabytes.
_HANGS_S = 30
_MEMORY_BYTES = 3 * 2**30

_DECODE = f"""
import json, resource, sys, traceback
from pathlib import Path
from db.errors import VideoError
from worker.segments import plan
from worker.video import VideoReader, probe

resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_BYTES}, {_MEMORY_BYTES}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for line in sys.stdin:
    path = Path(json.loads(line))
    try:
        probe(path)
        times = [-1.0]
        with VideoReader(path) as reader:
            for frame in reader:
                assert frame.image.shape == (reader.info.height, reader.info.width, 3)
                assert frame.time_s > times[-1]
                times.append(frame.time_s)
        assert reader.frames_decoded == len(times) - 1 > 0
        assert reader.missing >= 0
        assert len(plan(path, 2)) in (1, 2)
        said = "decoded"
        assert "\\n" not in (reader.damage or "")
    except VideoError as error:
        said = "refused" if "\\n" not in str(error) else repr(error)
    except BaseException:
        said = traceback.format_exc()
    print(json.dumps(said), flush=True)
"""


class Decoder:
    """A process of its own that decodes what it is told to, as a runner does."""

    def __init__(self) -> None:
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _DECODE],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, path: Path) -> str:
        """`decoded` or `refused`; or what went wrong."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _HANGS_S)
        if ready and (line := process.stdout.readline()):
            return str(json.loads(line))
        self.close()
        self._process = self._start()
        return f"killed by {signal.Signals(-process.returncode).name}" if ready else "it hangs"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    started = Decoder()
    yield started
    started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@pytest.fixture(scope="module")
def clips(folder: Path) -> dict[str, bytes]:
    return write_clips(folder)


def test_the_clips_themselves_are_decoded(
    decoder: Decoder, folder: Path, clips: dict[str, bytes]
) -> None:
    assert {suffix: decoder.ask(folder / f"clip{suffix}") for suffix in clips} == dict.fromkeys(
        clips, "decoded"
    )


# The same examples at every run: a test that fails now and then helps nobody.
@pytest.mark.parametrize("examples", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_whatever_bytes_are_damaged_a_video_is_decoded_or_refused(
    decoder: Decoder, folder: Path, clips: dict[str, bytes], examples: int
) -> None:
    seen = set()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed(clips))
    def decode(file: tuple[str, bytes]) -> None:
        suffix, content = file
        path = folder / f"fuzzed{suffix}"
        path.write_bytes(content)
        said = decoder.ask(path)
        assert said in ("decoded", "refused"), said
        seen.add(said)

    decode()
    assert seen == {"decoded", "refused"}, "the damage is neither too little nor too much"
