# SPDX-License-Identifier: Apache-2.0
"""Lens distortion: the models that are known, and the names that drivers and calibration tools give them."""

from __future__ import annotations

import re

import numpy as np

from isaac_inference.errors import FrameError

NONE, PLUMB_BOB, RATIONAL, EQUIDISTANT = 'none', 'plumb_bob', 'rational_polynomial', 'equidistant'
MODELS = (NONE, PLUMB_BOB, RATIONAL, EQUIDISTANT)
# Numbers of coefficients that OpenCV accepts; longer lists are fine when the rest is zero.
_COEFFICIENTS = {NONE: (0,), PLUMB_BOB: (4, 5), RATIONAL: (8, 12, 14), EQUIDISTANT: (4,)}
# Other names of the same formulas, folded: lower case, letters and digits only. RADIAL is plumb_bob or
# rational_polynomial, which are one formula; the number of coefficients tells how much of it is used.
_RADIAL = 'radial'
_NAMES = {
    '': NONE,
    'none': NONE,
    'plumbbob': PLUMB_BOB,
    'brownconrady': _RADIAL,
    'opencv': _RADIAL,
    'radtan': _RADIAL,
    'radialtangential': _RADIAL,
    'rational': RATIONAL,
    'rationalpolynomial': RATIONAL,
    'equi': EQUIDISTANT,
    'equidistant': EQUIDISTANT,
    'fisheye': EQUIDISTANT,
    'opencvfisheye': EQUIDISTANT,
    'kannalabrandt': EQUIDISTANT,
    'kannalabrandt4': EQUIDISTANT,
}
# Names with which cameras without distortion come, and why their coefficients mean nothing here.
_EMPTY = {
    'pinhole': 'pinhole is a projection and names no distortion',
    'inversebrownconrady': 'releases of its vendor disagree on the direction of this formula',
    'modifiedbrownconrady': 'its tangential part is not that of plumb_bob',
}


def distortion(model: str, d: np.ndarray) -> tuple[str, tuple[float, ...]]:
    """One of `MODELS`, and as many coefficients as OpenCV expects of it.

    Args:
        model: the name, in whatever spelling: 'radial-tangential', 'Radial Tangential' and 'radtan' are one.
        d: the coefficients in OpenCV's order.

    Raises:
        FrameError: 'unknown_distortion', 'bad_intrinsics' (not finite, or too few or too many of them).

    Example: eight coefficients are a rational polynomial, unless the last ones are zero.
        >>> distortion('Brown Conrady', np.array([0.1, 0, 0, 0, 0, 0, 0, 0]))
        ('plumb_bob', (0.1, 0.0, 0.0, 0.0))
        >>> distortion('opencv', np.array([0.1, 0, 0, 0, 0, 0.2, 0, 0]))[0]
        'rational_polynomial'
    """
    folded = re.sub('[^a-z0-9]', '', model.lower())
    name = NONE if folded in _EMPTY else _NAMES.get(folded)
    if name is None or (name == NONE and d.any()):
        why = _EMPTY.get(folded, 'it names no model' if name == NONE else '')
        raise FrameError(
            'unknown_distortion',
            f'CameraInfo: got distortion_model {model!r} with d {d.tolist()}{why and f" ({why})"}, expected one of '
            f'{", ".join(MODELS[1:])}, or none with no coefficients (other names of the first: radtan, '
            'radial-tangential, Brown Conrady, opencv; of the last: fisheye, kannala_brandt4); set the model that the '
            'calibration used, or rectify the image and set image_rectified: true',
        )
    if not np.isfinite(d).all():
        raise FrameError(
            'bad_intrinsics', f'CameraInfo: got d {d.tolist()}, expected finite numbers; check the calibration'
        )
    if name == NONE or (name != EQUIDISTANT and not d.any()):
        return NONE, ()
    candidates = (PLUMB_BOB, RATIONAL) if name == _RADIAL else (name,)
    counts = [(candidate, count) for candidate in candidates for count in _COEFFICIENTS[candidate]]
    for candidate, count in counts:
        if len(d) >= count and not d[count:].any():
            return candidate, tuple(d[:count].tolist())
    raise FrameError(
        'bad_intrinsics',
        f'CameraInfo: got {len(d)} coefficients d {d.tolist()} for {model}, expected '
        f'{" or ".join(str(count) for _, count in counts)}; check the calibration',
    )
