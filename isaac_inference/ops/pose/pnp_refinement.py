# SPDX-License-Identifier: Apache-2.0
"""The last step of PnP: weighted, robust least squares over the six parameters of a pose.

Observations are normalised image coordinates times a focal length, so residuals are in pixels. A step is a few calls of
OpenCV, which projects, differentiates and solves; for a handful of points one of them costs less than two operations of
NumPy, so little else is done, and what a step has computed is kept for the next. Points that do not count weigh nothing
instead of being taken out: so their residuals are known, too, when it is asked whether they should count.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np

from isaac_inference.ops.geometry.rigid import Pose

MAX_STEPS = 15
_SMALLEST_DAMPING = 1e-9
_LARGEST_DAMPING = 1e6
_GAIN = 1e-3  # of the cost; with ten residuals of one sigma, the pose is off by at most a tenth of a sigma
_EXACT = 1e-12  # squared pixels; keypoints without any error are met to a millionth of a pixel
_BY_NORMAL_EQUATIONS = cv2.DECOMP_NORMAL | cv2.DECOMP_CHOLESKY
_NO_DISTORTION = np.zeros(4)


class Observations(NamedTuple):
    """N model points and where they were seen.

    Attributes:
        model: (N, 3) in metres, object frame.
        pixels: (N, 2) normalised coordinates times `focal`: pixels from the principal point, distortion undone.
        focal: pixels.
        counting: (N,) boolean, the points that count.
        number: of them.
        weights: (N,) with mean 1 over all N, so that a residual of weight 1 is in pixels; 0 for what does not count.
        roots: (2 N,) of the weights, for both coordinates of each point.
    """

    model: np.ndarray
    pixels: np.ndarray
    focal: float
    counting: np.ndarray
    number: int
    weights: np.ndarray
    roots: np.ndarray

    @classmethod
    def of(cls, model: np.ndarray, pixels: np.ndarray, weights: np.ndarray, focal: float) -> Observations:
        """Points that all count."""
        return cls(model, pixels, focal, _all(len(model)), len(model), weights, np.sqrt(weights).repeat(2))

    def where(self, counting: np.ndarray) -> Observations:
        """Of points that all count, those of an (N,) boolean mask."""
        count = int(np.count_nonzero(counting))
        if count == self.number:
            return self
        roots = self.roots * counting.repeat(2)
        return Observations(self.model, self.pixels, self.focal, counting, count, self.weights * counting, roots)


class Fit(NamedTuple):
    """Observations at one pose.

    Attributes:
        vector: (6,) rotation vector, then translation in metres, as OpenCV has them.
        residual: (N, 2) projection minus observation in pixels, of all points.
        length: (N,) of the residuals.
        jacobian: (2 N, 6) of the residuals by `vector`.
        longest: length of a point that counts.
        cost: weighted squared pixels of those that count, robust; inf for a pose that is no number.
    """

    vector: np.ndarray
    residual: np.ndarray
    length: np.ndarray
    jacobian: np.ndarray
    longest: float
    cost: float

    @property
    def pose(self) -> Pose:
        """`T_camera_object`."""
        return Pose(cv2.Rodrigues(self.vector[:3])[0], self.vector[3:].copy())


def evaluate(seen: Observations, vector: np.ndarray, huber: float) -> Fit:
    """The observations at a pose, as `Fit.vector` has it; residuals longer than `huber` pixels cost their length.

    The points that count must be `in_front`: those behind the camera project to where they are not seen.

    Example: 0.01 m aside at 1 m and 500 px.
        >>> seen = Observations.of(np.zeros((1, 3)), np.zeros((1, 2)), np.ones(1), focal=500.0)
        >>> evaluate(seen, np.array([0, 0, 0, 0.01, 0.0, 1.0]), huber=10.0).residual.round(9).tolist()
        [[5.0, 0.0]]
    """
    projected, jacobian = cv2.projectPoints(seen.model, vector[:3], vector[3:], _intrinsics(seen.focal), _NO_DISTORTION)
    residual = projected[:, 0] - seen.pixels
    length = np.hypot(residual[:, 0], residual[:, 1])
    longest, cost = _weighed(seen, length, huber)
    return Fit(vector, residual, length, jacobian[:, :6], longest, cost)


def weighed(seen: Observations, fit: Fit, huber: float) -> Fit:
    """The same pose where other points count; `huber` as of `evaluate`.

    Example: of two points that are 1 and 3 px off, the first alone counts.
        >>> seen = Observations.of(np.zeros((2, 3)), np.array([[-1.0, 0], [3, 0]]), np.ones(2), focal=500.0)
        >>> fit = evaluate(seen, np.array([0, 0, 0, 0, 0, 1.0]), huber=10.0)
        >>> fit.cost, weighed(seen.where(np.array([True, False])), fit, huber=10.0).cost
        (10.0, 1.0)
    """
    longest, cost = _weighed(seen, fit.length, huber)
    return Fit(fit.vector, fit.residual, fit.length, fit.jacobian, longest, cost)


def _weighed(seen: Observations, length: np.ndarray, huber: float) -> tuple[float, float]:
    """Longest, and cost."""
    longest = max((length if seen.number == len(length) else length * seen.counting).tolist())
    if longest <= huber:
        cost = float((length * length).dot(seen.weights))
    else:
        near = np.minimum(length, huber)
        cost = float((near * (2.0 * length - near)).dot(seen.weights))
    return longest, cost if math.isfinite(cost) else math.inf


def in_front(model: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(N,) boolean of (N, 3) m: the points in front of the camera at a pose, as `Fit.vector` has it.

    Example: of an object at 1 m, what is 2 m nearer than its origin lies behind the camera.
        >>> in_front(np.array([[0.0, 0, 0.5], [0, 0, -0.5], [0, 0, -2]]), np.array([0, 0, 0, 0, 0, 1.0])).tolist()
        [True, True, False]
    """
    return np.asarray(model @ cv2.Rodrigues(vector[:3])[0][2] > -vector[5])


def refine(seen: Observations, start: Fit, huber: float, steps: int = MAX_STEPS) -> Fit:
    """Levenberg-Marquardt with Huber's loss from a roughly correct start.

    It ends where the next step would gain next to nothing, by the decrease of the cost that its own quadratic model
    predicts.

    Args:
        seen: three points or more count.
        start: the same observations at a pose with all points that count in front of the camera, by `evaluate`.
        huber: pixels, as of `start`; longer residuals count by their length instead of their square.
        steps: largest number of steps.

    Example: from 5 cm aside and 10 cm too far.
        >>> corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.1)])
        >>> seen = Observations.of(corners, 600 * corners[:, :2] / (1 + corners[:, 2:]), np.ones(8), focal=600.0)
        >>> fit = refine(seen, evaluate(seen, np.array([0, 0, 0, 0.05, 0, 1.1]), huber=2.0), huber=2.0)
        >>> np.allclose(fit.pose.translation, (0, 0, 1), atol=1e-6), round(fit.cost, 6)
        (True, 0.0)
    """
    fit, damping = start, _SMALLEST_DAMPING
    for _ in range(steps):
        if not math.isfinite(fit.cost):
            return fit
        roots = seen.roots
        if fit.longest > huber:
            roots = roots * np.sqrt(huber / np.maximum(fit.length, huber)).repeat(2)
        jacobian, residual = fit.jacobian * roots[:, None], fit.residual.ravel() * roots
        while True:
            solved, step = _step(jacobian, residual, damping)
            if solved:
                if float(residual.dot(jacobian).dot(step)[0]) <= _GAIN * fit.cost + _EXACT:
                    return fit
                trial = evaluate(seen, fit.vector - step[:, 0], huber)
                if trial.cost <= fit.cost:
                    break
            damping = max(damping * 30.0, 1e-4)
            if damping > _LARGEST_DAMPING:
                return fit
        fit = trial
        damping = max(damping * 0.1, _SMALLEST_DAMPING)
    return fit


def _step(jacobian: np.ndarray, residual: np.ndarray, damping: float) -> tuple[bool, np.ndarray]:
    """Whether there is a step, and (6, 1) what to subtract: by the normal equations of (2 N, 6) and (2 N,)."""
    if damping <= _SMALLEST_DAMPING:
        solved, step = cv2.solve(jacobian, residual, flags=_BY_NORMAL_EQUATIONS)
    else:
        hessian = jacobian.T @ jacobian
        hessian.reshape(36)[::7] *= 1.0 + damping
        solved, step = cv2.solve(hessian, jacobian.T @ residual, flags=cv2.DECOMP_CHOLESKY)
    return solved, step


@functools.lru_cache(maxsize=64)
def _all(count: int) -> np.ndarray:
    counting: np.ndarray = np.ones(count, bool)
    counting.setflags(write=False)
    return counting


@functools.lru_cache(maxsize=16)
def _intrinsics(focal: float) -> np.ndarray:
    return np.array(((focal, 0.0, 0.0), (0.0, focal, 0.0), (0.0, 0.0, 1.0)))
