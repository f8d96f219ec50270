# SPDX-License-Identifier: Apache-2.0
"""The ray caster against geometry that is worked out another way: depth, outlines, texture places, distortion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.sim import KINDS, default_camera
from isaac_inference.sim.placement import look_at
from isaac_inference.sim.renderer import Light, Placed, Renderer

CAMERAS = {
    'pinhole': default_camera(),
    'distorted': default_camera(distorted=True),
    'fisheye': CameraModel(
        320, 240, np.array([(200.0, 0, 160), (0, 200, 120), (0, 0, 1)]), (0.02, -0.01, 0.003, 0.0), 'equidistant'
    ),
}
ABOVE = look_at(np.array([0.0, -0.8, 0.7]), np.zeros(3))
POSE = Pose(so3_exp(np.array([0.5, -0.8, 0.3])), np.array([0.03, -0.05, 0.7]))


def surface_points(view, camera: CameraModel, pose: Pose) -> np.ndarray:
    """The object's seen points in its own frame, from depth and an independent unprojection of their pixels."""
    rows, columns = np.nonzero(view.instances == 1)
    rays = camera.undistort(np.column_stack((columns, rows)).astype(float))
    depth = view.depth[rows, columns].astype(float)[:, None]
    return pose.inverse().apply(np.column_stack((rays, np.ones(len(rays)))) * depth)


@pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize('name', ['cereal_box', 'book'])
def test_seen_points_lie_on_the_cuboid(camera, name):
    kind = KINDS[name]
    view = Renderer(camera).render([Placed(kind, POSE)], ABOVE)
    points = np.abs(surface_points(view, camera, POSE)) - np.array(kind.size) / 2
    assert len(points) > 500
    assert points.max() < 1e-4, 'a point lies outside'
    assert np.abs(points.max(axis=1)).max() < 1e-4, 'a point lies inside'


@pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)
def test_seen_points_lie_on_the_cylinder(camera):
    kind = KINDS['soup_can']
    points = surface_points(Renderer(camera).render([Placed(kind, POSE)], ABOVE), camera, POSE)
    radial = np.hypot(points[:, 0], points[:, 1]) - kind.size[0] / 2
    axial = np.abs(points[:, 2]) - kind.size[2] / 2
    outermost = np.maximum(radial, axial)
    assert len(points) > 500
    assert np.abs(outermost).max() < 1e-4


@pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize('name', ['cereal_box', 'soup_can'])
def test_the_box_is_the_outline_of_the_drawn_pixels(camera, name):
    view = Renderer(camera).render([Placed(KINDS[name], POSE)], ABOVE)
    rows, columns = np.nonzero(view.instances == 1)
    drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(view.boxes[0] - drawn).max() <= 1.0
    assert view.visibility[0] == pytest.approx(1.0, abs=0.02)


def test_the_table_is_a_plane_at_the_camera_s_distance():
    camera = default_camera()
    view = Renderer(camera).render([], ABOVE)
    rows, columns = np.nonzero(np.isfinite(view.depth))
    rays = camera.undistort(np.column_stack((columns, rows)).astype(float))
    points = ABOVE.apply(np.column_stack((rays, np.ones(len(rays)))) * view.depth[rows, columns][:, None])
    assert len(points) > 1e5
    assert np.abs(points[:, 2]).max() < 1e-3


def test_the_nearer_object_hides_the_other_and_visibility_says_how_much():
    kind = KINDS['toy_block']
    far, near = (Placed(kind, Pose(np.eye(3), np.array([x, 0.0, z]))) for x, z in ((0.0, 0.9), (0.055 * 6 / 9, 0.6)))
    both = Renderer(default_camera()).render([far, near], ABOVE)
    swapped = Renderer(default_camera()).render([near, far], ABOVE)
    assert both.visibility[1] == pytest.approx(1.0, abs=0.02)
    assert 0.2 < both.visibility[0] < 0.6
    np.testing.assert_allclose(both.visibility, swapped.visibility[::-1], atol=1e-6)
    np.testing.assert_array_equal(both.color, swapped.color)


def test_what_is_outside_the_image_counts_as_unseen():
    kind, camera = KINDS['toy_block'], default_camera()
    wide = CameraModel(960, 480, camera.K)  # the same view, and more to the right of it
    at_edge = Placed(kind, Pose(so3_exp(np.array([0.2, 0.4, 0.1])), np.array([0.35, 0.0, 0.7])))
    whole = Renderer(wide).render([at_edge], ABOVE).instances
    view = Renderer(camera).render([at_edge], ABOVE)
    inside = np.count_nonzero(whole[:, :640]) / np.count_nonzero(whole)
    assert 0.2 < inside < 0.9
    assert view.visibility[0] == pytest.approx(inside, abs=0.02)
    assert view.boxes[0][2] == 640


def test_an_object_at_the_lens_is_left_out():
    view = Renderer(default_camera()).render([Placed(KINDS['book'], Pose(np.eye(3), np.array([0, 0, 0.04])))], ABOVE)
    assert view.visibility[0] == 0
    assert not view.instances.any()


def test_text_on_a_face_is_not_mirrored():
    """The '+y' face seen straight on equals its picture, warped by its corners' projections."""
    from isaac_inference.sim.textures import faces_of

    kind, camera = KINDS['tea_box'], default_camera()
    towards = np.column_stack(((-1.0, 0, 0), (0, 0, -1.0), (0, -1.0, 0)))  # +y looks at the camera, +z is up
    pose = Pose(towards, np.array([0.0, 0.0, 0.35]))
    view = Renderer(camera).render([Placed(kind, pose)], ABOVE)
    picture = faces_of(kind)['+y'][0]
    x, y, z = np.array(kind.size) / 2
    corners = camera.project(pose.apply(np.array([(x, y, z), (-x, y, z), (-x, y, -z), (x, y, -z)]))).astype(np.float32)
    height, width = picture.shape[:2]
    frame = np.array([(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)], np.float32)
    expected = cv2.warpPerspective(picture, cv2.getPerspectiveTransform(frame, corners), (640, 480))
    left, top, right, bottom = (view.boxes[0] + (4, 4, -4, -4)).astype(int)
    seen, wanted = (cv2.cvtColor(item[top:bottom, left:right], cv2.COLOR_BGR2GRAY) for item in (view.color, expected))
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.98
    assert np.corrcoef(seen.ravel(), wanted[:, ::-1].ravel())[0, 1] < 0.8


def test_corners_project_into_the_drawn_object():
    view = Renderer(default_camera()).render([Placed(KINDS['milk_carton'], POSE)], ABOVE)
    pixels = default_camera().project(POSE.apply(cuboid_corners(KINDS['milk_carton'].size) * 0.9)).round().astype(int)
    assert (view.instances[pixels[:, 1], pixels[:, 0]] == 1).all()


def seen_by_ray(camera: CameraModel, items: list[Placed], pixel: tuple[int, int]) -> tuple[int, float, np.ndarray]:
    """Number, depth and unshaded colour of the nearest object at a pixel, face by face in float64; 0 for none."""
    from isaac_inference.sim.textures import PIXELS_PER_M, faces_of

    ray = np.append(camera.undistort(np.array([pixel], float))[0], 1.0)
    best: tuple[int, float, np.ndarray] = (0, np.inf, np.zeros(3))
    for number, item in enumerate(items, 1):
        origin, way = item.pose.inverse().translation, item.pose.rotation.T @ ray
        half = np.array(item.kind.size) / 2
        level = int(np.clip(np.log2(item.pose.translation[2] / camera.K[0, 0] * PIXELS_PER_M) + 0.3, 0, 2))
        for face, (u, v, depth) in places_on_faces(item.kind.shape, origin, way, half).items():
            if depth < best[1]:
                picture = faces_of(item.kind)[face][level].astype(float)
                best = (number, depth, bilinear(picture, u * picture.shape[1] - 0.5, v * picture.shape[0] - 0.5))
    return best


def places_on_faces(shape: str, origin: np.ndarray, way: np.ndarray, half: np.ndarray) -> dict[str, tuple]:
    """Where a line meets each face that looks at its origin: (u, v) in 0..1 over the picture, and the distance."""
    found = {}
    for axis, name in enumerate('xyz'):
        for sign in (1.0, -1.0):
            if sign * origin[axis] <= half[axis] or (shape == 'cylinder' and name != 'z'):
                continue
            depth = (sign * half[axis] - origin[axis]) / way[axis]
            x, y, z = place = (origin + depth * way) / half
            right, up = {'x': (sign * y, z), 'y': (-sign * x, z), 'z': (sign * x, y)}[name]
            across = np.delete(place, axis)
            inside = np.hypot(*across) <= 1 if shape == 'cylinder' else np.abs(across).max() <= 1
            if inside and depth > 0:
                found[('+' if sign > 0 else '-') + name] = ((right + 1) / 2, (1 - up) / 2, depth)
    if shape == 'cylinder':
        a, b = way[:2] @ way[:2], origin[:2] @ way[:2]
        root = b * b - a * (origin[:2] @ origin[:2] - half[0] ** 2)
        if root > 0:
            depth = (-b - np.sqrt(root)) / a
            x, y, z = origin + depth * way
            if depth > 0 and abs(z) <= half[2]:
                found['side'] = (np.arctan2(y, x) / (2 * np.pi) % 1.0, (1 - z / half[2]) / 2, depth)
    return found


def bilinear(picture: np.ndarray, u: float, v: float) -> np.ndarray:
    height, width = picture.shape[:2]
    left, top = int(np.floor(u)), int(np.floor(v))
    rows, columns = np.clip((top, top + 1), 0, height - 1), np.clip((left, left + 1), 0, width - 1)
    across = picture[rows][:, columns[0]] * (left + 1 - u) + picture[rows][:, columns[1]] * (u - left)
    return across[0] * (top + 1 - v) + across[1] * (v - top)


@pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS)
def test_what_is_drawn_is_what_a_slow_ray_caster_sees(camera):
    """Every pixel's object, depth and paint, of cut-off and hidden objects too; the tolerance is that of rounding."""
    rng = np.random.default_rng(12)
    spots = (
        (0.0, 0.0, 0.75),
        (0.12, 0.05, 0.9),
        (-0.2, -0.1, 0.7),
        (0.3, -0.2, 0.8),
        (-0.35, 0.2, 0.85),
        (0.05, 0.3, 1),
    )
    items = [
        Placed(kind, Pose(so3_exp(rng.uniform(-2, 2, 3)), np.array(spot)))
        for kind, spot in zip(KINDS.values(), spots, strict=True)
    ]
    view = Renderer(camera).render(items, ABOVE, light=Light(ambient=1.0, diffuse=0.0, shadow=0.0))
    rows, columns = np.nonzero(view.instances)
    picked = rng.choice(len(rows), 1500, replace=False)
    seen = [seen_by_ray(camera, items, (columns[i], rows[i])) for i in picked]
    drawn = view.instances[rows[picked], columns[picked]]
    same = np.array([number for number, *_ in seen]) == drawn
    assert same.mean() > 0.995, 'pixels belong to other objects'
    depth = np.array([depth for _, depth, _ in seen])
    assert np.abs(view.depth[rows[picked], columns[picked]] - depth)[same].max() < 1e-4
    colors = np.array([color for *_, color in seen])
    off = np.abs(view.color[rows[picked], columns[picked]] - colors).max(axis=1)[same]
    assert np.median(off) < 0.6
    assert (off < 6).mean() > 0.99, 'the paint is elsewhere on the faces'


@pytest.mark.parametrize('name', ['pinhole', 'distorted'])
def test_the_table_fills_the_image_where_every_ray_meets_it(name):
    """What the corners of the image tell is what all pixels tell."""
    camera, rng, found = CAMERAS[name], np.random.default_rng(4), set()
    for _ in range(60):
        eye = rng.uniform((-0.9, -0.9, 0.2), (0.9, 0.9, 1.2))
        renderer, seen = Renderer(camera), look_at(eye, np.append(rng.uniform(-0.6, 0.6, 2), 0.0), rng.normal(0, 0.3))
        view = renderer.render([], seen)
        is_full = not np.isnan(view.depth).any()
        with np.errstate(all='ignore'):
            assert renderer._background(seen, 0, 1, Light())[2] is not is_full
        found.add(is_full)
    assert found == {True, False}
