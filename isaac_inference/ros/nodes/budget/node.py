# SPDX-License-Identifier: Apache-2.0
"""BudgetNode: whether every frame comes out in time, and who takes that time."""

from __future__ import annotations

import functools
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CameraInfo

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ros.nodes.budget.frames import WatchedFrames
from isaac_inference.ros.nodes.budget.parameters import BudgetParameters
from isaac_inference.ros.nodes.budget.words import Said, say
from isaac_inference.ros.runtime.container.process import node_main
from isaac_inference.ros.runtime.health.diagnostics import is_thinned, parse_timings, status
from isaac_inference.ros.runtime.node import PipelineNode, StageClock
from isaac_inference.ros.runtime.resources import budgets_folder
from isaac_inference.ros.runtime.topics.qos import LATCHED, RELIABLE
from isaac_inference.ros.runtime.topics.stamp import stamp_ns
from isaac_inference.ros.runtime.topics.type_adapter import plain
from isaac_inference.serving.budgets.budget_file import read_budget
from isaac_inference.serving.budgets.camera_clock import CameraClock
from isaac_inference.serving.budgets.check import BudgetCheck, Level
from isaac_inference.serving.budgets.frame_times import Span
from isaac_inference.serving.rates.guard import RateGuard

_LOOK_S = 0.1  # how soon a frame that does not come is noticed
_DEPTH = 200  # reports that may wait: none is worth less than another


class BudgetNode(PipelineNode):
    """`<node>/timings` (DiagnosticArray) of the stages, and `camera_info`, to `budget` (DiagnosticStatus, latched).

    Each frame is followed from the camera's stamp to the output's report, across processes, and compared with the
    budget; the rate of frames with `target_rate_hz`. Said at every report, and at once where it gets worse: OK; WARN
    where frames were late or did not come out, too few come, or the camera's clock cannot be compared; ERROR where
    lateness lasts; STALE where there are no frames at all. `camera_info` tells of frames that no stage ever reports;
    without it these are not missed, and the way from the camera to the first stage counts as the camera's.
    """

    Parameters = BudgetParameters
    stage = 'budget'

    def __init__(self, node_name: str = 'budget', **kwargs: object) -> None:
        self._frames: WatchedFrames | None = None
        super().__init__(node_name, **kwargs)

    def on_setup(self) -> None:
        chosen: BudgetParameters = self.parameters
        self._check_choice(chosen)
        self._budget = read_budget(chosen.budget, budgets_folder()) if chosen.budget else None
        self._status = self.advertise(plain(DiagnosticStatus), 'budget', LATCHED)
        for name in chosen.nodes:
            take = functools.partial(self._on_timings, name)
            is_output = name == chosen.nodes[-1]
            self.subscribe(plain(DiagnosticArray), f'{name}/timings', RELIABLE, take, primary=is_output, depth=_DEPTH)
        self.subscribe(
            plain(CameraInfo), 'camera_info', chosen.camera_qos, self._on_camera_info, primary=False, depth=_DEPTH
        )
        self.every(_LOOK_S, self._look)

    def on_start(self) -> None:
        chosen = self.parameters
        self._next_s, self._told = 0.0, Level.OK
        clock = CameraClock(chosen.max_clock_offset_s, bool(self.get_parameter('use_sim_time').value))
        check = BudgetCheck(self._budget, chosen.window) if self._budget is not None else None
        guard = RateGuard(chosen.nodes, chosen.rate_window_s, time.monotonic_ns())
        self._frames = WatchedFrames(chosen.nodes, check, guard, clock, chosen.patience_s, chosen.input_timeout_s)

    def on_stop(self) -> None:
        self._frames = None

    def on_time_jump(self, now_ns: int) -> None:
        if self._frames is not None:
            self._frames.forget(time.monotonic_ns())

    def _check_choice(self, chosen: BudgetParameters) -> None:
        problems = []
        if not chosen.budget and not chosen.target_rate_hz:
            problems.append('parameters budget and target_rate_hz: neither is given, so there is nothing to watch')
        if not chosen.nodes:
            problems.append('parameter nodes: is empty, expected the names of the stages, the output last')
        twice = sorted({name for name in chosen.nodes if chosen.nodes.count(name) > 1})
        if twice:
            problems.append(f'parameter nodes: {", ".join(twice)} is named twice')
        if problems:
            raise ConfigError('\n'.join(problems))

    def _on_timings(self, place: str, message: DiagnosticArray, clock: StageClock) -> None:
        frames = self._frames
        if frames is None:
            return
        stamp = stamp_ns(message.header)
        if is_thinned(message):
            frames.left_out(stamp, time.monotonic_ns())
            return
        try:
            timings = parse_timings(message)
        except (KeyError, ValueError) as error:
            raise FrameError(
                'bad_timings',
                f'{place}/timings: a status has no whole numbers under arrived_ns, started_ns, finished_ns ({error});'
                ' look at the node that publishes it',
            ) from error
        spans = [Span(one.stage, one.arrived_ns, one.started_ns, one.finished_ns) for one in timings]
        if not spans:
            raise FrameError('bad_timings', f'{place}/timings: a report names no stage; look at who publishes it')
        frames.reported(place, stamp, spans, time.monotonic_ns())

    def _on_camera_info(self, message: CameraInfo, clock: StageClock) -> None:
        if self._frames is not None:
            self._frames.published(stamp_ns(message.header), clock.arrived_ns, time.monotonic_ns())

    def _look(self) -> None:
        frames = self._frames
        if frames is None:
            return
        frames.give_up(time.monotonic_ns())
        now_s = time.monotonic()
        if now_s >= self._next_s or frames.level > self._told:
            self._next_s = now_s + self.parameters.diagnostics_period_s
            self._tell(frames)

    def _tell(self, frames: WatchedFrames) -> None:
        self._told = frames.level
        chosen = self.parameters
        said: Said = say(frames, chosen.target_rate_hz, chosen.input_timeout_s, time.monotonic_ns())
        for key, (is_error, text) in said.problems.items():
            self.health.standing(key, text, error=is_error, log_again=False)
        for key, value in said.values.items():
            self.health.show(key, value)
        name = self.get_fully_qualified_name()
        self._status.publish(status(name, '', said.level, said.text, said.values))


main = node_main(BudgetNode)
