# SPDX-License-Identifier: Apache-2.0
"""The budget node over real topics: late frames, lasting lateness, recovery, missing frames, clocks, rates."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from support.ros.probe import LATCHED, RELIABLE, image_message, value_of

from isaac_inference.ros.runtime.health.diagnostics import thinned_message, timings_message
from isaac_inference.ros.runtime.health.timing import StageTiming
from isaac_inference.stages.image.preprocess import Preprocessor

MS, S = 1_000_000, 1_000_000_000
STAGES = ('preprocess', 'inference', 'detection')
IN_TIME = {'camera': 4, 'preprocess': 2, 'inference': 10, 'detection': 1}
SLOW = {**IN_TIME, 'inference': 80}
_numbers = itertools.count(1)
BUDGET = """
total_ms: 50
stages: {camera: 10, preprocess: 4, inference: 20, detection: 3}
max_acceptable_consecutive_delay_ms: 400
"""


class Stages:
    """Publishes what the nodes of a pipeline report of frames, from another DDS participant."""

    def __init__(self, graph: Any) -> None:
        self.graph, self.probe = graph, graph.probe
        node = self.probe.node
        self.writers = {
            name: node.create_publisher(DiagnosticArray, f'{name}/timings', RELIABLE)
            for name in (*STAGES, 'track', 'pose')
        }
        self.camera = node.create_publisher(CameraInfo, 'camera_info', RELIABLE)
        self.said = self.probe.listen('budget', DiagnosticStatus, LATCHED)

    def header(self, stamp_ns: int) -> Header:
        header = Header(frame_id='lens')
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, S)
        return header

    def frame(self, took: dict[str, float], *, upto: str = 'detection', stamp_ns: int | None = None) -> int:
        """One frame that took so long, in ms, and ends now; `upto`: the last stage that reports. Its stamp."""
        now = time.time_ns()
        at = now - int(sum(took.values()) * MS)
        stamp = at + next(_numbers) if stamp_ns is None else stamp_ns
        at += int(took['camera'] * MS)
        timings: list[StageTiming] = []
        for name in STAGES:
            end = at + int(took[name] * MS)
            timings.append(StageTiming(name, at, at, end))
            self.writers[name].publish(timings_message(self.header(stamp), timings))
            at = end
            if name == upto:
                break
        return stamp

    def wait(self, level: bytes, *words: str, show: Any = None) -> DiagnosticStatus:
        """Wait for a report from now on that has this level and these words, while `show()` goes on."""
        before = len(self.said)

        def found() -> list[DiagnosticStatus]:
            return [
                one for one in self.said[before:] if one.level == level and all(word in one.message for word in words)
            ]

        def look() -> object:
            if show is not None and not found():
                show()
                time.sleep(0.01)
            return found()

        self.probe.wait_until(
            look, f'budget says {level!r} and {words}; it said {[(s.level, s.message) for s in self.said[-3:]]}'
        )
        return found()[-1]


@pytest.fixture
def budget_file(tmp_path: Any) -> str:
    path = tmp_path / 'arm.yaml'
    path.write_text(BUDGET)
    return str(path)


@pytest.fixture
def start(empty_graph: Any, budget_file: str) -> Any:
    """Starts a budget node; the stages that it hears."""

    def make(**parameters: Any) -> Stages:
        stages = Stages(empty_graph)
        given = {'budget': budget_file, 'patience_s': 0.2, 'input_timeout_s': 3600.0, **parameters}
        empty_graph.load('BudgetNode', 'budget', **given)
        empty_graph.probe.wait_active('budget')
        empty_graph.probe.wait_matched()
        return stages

    return make


def test_frames_in_time_are_ok_with_every_stage_s_share(start: Any) -> None:
    stages = start()
    said = stages.wait(DiagnosticStatus.OK, 'within arm', show=lambda: stages.frame(IN_TIME))
    assert float(value_of(said, 'total.budget_ms')) == 50
    assert float(value_of(said, 'inference.p95_ms')) == pytest.approx(10, abs=0.01)
    assert value_of(said, 'inference.left_percent') == '50'
    assert float(value_of(said, 'total.p50_ms')) == pytest.approx(17, abs=0.01)
    stages.probe.wait_until(lambda: stages.probe.status('budget').level == DiagnosticStatus.OK)


def test_a_slow_stage_warns_then_lasts_then_recovers(start: Any) -> None:
    stages = start()
    stages.wait(DiagnosticStatus.OK, show=lambda: stages.frame(IN_TIME))
    words = ('frames late', 'inference is over its 20 ms by up to 60.0 ms')
    stages.wait(DiagnosticStatus.WARN, *words, show=lambda: stages.frame(SLOW))
    stages.wait(DiagnosticStatus.ERROR, 'without a frame in time', *words, show=lambda: stages.frame(SLOW))
    stages.probe.wait_until(lambda: stages.probe.status('budget').level == DiagnosticStatus.ERROR)
    stages.wait(DiagnosticStatus.OK, 'within arm', show=lambda: stages.frame(IN_TIME))
    stages.probe.wait_until(lambda: stages.probe.status('budget').level == DiagnosticStatus.OK)


def test_a_single_late_frame_between_reports_is_not_lost(start: Any) -> None:
    stages = start(diagnostics_period_s=0.5)
    stages.wait(DiagnosticStatus.OK, show=lambda: stages.frame(IN_TIME))
    before = len(stages.said)
    stages.frame(SLOW)
    stages.frame(IN_TIME)
    stages.probe.wait_until(lambda: any(one.level == DiagnosticStatus.WARN for one in stages.said[before:]))


def test_frames_that_get_stuck_are_late_and_last(start: Any) -> None:
    stages = start()
    stages.wait(DiagnosticStatus.OK, show=lambda: stages.frame(IN_TIME))
    show = lambda: stages.frame(IN_TIME, upto='preprocess')  # noqa: E731
    stages.wait(DiagnosticStatus.WARN, 'frames without a result', show=show)
    stages.wait(DiagnosticStatus.ERROR, 'frames without a result', show=show)


def test_frames_that_no_stage_ever_reports_are_known_from_the_camera(start: Any) -> None:
    stages = start(input_timeout_s=0.5)
    show = lambda: stages.camera.publish(CameraInfo(header=stages.header(time.time_ns())))  # noqa: E731
    stages.wait(DiagnosticStatus.ERROR, 'frames without a result', show=show)


def test_thinned_frames_are_not_missed(start: Any) -> None:
    stages = start()

    def show() -> None:
        stamp = time.time_ns()
        stages.camera.publish(CameraInfo(header=stages.header(stamp)))
        stages.writers['preprocess'].publish(thinned_message(stages.header(stamp)))
        stages.camera.publish(CameraInfo(header=stages.header(stages.frame(IN_TIME))))

    said = [stages.wait(DiagnosticStatus.OK, show=show) for _ in range(10)][-1]
    assert value_of(said, 'missing') == '0'


def test_a_camera_info_of_another_camera_is_named_and_its_frames_are_not_missed(start: Any) -> None:
    stages = start()

    def show() -> None:
        stages.camera.publish(CameraInfo(header=stages.header(time.time_ns())))
        stages.frame(IN_TIME)

    said = stages.wait(DiagnosticStatus.WARN, 'camera_info: its stamps are those of no frame', show=show)
    missing = value_of(said, 'missing')
    later = [stages.wait(DiagnosticStatus.WARN, 'camera_info', show=show) for _ in range(5)][-1]
    assert value_of(later, 'missing') == missing


def test_the_camera_s_part_ends_where_its_camera_info_comes(start: Any) -> None:
    stages = start()

    def show() -> None:
        stamp = time.time_ns()
        stages.camera.publish(CameraInfo(header=stages.header(stamp)))
        time.sleep(0.15)  # on its way, where its CameraInfo was quick
        stages.frame({**IN_TIME, 'camera': 0}, stamp_ns=stamp)

    said = stages.wait(DiagnosticStatus.WARN, 'late', show=show)
    assert float(value_of(said, 'transport.p50_ms')) > float(value_of(said, 'camera.p50_ms'))


@pytest.mark.parametrize(
    ('offset_s', 'words'),
    [
        (30.0, "the camera's clock is ahead of this machine's by"),
        (-7200.0, 'stamps are 2.0 h old on arrival'),
        (-1e9, 'set use_sim_time'),
    ],
)
def test_stamps_of_another_clock_are_named_and_frames_still_compared(start: Any, offset_s: float, words: str) -> None:
    stages = start()

    def show(took: dict[str, float]) -> None:
        stages.frame(took, stamp_ns=time.time_ns() + int(offset_s * S))

    said = stages.wait(DiagnosticStatus.WARN, words, show=lambda: show(IN_TIME))
    assert float(value_of(said, 'total.p50_ms')) == pytest.approx(13, abs=0.01)
    stages.wait(DiagnosticStatus.WARN, words, 'inference is over its 20 ms', show=lambda: show(SLOW))


def test_frames_without_a_stamp_are_named(start: Any) -> None:
    stages = start()
    show = lambda: stages.frame(IN_TIME, stamp_ns=0)  # noqa: E731
    stages.wait(DiagnosticStatus.WARN, 'frames have no stamp', show=show)


def test_simulated_time_is_named(start: Any) -> None:
    stages = start(use_sim_time=True)
    show = lambda: stages.frame(IN_TIME, stamp_ns=12 * S + next(_numbers))  # noqa: E731
    stages.wait(DiagnosticStatus.WARN, 'use_sim_time is set', show=show)


def test_a_node_on_a_machine_with_another_clock_is_named(start: Any) -> None:
    stages = start()

    def show() -> None:
        now = time.time_ns()
        timings = [StageTiming('preprocess', now - 20 * MS, now - 20 * MS, now - 10 * MS)]
        stages.writers['preprocess'].publish(timings_message(stages.header(now - 30 * MS), timings))
        timings.append(StageTiming('inference', now - 5000 * MS, now - 5000 * MS, now - 4990 * MS))
        stages.writers['inference'].publish(timings_message(stages.header(now - 30 * MS), timings))
        stages.frame(IN_TIME)

    stages.wait(DiagnosticStatus.WARN, 'a frame reaches inference 4990.0 ms before preprocess hands it on', show=show)


def test_a_name_that_is_nobody_s_is_named(start: Any) -> None:
    stages = start(nodes=['preprocess', 'inference', 'detektion', 'detection'], input_timeout_s=0.5)
    stages.wait(DiagnosticStatus.ERROR, 'no timings so far of detektion', show=lambda: stages.frame(IN_TIME))


def test_no_frames_are_stale_and_not_ok(start: Any) -> None:
    stages = start(input_timeout_s=0.3)
    stages.wait(DiagnosticStatus.STALE, 'no frame yet')
    stages.wait(DiagnosticStatus.OK, show=lambda: stages.frame(IN_TIME))
    stages.wait(DiagnosticStatus.STALE, 'no frame for')


def test_stages_that_start_one_after_the_other_are_no_alarm(start: Any) -> None:
    stages = start(patience_s=0.0)  # and no input_timeout_s has passed
    for _ in range(3):
        stages.wait(DiagnosticStatus.STALE, 'come out yet', show=lambda: stages.frame(IN_TIME, upto='inference'))
    stages.probe.wait_until(lambda: stages.probe.reports_of('budget'))
    stages.wait(DiagnosticStatus.OK, 'within arm', show=lambda: stages.frame(IN_TIME))
    assert DiagnosticStatus.ERROR not in {one.level for one in stages.said}


def test_before_the_first_result_nothing_is_ok(start: Any) -> None:
    stages = start(patience_s=3600.0)
    stages.wait(
        DiagnosticStatus.STALE, 'no frame has come out yet', show=lambda: stages.frame(IN_TIME, upto='inference')
    )
    assert all(one.level == DiagnosticStatus.STALE for one in stages.said)
    assert 'no timings so far of detection' in stages.said[-1].message


def test_a_tracker_behind_poses_is_waited_for(start: Any) -> None:
    stages = start(nodes=['detection', 'pose', 'track'])

    def show(smoothing_ms: float) -> None:
        begin = time.time_ns() - 200 * MS
        parts = (('detection', 'detection', 0, 5), ('track', 'track', 5, 6), ('pose', 'pose', 6, 10))
        for writer, name, start_ms, end_ms in (*parts, ('track', 'track', 10, 10 + smoothing_ms)):
            timing = StageTiming(name, begin + start_ms * MS, begin + start_ms * MS, begin + int(end_ms * MS))
            stages.writers[writer].publish(timings_message(stages.header(begin), [timing]))

    said = stages.wait(DiagnosticStatus.OK, show=lambda: show(2))
    assert float(value_of(said, 'total.p50_ms')) == pytest.approx(12, abs=0.01)
    stages.wait(
        DiagnosticStatus.WARN,
        'track is over the 13 ms that the stages with limits leave by up to 48.0 ms',
        show=lambda: show(60),
    )


def test_a_rate_that_is_too_low_is_named_with_its_bottleneck(start: Any) -> None:
    stages = start(budget='', target_rate_hz=1000.0, rate_window_s=0.5)

    def show() -> None:
        stages.camera.publish(CameraInfo(header=stages.header(stages.frame(IN_TIME))))

    said = stages.wait(DiagnosticStatus.WARN, 'of 1000 frames per second', show=show)
    assert value_of(said, 'bottleneck') == 'camera'
    node = stages.graph.node('budget')
    assert node.set_parameters([Parameter('target_rate_hz', value=1.0)])[0].successful
    stages.wait(DiagnosticStatus.OK, 'frames per second', show=show)


def test_a_report_that_cannot_be_read_is_dropped_by_name(start: Any) -> None:
    stages = start()
    bad = timings_message(stages.header(time.time_ns()), [StageTiming('detection', 1, 2, 3)])
    bad.status[0].values[2].value = 'soon'
    stages.writers['detection'].publish(bad)
    stages.probe.wait_until(lambda: stages.probe.value('budget', 'dropped.bad_timings') == '1')
    stages.wait(DiagnosticStatus.OK, show=lambda: stages.frame(IN_TIME))


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'budget': 'manipulator'}, 'no such preset; did you mean manipulation? there are: fast_mobile, humanoid'),
        ({'budget': ''}, 'there is nothing to watch'),
        ({'nodes': ['detection', 'detection']}, 'detection is named twice'),
        ({'target_rate_hz': -1.0}, 'target_rate_hz'),
    ],
)
def test_what_cannot_be_used_is_refused(empty_graph: Any, parameters: dict[str, Any], words: str) -> None:
    empty_graph.load('BudgetNode', 'budget', **{'budget': 'manipulation', **parameters})
    empty_graph.probe.wait_until(lambda: words in empty_graph.probe.status('budget').message)


def test_a_budget_that_adds_up_to_too_much_is_refused(empty_graph: Any, tmp_path: Any) -> None:
    path = tmp_path / 'bad.yaml'
    path.write_text('total_ms: 50\nstages: {inference: 40, pose: 11, arm: 3}\n')
    empty_graph.load('BudgetNode', 'budget', budget=str(path))
    empty_graph.probe.wait_until(
        lambda: '= 51 ms, more than total_ms: 50' in empty_graph.probe.status('budget').message
    )
    assert 'arm: no such stage' in empty_graph.probe.status('budget').message


def test_a_real_pipeline_keeps_its_budget_until_a_stage_gets_slow(
    empty_graph: Any, model: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'real.yaml'
    path.write_text(
        'total_ms: 3000\nstages: {preprocess: 1000}\nmax_allowed_processing_time_ms: 1500\n'
        'max_acceptable_consecutive_delay_ms: 200\n'
    )
    said = empty_graph.probe.listen('budget', DiagnosticStatus, LATCHED)
    empty_graph.load('BudgetNode', 'budget', budget=str(path))
    empty_graph.load_all(model, annotate=False)
    pause_s, prepare = [0.0], Preprocessor.__call__

    def slow(*arguments: Any) -> Any:
        time.sleep(pause_s[0])
        return prepare(*arguments)

    monkeypatch.setattr(Preprocessor, '__call__', slow)

    def ask(level: bytes, *words: str) -> None:
        before = len(said)

        def found() -> bool:
            message = image_message()
            message.header.stamp = empty_graph.probe.node.get_clock().now().to_msg()
            empty_graph.probe.ask(message)
            return any(one.level == level and all(word in one.message for word in words) for one in said[before:])

        empty_graph.probe.wait_until(found)

    ask(DiagnosticStatus.OK, 'within real')
    parts = ('camera', 'transport', 'preprocess', 'inference', 'detection')
    whole = next(one for one in said if value_of(one, 'detection.p50_ms'))
    assert 0 < float(value_of(whole, 'total.p50_ms')) <= sum(float(value_of(whole, f'{part}.p99_ms')) for part in parts)
    pause_s[0] = 1.6
    ask(DiagnosticStatus.ERROR, 'without a frame in time', 'preprocess is over its 1000 ms by')
    pause_s[0] = 0.0
    ask(DiagnosticStatus.OK, 'within real')


def test_a_stage_that_cameras_share_reports_their_frames_too_which_are_not_missed(start: Any) -> None:
    stages = start()

    def show() -> None:
        stamp = stages.frame(IN_TIME)
        for other in (
            stamp,
            time.time_ns(),
        ):  # of a camera that is triggered together with ours, and of one that is not
            theirs = [StageTiming('preprocess', other + MS, other + MS, other + 2 * MS)]
            theirs.append(StageTiming('inference', other + 3 * MS, other + 3 * MS, other + 90 * MS))
            stages.writers['inference'].publish(timings_message(stages.header(other), theirs))

    said = [stages.wait(DiagnosticStatus.OK, 'within arm', show=show) for _ in range(10)][-1]
    assert value_of(said, 'late') == '0'


def test_a_branch_that_ends_after_the_output_makes_no_frame_missing(start: Any) -> None:
    stages = start(nodes=['detection', 'pose', 'track'])

    def show() -> None:
        begin = time.time_ns() - 30 * MS
        for name, start_ms, end_ms in (('detection', 0, 3), ('track', 3, 5), ('pose', 3, 20)):
            timing = StageTiming(name, begin + start_ms * MS, begin + start_ms * MS, begin + end_ms * MS)
            stages.writers[name].publish(timings_message(stages.header(begin), [timing]))

    said = stages.wait(DiagnosticStatus.OK, show=show)
    assert float(value_of(said, 'total.p50_ms')) == pytest.approx(20, abs=0.01)
    assert value_of(said, 'missing') == '0'
