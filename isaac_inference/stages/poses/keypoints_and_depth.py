# SPDX-License-Identifier: Apache-2.0
"""Which pose of an object counts, that of its keypoints or what depth makes of it, and how sure it is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import nearest, rotation_error
from isaac_inference.ops.pose.depth_evidence import DepthEvidence, EvidenceSettings, depth_evidence
from isaac_inference.ops.pose.disagreement import disagreement
from isaac_inference.ops.pose.keypoint_fit import WeakKeypoints
from isaac_inference.ops.pose.registration import Registration
from isaac_inference.ops.pose.second_pose import either, first_alone
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.ops.pose.wrong_scale import scale_suspects
from isaac_inference.stages.poses.by_weak_keypoints import agree
from isaac_inference.stages.poses.observation import ObjectPose

DISAGREES = 'depth_disagrees'
"""The note of a pose that is published though depth and keypoints differ by more than both covariances allow."""
_CERTAIN = 0.75  # mean confidence
_ONE_POSE = 4.0  # squared standard deviations a keypoint; noise is worth 2 at most on average
_SURE = 0.0175  # standard deviation of the distance, as a part of it: about what a depth camera is off by


@dataclass(frozen=True, eq=False)
class KeypointsAndDepth:
    """One object with a pose by keypoints, in a frame with depth.

    Attributes:
        model: the object.
        by_keypoints: its pose from keypoints alone; of the poses that look alike the one that they mean.
        keypoints: all of them.
        depth: the whole image.
        settings: when depth refutes that pose.
    """

    model: ObjectModel
    by_keypoints: ObjectPose
    keypoints: WeakKeypoints
    depth: SeenDepth
    settings: EvidenceSettings

    def agree(self, registered: Registration) -> bool:
        """Whether the keypoints may mean the registered pose, too, and depth shows the object at that pose's scale."""
        # keypoints that are surer of themselves than they are right miss their own pose, too: that is no objection
        overconfidence = max(1.0, self.keypoints.cost(self.by_keypoints.pose) / (2.0 * len(self.keypoints.model)))
        as_meant = nearest(registered.pose, self.by_keypoints.pose, self.model.symmetries)
        if not agree(self.keypoints, self.keypoints.cost(as_meant) / overconfidence):
            return False
        # a model of another size stays behind what is seen, or comes to lie between where keypoints and depth want it
        return not self.is_refuted(self._evidence(registered.pose, registered.covariance))

    def evidence(self) -> DepthEvidence | None:
        """What depth says about the keypoints' pose; None where it says nothing."""
        return self._evidence(self.by_keypoints.pose, self.by_keypoints.covariance)

    def _evidence(self, pose: Pose, covariance: np.ndarray) -> DepthEvidence | None:
        return depth_evidence(self.model, self.depth, pose, covariance, self.settings)

    @cached_property
    def certain(self) -> bool:
        """Whether the keypoints are certain, and all of one pose: a network's are not, of what it can't see."""
        cost = self.keypoints.cost(self.by_keypoints.pose)
        return self.keypoints.confidence >= _CERTAIN and cost <= _ONE_POSE * len(self.keypoints.model)

    @cached_property
    def need_no_help(self) -> bool:
        """Whether they also leave so little open that the object has no other pose than near theirs."""
        pose = self.by_keypoints.pose
        covariance = self.keypoints.covariance(pose)
        if covariance is None or not self.certain:
            return False
        distance = float(np.linalg.norm(pose.translation))
        ray = pose.translation / distance
        return math.sqrt(float(ray @ covariance[:3, :3] @ ray)) <= _SURE * distance

    def is_refuted(self, evidence: DepthEvidence | None) -> bool:
        """Whether the object is seen somewhere else than the keypoints have it."""
        return evidence is not None and evidence.contradicts_size(self.certain)

    def registered(self, found: Registration) -> ObjectPose:
        """The registered pose; where the keypoints contradict it, its covariance covers theirs, and that is noted."""
        mine = self.by_keypoints
        covariance, notes = found.covariance, mine.notes
        meant = self._meant(found.pose)
        theirs = self.keypoints.covariance(meant)
        if theirs is not None:
            other = nearest(meant, found.pose, self.model.symmetries)
            gap = disagreement(found.pose, found.covariance, other, theirs)
            covariance = gap.spanned(found.covariance)
            if gap.is_significant:
                notes = (*notes, self._note(found, 'the registered pose is kept'))
        method = f'registration: {found.method}'
        return ObjectPose(mine.label, mine.score, found.pose, self.model.size, covariance, method, notes=notes)

    def _meant(self, registered: Pose) -> Pose:
        """The pose by keypoints that was registered: of a flat object's two the one that is turned less from it."""
        mine = self.by_keypoints
        poses = [mine.pose] if mine.other is None else [mine.pose, mine.other.pose]
        return min(poses, key=lambda pose: rotation_error(pose, registered, self.model.symmetries))

    def kept(self, evidence: DepthEvidence, found: Registration | None) -> ObjectPose:
        """The keypoints' pose, though depth would have another one or none; its covariance covers depth's."""
        mine = self.by_keypoints
        note = self._note(found, "the keypoints' pose is kept", evidence.scale)
        notes = (*mine.notes, note)
        if mine.other is None:
            covariance = self._covering(mine.pose, mine.covariance, evidence, found)
            return dataclasses.replace(mine, covariance=covariance, notes=notes)
        # whoever follows one of a flat object's two poses must know of the disagreement, too
        alone = first_alone(mine.pose, mine.covariance, mine.other)
        second = dataclasses.replace(
            mine.other, covariance=self._covering(mine.other.pose, mine.other.covariance, evidence, None)
        )
        covariance = either(mine.pose, self._covering(mine.pose, alone, evidence, found), second)
        return dataclasses.replace(mine, covariance=covariance, other=second, notes=notes)

    def _covering(
        self, pose: Pose, covariance: np.ndarray, evidence: DepthEvidence, found: Registration | None
    ) -> np.ndarray:
        """(6, 6) that covers where depth has the object, as far as depth says that."""
        along = (evidence.scale - 1.0) * pose.translation
        widened = covariance.copy()
        widened[:3, :3] += np.outer(along, along)
        if found is None:
            return widened
        other = nearest(found.pose, pose, self.model.symmetries)
        return disagreement(pose, widened, other, found.covariance).spanned(widened)

    def wrong_size(self, evidence: DepthEvidence) -> FrameError:
        """The refusal of a pose whose object is seen at another distance than its size says."""
        mine = self.by_keypoints
        distance = float(np.linalg.norm(mine.pose.translation))
        size = ', '.join(f'{side:.3g}' for side in self.model.size)
        confidence = self.keypoints.confidence
        doubt = '' if self.certain else f'; or the keypoints are wrong, with a mean confidence of {confidence:.2f}'
        return FrameError(
            'registration_size',
            f'{mine.label}: size and depth contradict: of the keypoints and the size [{size}] m follows a distance of '
            f'{distance:.3g} m, but depth sees {evidence.share:.0%} of the object at {evidence.scale:.3g} times that, '
            f'{evidence.scale * distance:.3g} m, and {evidence.own_share:.0%} where the pose has it: '
            f'{scale_suspects(evidence.scale, self.depth.image.scale)}{doubt}',
        )

    def _note(self, found: Registration | None, kept: str, scale: float | None = None) -> tuple[str, str]:
        mine = self.by_keypoints
        if found is not None:
            apart = 1000.0 * float(np.linalg.norm(found.pose.translation - mine.pose.translation))
            text = f'depth puts it {apart:.0f} mm from where the keypoints do, more than both are unsure of'
            return DISAGREES, f'{mine.label}: {text}; {kept}, with a covariance that covers both'
        text = f'depth does not fit its shape there, and is {scale:.3f} times as far away where most of it agrees'
        return DISAGREES, f'{mine.label}: {text}; {kept}, with a covariance that covers that distance'
