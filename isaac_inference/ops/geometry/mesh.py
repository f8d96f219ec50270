# SPDX-License-Identifier: Apache-2.0
"""Object meshes: reading and checking them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isaac_inference.errors import ConfigError, ModelError

FORMATS = ('.obj', '.ply', '.stl')
METRES = {'m': 1.0, 'cm': 0.01, 'mm': 0.001, 'in': 0.0254}
"""What a 1 in a file may mean."""
_NAMES = {'m': 'metres', 'cm': 'centimetres', 'mm': 'millimetres', 'in': 'inches'}
_SIZE_TOLERANCE = 0.1
_IN_ANOTHER_UNIT = 0.25  # sides that agree with the declared ones like this in another unit are in that unit
_LARGEST, _SMALLEST = 20.0, 0.001  # metres; no object that a robot's camera detects is larger, or smaller
_LARGE, _SMALL = 5.0, 0.005  # metres; beyond, the unit is doubted
_USUAL = 0.2  # metres
_THINNEST = 1e-5  # metres


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in metres, in the object's frame: its bounding box is centred on the origin.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, indices into vertices, none degenerate.
        offset: (3,) float64, the bounding box's centre in the file's own frame, metres: file = object + offset.
        doubt: why its unit may be wrong; '' for a plausible size.
    """

    vertices: np.ndarray
    faces: np.ndarray
    offset: np.ndarray
    doubt: str = ''

    @property
    def extents(self) -> np.ndarray:
        """(3,) sides of the bounding box, metres."""
        return np.ptp(self.vertices, axis=0)


def load_mesh(path: Path | str, unit: str = 'm', size: Sequence[float] | np.ndarray | None = None) -> Mesh:
    """Reads an obj, ply or stl file.

    Args:
        path: of the file.
        unit: one of `METRES`, what a 1 in the file means.
        size: (3,) metres, as declared by the model card; the mesh must agree within 10 %.

    Raises:
        ModelError: the file is missing, unreadable, empty, a cloud of points, flat, not finite, of another format or
            not of the declared size, or of no size that an object has; the message names the unit that fits.
        ConfigError: an unknown unit, or trimesh is missing.

    Example: a file in millimetres.
        >>> import tempfile, trimesh
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = trimesh.creation.box((160, 60, 220)).export(f'{folder}/box.stl')
        ...     load_mesh(f'{folder}/box.stl', 'mm').extents.round(3).tolist()
        [0.16, 0.06, 0.22]
    """
    path = Path(path)
    if unit not in METRES:
        raise ConfigError(f'mesh_unit: got {unit!r}, expected one of {", ".join(METRES)}')
    if not path.is_file():
        raise ModelError(f'mesh {path}: no such file; give its path relative to the model card')
    if path.suffix.lower() not in FORMATS:
        raise ModelError(f'mesh {path}: got format {path.suffix!r}, expected one of {", ".join(FORMATS)}')
    vertices, faces = _read(path)
    vertices = vertices * METRES[unit]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    doubt = _check_extents(path, high - low, unit, size)
    offset = (low + high) / 2
    return Mesh(vertices - offset, faces, offset, doubt)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import trimesh
    except ImportError as error:
        raise ConfigError(f'mesh {path}: {error}; reading meshes needs it: pip install trimesh') from error
    if path.stat().st_size == 0:
        raise ModelError(f'mesh {path}: the file is empty; export it again')
    try:
        loaded = trimesh.load(path, force='mesh', process=False, skip_materials=True)
        is_surface = len(getattr(loaded, 'faces', ())) > 0
        loose = 0 if is_surface else len(getattr(trimesh.load(path, process=False), 'vertices', ()))
    except Exception as error:  # trimesh raises whatever its parsers do
        raise ModelError(f'mesh {path}: trimesh cannot read it ({type(error).__name__}: {error})') from error
    vertices = np.asarray(getattr(loaded, 'vertices', ()), np.float64).reshape(-1, 3)
    faces = np.asarray(getattr(loaded, 'faces', ()), np.int64).reshape(-1, 3)
    if len(faces) == 0 and loose:
        raise ModelError(
            f'mesh {path}: got {loose} points and 0 faces: a point cloud, expected a surface of triangles; mesh it, by '
            'Poisson reconstruction say, or export the surface that it was sampled from'
        )
    if len(faces) == 0:
        raise ModelError(f'mesh {path}: got {len(vertices)} vertices and 0 faces, expected a surface; export it again')
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ModelError(f'mesh {path}: a face names vertex {faces.max()} of {len(vertices)}; the file is truncated')
    used = np.unique(faces)
    if not np.isfinite(vertices[used]).all():
        raise ModelError(f'mesh {path}: some vertices are NaN or infinite; export it again')
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces = faces[areas > 0.0]
    if len(faces) == 0:
        raise ModelError(f'mesh {path}: all {len(areas)} faces have no area')
    used, compact = np.unique(faces, return_inverse=True)
    return vertices[used], compact.reshape(-1, 3).astype(np.int64)


def _check_extents(path: Path, extents: np.ndarray, unit: str, size: Sequence[float] | np.ndarray | None) -> str:
    """Why the unit may be wrong, '' where nothing speaks for that.

    Raises:
        ModelError: it is wrong, or the mesh is flat or not of the declared size.
    """
    raw = extents / METRES[unit]
    numbers, doubt = _by(raw), ''
    declared = None if size is None else np.asarray(size, np.float64)
    if declared is not None:
        _check_size(path, extents, unit, declared)
    is_object = _SMALLEST <= extents.max() <= _LARGEST
    if not is_object or (declared is None and not _SMALL <= extents.max() <= _LARGE):
        doubt = f'extents {numbers} as {unit} are an object of {_shown(extents)}; {_plausible(raw, unit)}'
        doubt += '' if declared is None else ', and correct size, which is in metres'
    if not is_object:
        raise ModelError(f'mesh {path}: {doubt}')
    if extents.min() < _THINNEST:
        raise ModelError(f'mesh {path}: extents {numbers} {unit}: flat, expected a solid; give it a thickness')
    return doubt


def _check_size(path: Path, extents: np.ndarray, unit: str, declared: np.ndarray) -> None:
    """Raises ModelError: the mesh is not of the declared size."""
    raw = extents / METRES[unit]
    thin = min(0.002, 0.1 * float(declared.max()))  # sizes are given in whole millimetres
    against = f'extents {_by(raw)} against size {_by(declared)} (m)'
    if np.allclose(extents, declared, rtol=_SIZE_TOLERANCE, atol=thin):
        return
    if np.allclose(np.sort(extents), np.sort(declared), rtol=_SIZE_TOLERANCE, atol=thin):
        raise ModelError(f'mesh {path}: {against}: the axes are swapped: turn the mesh or reorder size')
    other = _unit_of(raw, declared)
    if other:
        raise ModelError(
            f'mesh {path}: looks like {_NAMES[other]}: {against}, and mesh_unit is {unit}; set mesh_unit: {other}'
        )
    raise ModelError(
        f'mesh {path}: {against}: more than {_SIZE_TOLERANCE:.0%} apart, as mesh_unit {unit} makes it '
        f'{_shown(extents)}; {_unit_of_size(extents, declared)}correct size or the mesh'
    )


def _unit_of(raw: np.ndarray, declared: np.ndarray) -> str:
    """The unit in which the file's extents are those declared; '' for none."""
    if not _SMALLEST <= declared.max() <= _LARGEST:
        return ''  # what is declared is no object
    sides = np.sort(declared)
    alike = (name for name, per in METRES.items() if np.allclose(np.sort(raw) * per, sides, rtol=_IN_ANOTHER_UNIT))
    return next(alike, '')


def _unit_of_size(extents: np.ndarray, declared: np.ndarray) -> str:
    """A hint where it is the declared size that is in another unit than metres."""
    factor = float(np.median(declared / extents))
    for per, how in ((1000.0, 'is in millimetres'), (100.0, 'is in centimetres'), (0.001, 'was divided by 1000 twice')):
        if abs(factor / per - 1.0) < _IN_ANOTHER_UNIT:
            return f'it looks as if size {how}: metres are [{_by(extents, ", ")}]; else '
    return ''


def _plausible(raw: np.ndarray, unit: str) -> str:
    """The units in which the extents are those of an object, the likeliest first."""
    fitting = [name for name, per in METRES.items() if _SMALL <= raw.max() * per <= _LARGE and name != unit]
    if not fitting:
        return f'expected {_SMALL * 1000:g} mm to {_LARGE:g} m, and no unit makes it that: scale the mesh'
    fitting.sort(key=lambda name: abs(np.log(raw.max() * METRES[name] / _USUAL)))
    named = ' or '.join(f'{_NAMES[name]} ({_shown(raw * METRES[name])})' for name in fitting)
    return f'looks like {named}: set mesh_unit: {fitting[0]}'


def _by(sides: np.ndarray, between: str = ' x ') -> str:
    return between.join(f'{side:.4g}' for side in sides)


def _shown(metres: np.ndarray) -> str:
    """Lengths in the unit that people would give them in."""
    return f'{_by(metres)} m' if metres.max() >= 1.0 else f'{_by(metres * 1000)} mm'
