# SPDX-License-Identifier: Apache-2.0
"""SimCameraNode on one core: frames per second, and where a frame's time goes.

The node and a listener, in one process that is bound to one core. The listener takes all of the node's topics (image,
depth, both camera infos, the three truths), so that the node makes all messages; both get them by reference. The node
is asked for far more frames than it can make. `frames per second` are the images that arrived over the time between
the first and the last of them. The parts are taken around the calls inside the node: `render` is the ray caster,
`sensor` what a camera adds to colour and depth, `messages` everything that is published, /tf included; `rest` is the
motion of the scene, its truth, and waiting for the one core.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from geometry_msgs.msg import PoseArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2DArray, Detection3DArray

from benchmark.support.common import (
    Figure,
    Options,
    Result,
    Stats,
    Table,
    number,
    one_core,
    plt,
    save_plot,
    stacked_bars,
)
from benchmark.support.ros import ros
from isaac_inference.ros.bringup.graph import perception_graph
from isaac_inference.ros.bringup.runner import start_composed
from isaac_inference.ros.messages.image import IMAGE
from isaac_inference.ros.nodes.sim_camera.node import SimCameraNode
from isaac_inference.ros.runtime.container.spin import SpinThread
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.topics.qos import QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.sim import Scene, scene
from isaac_inference.sim.renderer import Renderer

TITLE = 'Simulated camera'
ASKED_FPS = 30.0
_SETTINGS: dict[str, dict[str, Any]] = {
    'as it comes': {},
    'distorted lens': {'distorted': True},
    'depth in 16UC1': {'depth_encoding': '16UC1'},
    'nine objects': {'objects': 9},
    'at 30 Hz': {'rate_hz': 30.0},
}
_RELIABLE = QosParameters(reliability=Reliability.RELIABLE, depth=10)
_WARM_UP_S, _READY_S = 2.0, 30.0
_PARTS = ('render', 'sensor', 'messages', 'rest')


class _Listener(PipelineNode):
    """Takes everything that the camera publishes, and notes when images arrive."""

    def __init__(self, node_name: str = 'listener', **kwargs: Any) -> None:
        self.arrivals: list[float] = []
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        self.subscribe(IMAGE, 'image', _RELIABLE, self._on_image, primary=True, depth=10)
        others: dict[str, Any] = {'depth/image': IMAGE}
        others |= dict.fromkeys(('camera_info', 'depth/camera_info'), plain(CameraInfo))
        others |= {'truth/detections': plain(Detection2DArray), 'truth/detections_3d': plain(Detection3DArray)}
        for topic, adapter in {**others, 'truth/poses': plain(PoseArray)}.items():
            self.subscribe(adapter, topic, _RELIABLE, lambda message, clock: None, depth=10)

    def has_input(self) -> bool:
        return False

    def _on_image(self, frame: Any, clock: StageClock) -> None:
        self.arrivals.append(time.monotonic())


def run(options: Options) -> Result:
    """Each setting in turn."""
    result = Result('simulator', TITLE)
    table = Table(
        'SimCameraNode, 640x480, one core', ['setting', 'frames per second', *(f'{part} [ms]' for part in _PARTS),
        'a frame p50 [ms]', 'p95 [ms]', 'frames'],
    )  # fmt: skip
    bars: dict[str, dict[str, float]] = {}
    rates: dict[str, float] = {}
    with one_core(), ros():
        for name, parameters in _SETTINGS.items():
            rate, parts = _measure(parameters, options.pick(15.0, 3.0))
            rates[name] = rate
            whole = Stats.of(parts.pop('frame'))
            bars[name] = {part: float(np.median(values)) for part, values in parts.items()}
            table.add(name, f'{rate:.1f}', *bars[name].values(), whole.p50, whole.p95, whole.count)
            result.data[name] = {'fps': rate, 'parts_p50_ms': bars[name], 'frame_ms': whole.as_json()}
    result.tables.append(table)
    others = ', '.join(f'{name} {rate:.0f}' for name, rate in list(rates.items())[1:])
    result.figures.append(
        Figure(
            'Simulated RGB-D camera with truth, 640x480, one core',
            f'{ASKED_FPS:g} frames per second',
            f'{rates["as it comes"]:.0f} frames per second, {number(sum(bars["as it comes"].values()))} ms a frame; '
            f'{others}',
            rates['as it comes'] >= ASKED_FPS,
        )
    )
    figure, axes = plt.subplots(figsize=(10, 4))
    stacked_bars(axes, bars, 'ms')
    axes.axvline(1e3 / ASKED_FPS, color='black', linestyle='--', linewidth=1)
    axes.set_xlabel('p50 of each part [ms]; the line is 30 Hz')
    axes.set_title('SimCameraNode, 640x480, one core')
    save_plot(figure, options, 'simulator', result)
    return result


def _measure(parameters: dict[str, Any], duration_s: float) -> tuple[float, dict[str, np.ndarray]]:
    """Frames per second, and ms of each part of each frame."""
    specs = perception_graph(simulator={'rate_hz': 1000.0, **parameters}, annotate=False)
    with _timers() as timers, contextlib.closing(start_composed(specs[:1])) as graph:
        listener = _Listener(namespace=graph.namespace, parameter_overrides=[Parameter('autostart', value=True)])
        spin = SpinThread(listener)
        try:
            end = time.monotonic() + _READY_S
            while not listener.arrivals and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(_WARM_UP_S)
            timers.clear()
            first = len(listener.arrivals)
            time.sleep(duration_s)
            arrivals = np.array(listener.arrivals[first:])
            frames = timers.frames()
        finally:
            spin.stop()
    return (len(arrivals) - 1) / float(arrivals[-1] - arrivals[0]), frames


class _Timers:
    """Times of the parts of each frame, as they are called one after the other in the camera's thread."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._current: dict[str, float] = {}
        self._lock = threading.Lock()

    def around(self, part: str, call: Callable[..., Any], *, ends_frame: bool = False) -> Callable[..., Any]:
        """`call`, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._note(part, 1e3 * (time.perf_counter() - begin), ends_frame)

        return timed

    def clear(self) -> None:
        """Forget the frames so far; the one in the making too."""
        with self._lock:
            self._rows, self._current = [], {}

    def frames(self) -> dict[str, np.ndarray]:
        """Part to (n,) ms; 'frame' is all of it."""
        with self._lock:
            rows = [row for row in self._rows if {'scene', 'render', 'sensor', 'messages'} <= row.keys()]
        values = {part: np.array([row[part] for row in rows]) for part in ('scene', 'render', 'sensor', 'messages')}
        rest = values.pop('scene') - values['render'] - values['sensor']
        return {**values, 'rest': rest, 'frame': sum([*values.values(), rest], np.zeros(len(rows)))}

    def _note(self, part: str, spent_ms: float, ends_frame: bool) -> None:
        with self._lock:
            self._current[part] = self._current.get(part, 0.0) + spent_ms
            if ends_frame:
                self._rows.append(self._current)
                self._current = {}


@contextlib.contextmanager
def _timers() -> Iterator[_Timers]:
    """Puts timers around the camera's parts while it runs."""
    timers = _Timers()
    with (
        mock.patch.object(Scene, 'frame', timers.around('scene', Scene.frame)),
        mock.patch.object(Renderer, 'render', timers.around('render', Renderer.render)),
        mock.patch.object(scene, 'sense_color', timers.around('sensor', scene.sense_color)),
        mock.patch.object(scene, 'sense_depth', timers.around('sensor', scene.sense_depth)),
        mock.patch.object(
            SimCameraNode, '_publish', timers.around('messages', SimCameraNode._publish, ends_frame=True)
        ),
    ):
        yield timers
