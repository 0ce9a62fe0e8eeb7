"""What is known of a track once its detections are matched: class, extent, and counts per class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Observation:
    """One matched detection of a track; a row of the trajectories file.

    Attributes:
        track: number of the track, from 1, in order of first appearance within the job.
        frame: number of the frame in the video, from 0.
        time_s: presentation time of the frame in seconds, from the start of the video.
        xyxy: corners in pixels of the source frame, as detected (not as filtered).
        confidence: of this detection, 0 to 1.
        class_id: of this detection; the track's own class is decided by vote.
    """

    track: int
    frame: int
    time_s: float
    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int


@dataclass(frozen=True, slots=True)
class Track:
    """One product followed through the video, as its matched detections tell it.

    Attributes:
        number: from 1, in order of first appearance within the job.
        class_id: the class with the most votes; of equal ones, the lowest.
        votes: class id -> summed confidence of the detections of that class.
        first_frame, last_frame: frames of the first and the last matched detection.
        first_s, last_s: presentation times of those frames, seconds from the start of the video.
        detections: number of matched detections, at least 1.
        mean_confidence: of the matched detections, whatever their class.
    """

    number: int
    class_id: int
    votes: Mapping[int, float]
    first_frame: int
    last_frame: int
    first_s: float
    last_s: float
    detections: int
    mean_confidence: float


class TrackStatistics:
    """Sums up the observations of one track, in frame order, in constant memory."""

    __slots__ = ("_detections", "_first", "_last", "_votes")

    def __init__(self, first: Observation) -> None:
        self._first = self._last = first
        self._detections = 0
        self._votes: defaultdict[int, float] = defaultdict(float)
        self.add(first)

    @property
    def number(self) -> int:
        """Number of the track, from 1."""
        return self._first.track

    def add(self, observation: Observation) -> None:
        """Count one more observation, of a later frame than those before."""
        self._last = observation
        self._detections += 1
        self._votes[observation.class_id] += observation.confidence

    def track(self) -> Track:
        """The track as it stands now."""
        return Track(
            number=self.number,
            class_id=min(self._votes, key=lambda class_id: (-self._votes[class_id], class_id)),
            votes=MappingProxyType(dict(self._votes)),
            first_frame=self._first.frame,
            last_frame=self._last.frame,
            first_s=self._first.time_s,
            last_s=self._last.time_s,
            detections=self._detections,
            mean_confidence=sum(self._votes.values()) / self._detections,
        )


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many tracks of one class a job saw.

    Attributes:
        class_id: the class by vote.
        tracks: number of tracks. A product is counted again at every identity switch.
        peak_simultaneous: most tracks that cover one frame; an identity switch does not raise it.
        mean_visible: mean over the processed frames of the number of tracks that cover it.
        detections: matched detections of these tracks, whatever class each was detected as.
    """

    class_id: int
    tracks: int
    peak_simultaneous: int
    mean_visible: float
    detections: int


def count_classes(
    tracks: Iterable[Track], frames_decoded: int, stride: int = 1
) -> dict[int, ClassCount]:
    """Count tracks per class over the processed frames 0, stride, 2 * stride, ... < frames_decoded.

    A track covers the frames from its first to its last matched detection, both included, gaps
    between them too.

    Args:
        tracks: all tracks of a job.
        frames_decoded: number of frames that the video has.
        stride: every how many frames one was processed, at least 1.

    Returns:
        One count per class that has a track, in order of class id.

    Raises:
        ValueError: a track ends after the last frame.
    """
    by_class: defaultdict[int, list[Track]] = defaultdict(list)
    for track in tracks:
        if track.last_frame >= frames_decoded:
            raise ValueError(
                f"track {track.number} ends at frame {track.last_frame}, "
                f"but only {frames_decoded} frames were decoded"
            )
        by_class[track.class_id].append(track)
    processed = -(-frames_decoded // stride)
    return {
        class_id: ClassCount(
            class_id=class_id,
            tracks=len(members),
            peak_simultaneous=_peak_simultaneous(members, stride),
            mean_visible=sum(_frames_covered(track, stride) for track in members) / processed,
            detections=sum(track.detections for track in members),
        )
        for class_id, members in sorted(by_class.items())
    }


def _frames_covered(track: Track, stride: int) -> int:
    """The number of processed frames from the track's first to its last one."""
    return track.last_frame // stride - -(-track.first_frame // stride) + 1


def _peak_simultaneous(tracks: Sequence[Track], stride: int) -> int:
    """The largest number of tracks over one processed frame, by a sweep over their two ends."""
    changes: defaultdict[int, int] = defaultdict(int)
    for track in tracks:
        changes[-(-track.first_frame // stride)] += 1
        changes[track.last_frame // stride + 1] -= 1
    visible = peak = 0
    for _, change in sorted(changes.items()):
        visible += change
        peak = max(peak, visible)
    return peak
