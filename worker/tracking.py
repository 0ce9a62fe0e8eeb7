"""Follows products through a video: detections in frame order become numbered tracks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from norfair.tracker import Detection, TrackedObject
from norfair.tracker import Tracker as Norfair
from numpy.typing import NDArray

from db.errors import UsageError
from db.specs import TrackerOptions
from worker.detection.detections import Detections
from worker.track_filter import GapAwareKalmanFilterFactory
from worker.track_statistics import Observation, Track, TrackStatistics

# A candidate that is seen every second frame keeps Norfair's hit counter between 0 and 1 for ever:
# neither confirmed nor dropped, it would hold back everything after it. Its detections are
# therefore forgotten after this many processed frames; should it be confirmed later, it begins at
# the oldest one still held.
HELD_FRAMES = 256

# Boxes of different classes that overlap more than this are one object seen twice: NMS compares
# boxes of one class only. The value is the one within a class (Ultralytics' default).
CLASS_AGNOSTIC_NMS_IOU = 0.7

# No track begins on a box that overlaps one of another track more than this: half a product is
# sometimes detected beside the whole, below NMS's threshold. The idea is Tracktor's (Bergmann et
# al., Tracking without bells and whistles, 2019); 0.5 is where the PASCAL VOC benchmark calls two
# boxes the same object, and docs/tracking.md shows that 0.3 to 0.65 give the same on real video.
NEW_TRACK_IOU = 0.5


class Tracker(Protocol):
    """What turns detections, frame by frame, into tracks."""

    degenerate: int
    """Boxes dropped so far for having no area or a corner that is not a finite number."""

    def update(self, detections: Detections) -> list[Observation]:
        """Take the detections of one more frame; return the observations settled by now.

        Observations come in frame order over all calls, and only once it is certain that they
        belong to a confirmed track.
        """

    def finish(self) -> tuple[list[Observation], list[Track]]:
        """Return the observations that were still held, and all tracks in order of number."""


class _Fate(Enum):
    """Whether what Norfair follows counts as a track."""

    UNDECIDED = "undecided"  # still within its initialization delay
    CONFIRMED = "confirmed"  # a track, now and after its end
    DROPPED = "dropped"  # ended, or the job did, before it was confirmed


@dataclass(slots=True)
class _Candidate:
    """What Norfair follows; a track of ours once it is confirmed and has its first observation."""

    fate: _Fate = _Fate.UNDECIDED
    statistics: TrackStatistics | None = None


@dataclass(frozen=True, slots=True)
class _HeldFrame:
    """The detections of a frame, and which of them (by index) belong to which candidate."""

    detections: Detections
    owned: list[tuple[int, _Candidate]]


class NorfairTracker:
    """Tracks with Norfair, associating by position alone and taking each track's class by vote.

    Observations are held back while a candidate that may still be confirmed is among theirs or an
    earlier frame's, for `HELD_FRAMES` processed frames at most. Beyond these, memory grows by one
    `TrackStatistics` per track only.

    Args:
        options: how detections become tracks, in frames of the source video.
        stride: every how many frames of the source video one is given to `update`.

    Raises:
        UsageError: the stride is so long that a track would end between two processed frames.
    """

    degenerate: int

    def __init__(self, options: TrackerOptions, stride: int = 1) -> None:
        if stride > options.hit_counter_max:
            raise UsageError(
                f"with a stride of {stride}, hit_counter_max must be at least {stride}, not "
                f"{options.hit_counter_max}, or tracks would end between two frames looked at"
            )
        self.degenerate = 0
        self._stride = stride
        self._norfair = Norfair(
            distance_function=options.distance_function,
            distance_threshold=options.distance_threshold,
            hit_counter_max=options.hit_counter_max,
            initialization_delay=options.initialization_delay,
            filter_factory=GapAwareKalmanFilterFactory(),
            past_detections_length=0,
        )
        self._last_frame: int | None = None
        self._candidates: dict[TrackedObject, _Candidate] = {}
        self._held: deque[_HeldFrame] = deque()
        self._statistics: list[TrackStatistics] = []

    def update(self, detections: Detections) -> list[Observation]:
        """Take the detections of one more frame; return the observations settled by now.

        Raises:
            ValueError: the frame does not come after the one before.
        """
        self._pass_skipped_frames(detections.frame)
        seen = _one_box_per_object(self._without_degenerate(detections))
        corners = seen.xyxy.astype(np.float64).reshape(-1, 2, 2)
        boxes = [Detection(points, data=index) for index, points in enumerate(corners)]
        self._norfair.update(boxes, period=self._stride)
        followed = self._followed(boxes)
        self._drop_doubles(seen, followed)
        self._renew(followed)
        self._decide()
        owners = ((index, self._candidates.get(one)) for index, one in enumerate(followed))
        self._held.append(_HeldFrame(seen, [(index, owner) for index, owner in owners if owner]))
        return self._settled()

    def finish(self) -> tuple[list[Observation], list[Track]]:
        """Return the observations that were still held, and all tracks in order of number."""
        _drop_undecided(self._candidates.values())
        return self._settled(), [statistics.track() for statistics in self._statistics]

    def _pass_skipped_frames(self, frame: int) -> None:
        """Let Norfair's clock tick, as it asks, for every frame that was not looked at."""
        if self._last_frame is not None:
            if frame <= self._last_frame:
                raise ValueError(f"frame {frame} came after frame {self._last_frame}")
            for _ in range(self._last_frame + 1, frame):
                if not self._norfair.tracked_objects:
                    break
                self._norfair.update(period=self._stride)
        self._last_frame = frame

    def _without_degenerate(self, detections: Detections) -> Detections:
        """Drop and count the boxes that would put NaN into Norfair's distances."""
        finite = np.isfinite(detections.xyxy).all(axis=1)
        has_area = (detections.xyxy[:, 2:] > detections.xyxy[:, :2]).all(axis=1)
        sound = finite & has_area
        self.degenerate += int(np.count_nonzero(~sound))
        return detections if sound.all() else detections.where(sound)

    def _followed(self, boxes: list[Detection]) -> list[TrackedObject]:
        """The object that each box of this frame was matched to, or began.

        `Norfair.update` returns confirmed objects only, but `tracked_objects` has all of them, and
        an object's `last_detection` is a box of this frame exactly if it was matched in it.
        """
        followed: dict[int, TrackedObject] = {}
        for one in self._norfair.tracked_objects:
            index = one.last_detection.data
            if index < len(boxes) and boxes[index] is one.last_detection:
                followed[index] = one
        return [followed[index] for index in range(len(boxes))]

    def _drop_doubles(self, seen: Detections, followed: list[TrackedObject]) -> None:
        """Take back what Norfair began on a box that overlaps another track's."""
        taken = np.array([one in self._candidates for one in followed], dtype=np.bool_)
        if taken.all():
            return
        overlapping = _iou(seen.xyxy) > NEW_TRACK_IOU
        doubles: set[TrackedObject] = set()
        for index in np.argsort(-seen.confidence, kind="stable"):
            if not taken[index] and (overlapping[index] & taken).any():
                doubles.add(followed[index])
            taken[index] |= followed[index] not in doubles
        if doubles:
            self._norfair.tracked_objects = [
                one for one in self._norfair.tracked_objects if one not in doubles
            ]

    def _renew(self, followed: Iterable[TrackedObject]) -> None:
        """Let every confirmed track outlive this frame by the whole `hit_counter_max`.

        Norfair alone lets it outlive its last detection by as many frames as it was detected before
        (each adds one), so that a product that was just put on the shelf is lost in a moment.
        """
        for one in followed:
            if not one.is_initializing:
                one.hit_counter = self._norfair.hit_counter_max

    def _decide(self) -> None:
        """Bring the candidates, and what has become of them, up to date with Norfair."""
        alive: dict[TrackedObject, _Candidate] = {}
        for one in self._norfair.tracked_objects:
            alive[one] = self._candidates.pop(one, _Candidate())
            if not one.is_initializing:
                alive[one].fate = _Fate.CONFIRMED
        _drop_undecided(self._candidates.values())
        self._candidates = alive

    def _settled(self) -> list[Observation]:
        """Release the oldest held frames, up to the first with an undecided candidate."""
        settled: list[Observation] = []
        while self._held and (
            len(self._held) > HELD_FRAMES
            or all(owner.fate is not _Fate.UNDECIDED for _, owner in self._held[0].owned)
        ):
            frame = self._held.popleft()
            settled.extend(
                self._observe(frame.detections, index, owner)
                for index, owner in frame.owned
                if owner.fate is _Fate.CONFIRMED
            )
        return settled

    def _observe(self, detections: Detections, index: int, owner: _Candidate) -> Observation:
        """Record one detection of a track, which gets its number with the first."""
        statistics = owner.statistics
        x1, y1, x2, y2 = detections.xyxy[index].tolist()
        observation = Observation(
            track=len(self._statistics) + 1 if statistics is None else statistics.number,
            frame=detections.frame,
            time_s=detections.time_s,
            xyxy=(x1, y1, x2, y2),
            confidence=float(detections.confidence[index]),
            class_id=int(detections.class_id[index]),
        )
        if statistics is None:
            owner.statistics = TrackStatistics(observation)
            self._statistics.append(owner.statistics)
        else:
            statistics.add(observation)
        return observation


def _drop_undecided(ended: Iterable[_Candidate]) -> None:
    """What ends before it was confirmed leaves nothing."""
    for candidate in ended:
        if candidate.fate is _Fate.UNDECIDED:
            candidate.fate = _Fate.DROPPED


def _one_box_per_object(detections: Detections) -> Detections:
    """Keep the most confident of the boxes of different classes that lie on one object.

    Without labels a track would otherwise stay with whichever box it began on, since that is the
    nearest, and have its class from the weaker ones.
    """
    if (detections.class_id == detections.class_id[:1]).all():
        return detections
    overlapping = _iou(detections.xyxy) > CLASS_AGNOSTIC_NMS_IOU
    overlapping &= detections.class_id[:, None] != detections.class_id
    if not overlapping.any():
        return detections
    keep = np.zeros(len(detections), dtype=np.bool_)
    for index in np.argsort(-detections.confidence, kind="stable"):
        keep[index] = not (overlapping[index] & keep).any()
    return detections.where(keep)


def _iou(xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of each box with each, (n, n); boxes must have an area."""
    boxes = xyxy.astype(np.float64)
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    iou: NDArray[np.float64] = shared / (area[:, None] + area - shared)
    return iou
