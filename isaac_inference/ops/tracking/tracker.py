# SPDX-License-Identifier: Apache-2.0
"""Which box of this frame is which object of the previous frames.

Association in two stages, after ByteTrack (Zhang et al., 'ByteTrack: Multi-Object Tracking by Associating Every
Detection Box', ECCV 2022): detections with high scores find their tracks first; those with low scores, often
of half-hidden objects, may then continue tracks that were seen one frame ago. Ages are in seconds by the frames'
stamps, so they depend neither on dropped frames nor on the frame rate. Where there are masks, they count as much as the
boxes do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.tracking.association import assign, overlap
from isaac_inference.ops.tracking.box_filter import BoxFilter, BoxFilterSettings
from isaac_inference.ops.tracking.mask_association import SeenMasks, both

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
        min_iou: minimum IoU of such a detection with the predicted box of its track; with masks, the mean of that and
            of the masks' IoU.
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
        # of each track: lists, as a call on an array of a few numbers costs more than a loop over them
        self._filter = BoxFilter(self.settings.motion)
        self._ids: list[int] = []  # 0: tentative
        self._classes: list[int] = []
        self._hits: list[int] = []
        self._seen_s: list[float] = []
        self._crops: list[np.ndarray | None] = []  # of their masks, when they were seen last
        self._stamp_s: float | None = None

    def update(
        self,
        stamp_s: float,
        boxes: np.ndarray,
        scores: np.ndarray,
        class_ids: np.ndarray,
        masks: SeenMasks | None = None,
    ) -> np.ndarray:
        """Track one frame's detections.

        Args:
            stamp_s: when the frame was taken; not before the previous one. Subtract a start from stamps in ns since
                1970: float64 resolves seconds since then to 0.2 us only.
            boxes: (N, 4), (x_min, y_min, x_max, y_max) in px. One that is not finite or has no area is ignored.
            scores: (N,) in [0, 1].
            class_ids: (N,) int; tracks never change their class.
            masks: of the N detections, which then count together with the boxes; None for boxes alone.

        Returns:
            (N,) int64: the id of each detection, 0 where it is not, or not yet, a confirmed track.

        Raises:
            FrameError: 'bad_detections' for shapes that do not fit together; 'time_backwards' for a stamp before the
                previous one: call `reset()` first. The tracker is unchanged then.
        """
        boxes, scores, class_ids = _checked(boxes, scores, class_ids, masks)
        step_s, is_first = self._step(stamp_s), self._stamp_s is None
        self._forget(stamp_s)
        seen_before = self._seen_before()
        self._filter.predict(step_s, np.array([not seen for seen in seen_before], np.bool_))
        self._stamp_s = stamp_s
        rated = [
            score if -np.inf < x0 < x1 < np.inf and -np.inf < y0 < y1 < np.inf else -np.inf
            for (x0, y0, x1, y1), score in zip(boxes.tolist(), scores.tolist(), strict=True)
        ]
        track_of = self._associate(boxes, rated, class_ids, seen_before, masks)
        self._take(stamp_s, boxes, track_of)
        self._begin(stamp_s, boxes, rated, class_ids, track_of, is_first)
        if masks is not None:
            for column, row in enumerate(track_of):
                if row >= 0 and (crop := masks.crop(column, boxes[column])) is not None:
                    self._crops[row] = crop
        return np.array([self._ids[row] if row >= 0 else 0 for row in track_of], np.int64)

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
        rated: list[float],
        class_ids: np.ndarray,
        seen_before: list[bool],
        masks: SeenMasks | None,
    ) -> list[int]:
        """Row of each detection's track, -1 for none; `rated` are their scores, -inf where one is of no use."""
        chosen, tracks = self.settings, range(len(self._ids))
        track_of = [-1] * len(rated)
        high = [column for column, score in enumerate(rated) if score >= chosen.high_score]
        low = [column for column, score in enumerate(rated) if chosen.low_score <= score < chosen.high_score]
        if not tracks or not (high or low):
            return track_of
        predicted, classes = self._filter.boxes(), np.array(self._classes)
        weights = None if all(seen_before) else np.where(seen_before, 1.0, _LOST_WEIGHT)
        confirmed = [row for row in tracks if self._ids[row]]
        by_masks = None if masks is None else masks.overlap(self._crops, predicted)
        rounds = (
            (confirmed, high, chosen.min_iou, 0.0),
            ([row for row in confirmed if seen_before[row]], low, chosen.min_iou_low, 0.0),
            (confirmed, high if chosen.margin else [], chosen.min_iou, chosen.margin),
            ([row for row in tracks if not self._ids[row]], high, chosen.min_iou, 0.0),
        )
        taken: set[int] = set()
        for of_tracks, of_detections, min_similarity, margin in rounds:
            columns = [column for column in of_detections if track_of[column] < 0]
            rows = [row for row in of_tracks if row not in taken] if columns else []
            if not rows:
                continue
            similarity = overlap(predicted[rows], classes[rows], boxes[columns], class_ids[columns], margin=margin)
            if by_masks is not None:
                similarity = both(similarity, by_masks[np.ix_(rows, columns)])
            pairs = assign(similarity, min_similarity, None if weights is None else weights[rows])
            for i, j in zip(*(indices.tolist() for indices in pairs), strict=True):
                track_of[columns[j]] = rows[i]
                taken.add(rows[i])
        return track_of

    def _take(self, stamp_s: float, boxes: np.ndarray, track_of: list[int]) -> None:
        detections = [column for column, row in enumerate(track_of) if row >= 0]
        if not detections:
            return
        rows = [track_of[column] for column in detections]
        self._filter.correct(np.array(rows), boxes[detections])
        for row in rows:
            self._hits[row] += 1
            self._seen_s[row] = stamp_s
            if not self._ids[row] and self._hits[row] >= self.settings.confirm_hits:
                self._ids[row] = self._new_id()

    def _begin(
        self,
        stamp_s: float,
        boxes: np.ndarray,
        rated: list[float],
        class_ids: np.ndarray,
        track_of: list[int],
        is_first: bool,
    ) -> None:
        """Begins tracks for the usable, high-score detections that continue none; enters them into `track_of`."""
        least = self.settings.high_score
        new = [column for column, row in enumerate(track_of) if row < 0 and rated[column] >= least]
        if not new:
            return
        at_once = is_first or self.settings.confirm_hits == 1
        for column in new:
            track_of[column] = len(self._ids)
            self._ids.append(self._new_id() if at_once else 0)
            self._classes.append(int(class_ids[column]))
            self._hits.append(1)
            self._seen_s.append(stamp_s)
            self._crops.append(None)
        self._filter.append(boxes[new])

    def _forget(self, stamp_s: float) -> None:
        chosen = self.settings
        if not self._seen_s or stamp_s - min(self._seen_s) <= min(chosen.max_age_s, chosen.max_tentative_age_s):
            return
        ages_s = [stamp_s - seen_s for seen_s in self._seen_s]
        # the previous frame may be older than the limit; a new track must survive until its second hit even so
        keep = [
            row
            for row, (age_s, seen) in enumerate(zip(ages_s, self._seen_before(), strict=True))
            if age_s <= (chosen.max_age_s if self._ids[row] else chosen.max_tentative_age_s)
            or (seen and not self._ids[row])
        ]
        if len(keep) == len(ages_s):
            return
        self._filter.keep(np.array(keep, np.int64))
        self._ids, self._classes = [self._ids[row] for row in keep], [self._classes[row] for row in keep]
        self._hits, self._seen_s = [self._hits[row] for row in keep], [self._seen_s[row] for row in keep]
        self._crops = [self._crops[row] for row in keep]

    def _seen_before(self) -> list[bool]:
        """Whether each track was seen in the previous update."""
        return [seen_s == self._stamp_s for seen_s in self._seen_s]

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def _checked(
    boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, masks: SeenMasks | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
    class_ids = np.asarray(class_ids)
    count = len(scores)
    if boxes.shape != (count, 4) or scores.shape != (count,) or class_ids.shape != (count,):
        raise FrameError(
            'bad_detections',
            f'detections to track: got boxes {boxes.shape}, scores {scores.shape} and class ids {class_ids.shape}, '
            'expected (N, 4), (N,) and (N,)',
        )
    if masks is not None and len(masks.areas) != count:
        raise FrameError('bad_detections', f'detections to track: got {count}, and masks of {len(masks.areas)}')
    return boxes, scores, class_ids.astype(np.int64)
