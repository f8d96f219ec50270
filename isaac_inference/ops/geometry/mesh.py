# SPDX-License-Identifier: Apache-2.0
"""Object meshes: reading and checking them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isaac_inference.errors import ConfigError, ModelError

FORMATS = ('.obj', '.ply', '.stl')
_METRES = {'m': 1.0, 'mm': 0.001}
_SIZE_TOLERANCE = 0.1
_LARGEST = 20.0  # metres; no object that a robot's camera detects is larger
_THINNEST = 1e-5  # metres


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in metres, in the object's frame: its bounding box is centred on the origin.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, indices into vertices, none degenerate.
        offset: (3,) float64, the bounding box's centre in the file's own frame, metres: file = object + offset.
    """

    vertices: np.ndarray
    faces: np.ndarray
    offset: np.ndarray

    @property
    def extents(self) -> np.ndarray:
        """(3,) sides of the bounding box, metres."""
        return np.ptp(self.vertices, axis=0)


def load_mesh(path: Path | str, unit: str = 'm', size: Sequence[float] | np.ndarray | None = None) -> Mesh:
    """Reads an obj, ply or stl file.

    Args:
        path: of the file.
        unit: 'm' or 'mm', what a 1 in the file means.
        size: (3,) metres, as declared by the model card; the mesh must agree within 10 %.

    Raises:
        ModelError: the file is missing, unreadable, empty, flat, not finite, of another format or not of the declared
            size; the message suggests a unit that is probably meant.
        ConfigError: an unknown unit, or trimesh is missing.

    Example: a file in millimetres.
        >>> import tempfile, trimesh
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = trimesh.creation.box((160, 60, 220)).export(f'{folder}/box.stl')
        ...     load_mesh(f'{folder}/box.stl', 'mm').extents.round(3).tolist()
        [0.16, 0.06, 0.22]
    """
    path = Path(path)
    if unit not in _METRES:
        raise ConfigError(f'mesh_unit: got {unit!r}, expected m or mm')
    if not path.is_file():
        raise ModelError(f'mesh {path}: no such file; give its path relative to the model card')
    if path.suffix.lower() not in FORMATS:
        raise ModelError(f'mesh {path}: got format {path.suffix!r}, expected one of {", ".join(FORMATS)}')
    vertices, faces = _read(path)
    vertices = vertices * _METRES[unit]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    _check_extents(path, high - low, unit, size)
    offset = (low + high) / 2
    return Mesh(vertices - offset, faces, offset)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        import trimesh
    except ImportError as error:
        raise ConfigError(f'mesh {path}: {error}; reading meshes needs it: pip install trimesh') from error
    if path.stat().st_size == 0:
        raise ModelError(f'mesh {path}: the file is empty; export it again')
    try:
        loaded = trimesh.load(path, force='mesh', process=False, skip_materials=True)
    except Exception as error:  # trimesh raises whatever its parsers do
        raise ModelError(f'mesh {path}: trimesh cannot read it ({type(error).__name__}: {error})') from error
    vertices = np.asarray(getattr(loaded, 'vertices', ()), np.float64).reshape(-1, 3)
    faces = np.asarray(getattr(loaded, 'faces', ()), np.int64).reshape(-1, 3)
    if len(vertices) == 0 or len(faces) == 0:
        raise ModelError(
            f'mesh {path}: got {len(vertices)} vertices and {len(faces)} faces, expected a surface of triangles; a '
            f'point cloud must be meshed first'
        )
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


def _check_extents(path: Path, extents: np.ndarray, unit: str, size: Sequence[float] | np.ndarray | None) -> None:
    found = ' x '.join(f'{side / _METRES[unit]:.4g}' for side in extents)
    if size is None:
        if extents.max() > _LARGEST:
            raise ModelError(
                f'mesh {path}: extents {found} as {unit} are over {_LARGEST:g} m'
                + ('; looks like millimetres: set mesh_unit: mm' if unit == 'm' else '')
            )
    else:
        declared = np.asarray(size, np.float64)
        against = f'extents {found} against size {" x ".join(f"{side:.4g}" for side in declared)}'
        ratio = float(np.median(extents / declared))
        if 300.0 < ratio < 3000.0 and unit == 'm':
            raise ModelError(f'mesh {path}: looks like millimetres: {against} (m); set mesh_unit: mm')
        if 0.0003 < ratio < 0.003 and unit == 'mm':
            raise ModelError(f'mesh {path}: looks like metres: {against} (m); set mesh_unit: m')
        if not np.allclose(extents, declared, rtol=_SIZE_TOLERANCE, atol=0.002):
            turned = np.allclose(np.sort(extents), np.sort(declared), rtol=_SIZE_TOLERANCE, atol=0.002)
            raise ModelError(
                f'mesh {path}: {against} (m): more than {_SIZE_TOLERANCE:.0%} apart; '
                + ('the axes are swapped: turn the mesh or reorder size' if turned else 'correct size or the mesh')
            )
    if extents.min() < _THINNEST:
        raise ModelError(f'mesh {path}: extents {found} {unit}: flat, expected a solid; give it a thickness')
