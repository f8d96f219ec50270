# SPDX-License-Identifier: Apache-2.0
"""Which box of this frame is which object of the previous frames.

Association in two stages, after ByteTrack (Zhang et al., 'ByteTrack: Multi-Object Tracking by Associating Every
Detection Box', ECCV 2022): detections with high scores find their tracks first; those with low scores, often
of half-hidden objects, may then continue tracks that were seen one frame ago. Ages are in seconds by the frames'
stamps, so they depend neither on dropped frames nor on the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.tracking.association import assign, overlap
from isaac_inference.ops.tracking.box_filter import BoxFilter, BoxFilterSettings

_LOST_WEIGHT = 0.8  # weight of the overlap with a track that was not seen: it may be hidden behind the detected object


@dataclass(frozen=True)
class TrackerSettings:
    """How tracks begin, continue and end.

    Attributes:
        high_score: a detection with this score or more may begin a track, and continue any.
        low_score: one with this score or more may continue a track that was seen in the previous update; those below
            it are ignored.
        confirm_hits: detections that a new track needs before it gets its id; with 1 it gets it at once. The tracks of
            the first frame, and of the first one after `reset()`, always get it at once.
        min_iou: minimum IoU of such a detection with the predicted box of its track.
        min_iou_low: the same for a detection below `high_score`.
        margin: a confirmed track without a detection is searched again with boxes enlarged on each side by this
            fraction of their size; 0 turns that off.
        max_age_s: how long a confirmed track is kept without a detection, to be found again under its id.
        max_tentative_age_s: the same for one that is not confirmed yet; it always outlives one frame.
        motion: of the boxes.

    Raises:
        ConfigError: a value out of its range.
    """

    high_score: float = 0.4
    low_score: float = 0.1
    confirm_hits: int = 3
    min_iou: float = 0.1
    min_iou_low: float = 0.4
    margin: float = 0.5
    max_age_s: float = 1.0
    max_tentative_age_s: float = 0.2
    motion: BoxFilterSettings = field(default_factory=BoxFilterSettings)

    def __post_init__(self) -> None:
        if not 0.0 <= self.low_score <= self.high_score <= 1.0:
            raise ConfigError(
                f'low_score and high_score: got {self.low_score} and {self.high_score}, expected '
                '0 <= low_score <= high_score <= 1'
            )
        for name in ('min_iou', 'min_iou_low'):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f'{name}: got {getattr(self, name)}, expected above 0 and at most 1')
        if self.confirm_hits < 1 or self.margin < 0.0 or self.max_age_s < 0.0 or self.max_tentative_age_s < 0.0:
            raise ConfigError(
                f'confirm_hits, margin, max_age_s, max_tentative_age_s: got {self.confirm_hits}, {self.margin}, '
                f'{self.max_age_s}, {self.max_tentative_age_s}, expected at least 1, 0, 0 and 0'
            )


class Tracker:
    """Gives every object an id that it keeps while it is seen, and through short gaps.

    Ids count up from 1 in the order of confirmation (within a frame: of the rows) and are never reused, not even after
    `reset()`: an id never means two objects.

    Example: two objects swap their rows, and each keeps its id.
        >>> tracker, cup, can = Tracker(), [0, 0, 20, 20], [50, 0, 70, 20]
        >>> tracker.update(0.0, np.array([cup, can]), np.array([0.9, 0.8]), np.array([3, 5])).tolist()
        [1, 2]
        >>> tracker.update(0.1, np.array([can, cup]), np.array([0.8, 0.9]), np.array([5, 3])).tolist()
        [2, 1]
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks, because the camera or the time has jumped; the next update is a first frame."""
        self._filter = BoxFilter(self.settings.motion)
        self._ids: np.ndarray = np.empty(0, np.int64)  # 0: tentative
        self._classes: np.ndarray = np.empty(0, np.int64)
        self._hits: np.ndarray = np.empty(0, np.int64)
        self._seen_s: np.ndarray = np.empty(0)
        self._stamp_s: float | None = None

    def update(self, stamp_s: float, boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        """Track one frame's detections.

        Args:
            stamp_s: when the frame was taken; not before the previous one. Subtract a start from stamps in ns since
                1970: float64 resolves seconds since then to 0.2 us only.
            boxes: (N, 4), (x_min, y_min, x_max, y_max) in px. One that is not finite or has no area is ignored.
            scores: (N,) in [0, 1].
            class_ids: (N,) int; tracks never change their class.

        Returns:
            (N,) int64: the id of each detection, 0 where it is not, or not yet, a confirmed track.

        Raises:
            FrameError: 'bad_detections' for shapes that do not fit together; 'time_backwards' for a stamp before the
                previous one: call `reset()` first. The tracker is unchanged then.
        """
        boxes, scores, class_ids = _checked(boxes, scores, class_ids)
        step_s, last_s = self._step(stamp_s), self._stamp_s
        self._forget(stamp_s)
        seen_before = self._seen_before()
        self._filter.predict(step_s, ~seen_before)
        self._stamp_s = stamp_s
        usable = _usable(boxes)
        track_of = self._associate(boxes, scores, class_ids, usable, seen_before)
        self._take(stamp_s, boxes, track_of)
        self._begin(stamp_s, boxes, class_ids, usable & (scores >= self.settings.high_score), track_of, last_s is None)
        return np.append(self._ids, 0)[track_of]  # -1 takes the 0 at the end

    def _step(self, stamp_s: float) -> float:
        last_s = stamp_s if self._stamp_s is None else self._stamp_s
        if not 0.0 <= stamp_s - last_s < np.inf:  # NaN fails too
            raise FrameError(
                'time_backwards',
                f'stamp: got {stamp_s:.6f} s after {last_s:.6f} s, expected one that is not earlier; reset the '
                'tracker when a recording starts again',
            )
        return stamp_s - last_s

    def _associate(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        class_ids: np.ndarray,
        usable: np.ndarray,
        seen_before: np.ndarray,
    ) -> np.ndarray:
        """(N,) row of each detection's track, -1 for none."""
        chosen, predicted = self.settings, self._filter.boxes()
        track_of = np.full(len(boxes), -1)
        free = np.ones(len(predicted), np.bool_)
        high = usable & (scores >= chosen.high_score)
        low = usable & (scores >= chosen.low_score) & ~high
        confirmed = self._ids > 0
        weights = np.where(seen_before, 1.0, _LOST_WEIGHT)
        rounds = (
            (confirmed, high, chosen.min_iou, 0.0),
            (confirmed & seen_before, low, chosen.min_iou_low, 0.0),
            (confirmed, high, chosen.min_iou, chosen.margin),
            (~confirmed, high, chosen.min_iou, 0.0),
        )
        for index, (of_tracks, of_detections, min_similarity, margin) in enumerate(rounds):
            if index == 2 and margin == 0.0:
                continue
            columns = (of_detections & (track_of < 0)).nonzero()[0]
            if not len(columns):
                continue
            rows = (of_tracks & free).nonzero()[0]
            if not len(rows):
                continue
            similarity = overlap(
                predicted[rows], self._classes[rows], boxes[columns], class_ids[columns], margin=margin
            )
            i, j = assign(similarity, min_similarity, weights[rows])
            track_of[columns[j]] = rows[i]
            free[rows[i]] = False
        return track_of

    def _take(self, stamp_s: float, boxes: np.ndarray, track_of: np.ndarray) -> None:
        detections = (track_of >= 0).nonzero()[0]
        rows = track_of[detections]
        self._filter.correct(rows, boxes[detections])
        self._hits[rows] += 1
        self._seen_s[rows] = stamp_s
        for row in rows[(self._ids[rows] == 0) & (self._hits[rows] >= self.settings.confirm_hits)].tolist():
            self._ids[row] = self._new_id()

    def _begin(
        self,
        stamp_s: float,
        boxes: np.ndarray,
        class_ids: np.ndarray,
        high: np.ndarray,
        track_of: np.ndarray,
        first: bool,
    ) -> None:
        """Begins tracks for the usable, high-score detections that continue none; enters them into `track_of`."""
        new = ((track_of < 0) & high).nonzero()[0]
        if not len(new):
            return
        at_once = first or self.settings.confirm_hits == 1
        track_of[new] = len(self._ids) + np.arange(len(new))
        self._filter.append(boxes[new])
        self._ids = np.append(self._ids, [self._new_id() if at_once else 0 for _ in new])
        self._classes = np.append(self._classes, class_ids[new])
        self._hits = np.append(self._hits, np.ones(len(new), np.int64))
        self._seen_s = np.append(self._seen_s, np.full(len(new), stamp_s))

    def _forget(self, stamp_s: float) -> None:
        age_s, chosen = stamp_s - self._seen_s, self.settings
        if not len(age_s) or age_s.max() <= min(chosen.max_age_s, chosen.max_tentative_age_s):
            return
        # the previous frame may be older than the limit; a new track must survive until its second hit even so
        young = (age_s <= chosen.max_tentative_age_s) | self._seen_before()
        keep = np.where(self._ids > 0, age_s <= chosen.max_age_s, young)
        if keep.all():
            return
        self._filter.keep(keep)
        self._ids, self._classes = self._ids[keep], self._classes[keep]
        self._hits, self._seen_s = self._hits[keep], self._seen_s[keep]

    def _seen_before(self) -> np.ndarray:
        """(T,) bool: whether each track was seen in the previous update."""
        return self._seen_s == (np.inf if self._stamp_s is None else self._stamp_s)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def _checked(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
    class_ids = np.asarray(class_ids)
    count = len(scores)
    if boxes.shape != (count, 4) or scores.shape != (count,) or class_ids.shape != (count,):
        raise FrameError(
            'bad_detections',
            f'detections to track: got boxes {boxes.shape}, scores {scores.shape} and class ids {class_ids.shape}, '
            'expected (N, 4), (N,) and (N,)',
        )
    return boxes, scores, class_ids.astype(np.int64)


def _usable(boxes: np.ndarray) -> np.ndarray:
    return np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
