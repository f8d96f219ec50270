# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate: the client, the drive and the report, with a graph that only talks; and recordings."""

from __future__ import annotations

import contextlib
import json
import math
import re

import pytest
from sensor_msgs.msg import Image
from support.onnx_models import ultralytics_metadata, write_model
from support.ros.stand_in_graph import TOPICS, StandInGraph, frame_messages, header
from support.waiting import LIMIT_S, TIME_FACTOR

from isaac_inference.cli.evaluate import measure
from isaac_inference.cli.main import main
from isaac_inference.ros.bringup.evaluation import drive as evaluation_drive
from isaac_inference.ros.recording import RecordingWriter

HEADLINE = [
    'frames',
    'map50',
    'map50_95',
    'add_0_1d',
    'median_translation_rel',
    'median_rotation_deg',
    'id_switches',
    'fps',
    'total_ms_p50',
]
SILENCE_S = str(1.0 * TIME_FACTOR)  # without an answer for so long, a frame counts as dropped
IOU = 98 / 102  # of the boxes that the graph finds


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    made = tmp_path_factory.mktemp('evaluate') / 'cups.onnx'
    return str(write_model(made, 'yolov8', metadata=ultralytics_metadata(['cup', 'can', 'box'])))


@pytest.fixture
def run(ros, model, monkeypatch, tmp_path, capsys):
    """Runs the command with stand-in graphs, one for each start; returns exit code, figures, screen and errors."""

    def execute(*arguments, graphs=(), source=('--sim',)):
        made = iter(graphs)
        monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
        monkeypatch.setattr(measure, 'start_composed', lambda specs, params_file: StandInGraph(**next(made)))
        monkeypatch.setattr(evaluation_drive, 'ASK_AGAIN_S', LIMIT_S)  # the graph hears the first time
        monkeypatch.setattr(evaluation_drive, '_LATE_TIMINGS_S', LIMIT_S)
        out = tmp_path / 'out' / 'figures.json'
        given = ['--model', model, *source, '--json', str(out), '--warmup', '1', '--timeout', str(LIMIT_S), *arguments]
        code = main(['evaluate', *given])
        said = capsys.readouterr()
        figures = json.loads(out.read_text()) if out.exists() else None
        return code, figures, ' '.join(said.out.replace('│', ' ').split()), said.err

    return execute


def record(path, frames, topics=tuple(TOPICS), images=False, **changes):
    """A recording under the namespace /lab, of frames 100 ms apart."""
    with RecordingWriter(path) as writer:
        for number in range(frames):
            stamp = 10**18 + number * 10**8
            messages = frame_messages(stamp, **changes)
            if images:
                picture = Image(header=header(stamp), height=4, width=4, encoding='bgr8', step=12, data=bytes(48))
                writer.write('/lab/image', picture, log_time_ns=stamp)
            for name in topics:
                writer.write(f'/lab/{name}', messages[name], log_time_ns=stamp)
    return str(path)


def test_step_by_step_and_then_at_a_rate(run):
    code, figures, screen, errors = run('--frames', '4', '--rate-frames', '5', graphs=[{}, {'rate_hz': 50.0}])
    assert code == 0, errors
    assert list(figures)[: len(HEADLINE)] == HEADLINE
    assert (figures['frames'], figures['map50'], figures['id_switches']) == (4, 1.0, 0)
    assert figures['map50_95'] == math.ceil((IOU - 0.5) / 0.05) / 10
    assert figures['add_0_1d'] == 1.0, 'a centimetre is less than a tenth of 14'
    assert figures['median_translation_rel'] == pytest.approx(0.005)
    assert figures['median_rotation_deg'] == pytest.approx(0.0)
    assert figures['fps'] > 0 and figures['total_ms_p50'] > 0
    assert figures['speed']['frames'] == 5
    assert figures['speed']['stages_ms']['pose']['p50'] == pytest.approx(1.0)
    assert set(figures['speed']['stages_ms']) == {'inference', 'detection', 'pose'}
    assert 'ADD(-S) < 0.1 d 100.00 %' in screen
    assert 'seed 1' in screen


def test_seeds_each_have_their_row_and_together_a_mean_and_a_worst(run):
    graphs = [{}, {'changes': {2: {'z_error': 0.5}, 3: {'z_error': 0.5}}}, {}]
    code, figures, screen, errors = run('--seeds', '3', '--seed', '7', '--frames', '4', graphs=graphs)
    assert code == 0, errors
    assert list(figures['seeds']) == ['7', '8', '9']
    assert [figures['seeds'][seed]['add_0_1d'] for seed in '789'] == [1.0, 0.5, 1.0]
    spread = figures['figures']['add_0_1d']
    assert (spread['mean'], spread['worst'], spread['best'], spread['worst_seed']) == (
        pytest.approx(5 / 6),
        0.5,
        1.0,
        8,
    )
    assert figures['seeds']['7']['speed'] is None, 'several seeds are not timed unless asked for'
    assert '3 seeds' in screen and 'worst 1.0000' in screen


def test_each_seed_is_the_simulators(run, monkeypatch):
    asked = []
    graph = measure.evaluation_graph
    monkeypatch.setattr(
        measure, 'evaluation_graph', lambda **how: asked.append(how['simulator']['seed']) or graph(**how)
    )
    code, *_ = run('--seeds', '2', '--seed', '40', '--frames', '2', graphs=[{}, {}])
    assert (code, asked) == (0, [40, 41])


def test_one_ros_session_serves_all_seeds(ros, model, monkeypatch):
    sessions = []

    @contextlib.contextmanager
    def default_ros():
        sessions.append('begun')
        yield
        sessions.append('ended')

    graphs = iter([{}, {}])
    monkeypatch.setattr(measure, 'default_ros', default_ros)
    monkeypatch.setattr(measure, 'start_composed', lambda specs, params_file: StandInGraph(**next(graphs)))
    arguments = ('--frames', '1', '--warmup', '0', '--timeout', str(LIMIT_S))
    assert main(['evaluate', '--sim', '--model', model, '--seeds', '2', *arguments]) == 0
    assert sessions == ['begun', 'ended'], 'the default context cannot be initialised twice'


@pytest.mark.timing
def test_one_seed_with_too_few_frames_makes_the_exit_code(run):
    arguments = ('--seeds', '2', '--frames', '3', '--timeout', SILENCE_S)
    code, figures, *_ = run(*arguments, graphs=[{'silent': [2]}, {}])
    assert code == 1
    assert [row['frames'] for row in figures['seeds'].values()] == [2, 3]


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (('--sim', '--seeds', '0'), '--seeds: got 0, expected 1 or more'),
        (('--recording', 'run.mcap', '--seeds', '2'), '--seeds: only with --sim'),
        (('--recording', 'run.mcap', '--worst', '3', 'lost'), '--worst: only with --sim'),
        (('--sim', '--rate', '30', '--worst', '3', 'lost'), '--worst: only with --sim and without --rate'),
        (('--sim', '--worst', 'lost', '3'), "--worst: got 'lost' '3', expected a number of pictures and a folder"),
    ],
)
def test_what_seeds_and_pictures_need_is_said_at_once(capsys, model, arguments, says):
    assert main(['evaluate', '--model', model, *arguments]) == 1
    assert says in capsys.readouterr().err


def test_the_real_graph_over_two_seeds_draws_what_it_loses(ros, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
    out, folder = tmp_path / 'figures.json', tmp_path / 'lost'
    arguments = ('--frames', '4', '--warmup', '1', '--scene-frames', '2', '--timeout', str(LIMIT_S))
    code = main(['evaluate', '--sim', '--seeds', '2', *arguments, '--worst', '5', str(folder), '--json', str(out)])
    said = capsys.readouterr()
    assert code == 0, said.err
    figures = json.loads(out.read_text())
    lost = {}
    for seed, row in figures['seeds'].items():
        assert (row['frames'], row['dropped_frames']) == (4, 0)
        assert row['add_0_1d'] > 0.6, 'the demo model on its own objects'
        lost[seed] = round((1 - row['add_0_1d']) * row['poses']['truths'])
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) <= min(5, sum(lost.values())) and bool(names) == any(lost.values())
    for name in names:
        place, seed, index = re.fullmatch(r'(\d\d)_seed_(\d+)_frame_(\d{4})\.png', name).groups()
        assert lost[seed] and 1 <= int(index) <= 4, 'the first frame is for warming up'


@pytest.mark.timing
def test_a_frame_without_an_answer_is_reported_and_the_exit_code_says_so(run):
    arguments = ('--frames', '3', '--rate-frames', '0', '--timeout', SILENCE_S, '--count-dropped')
    code, figures, screen, _ = run(*arguments, graphs=[{'silent': [2]}])
    assert code == 1
    assert (figures['frames'], figures['dropped_frames'], figures['misses'], figures['fps']) == (2, 1, 1, None)
    assert figures['add_0_1d'] == pytest.approx(2 / 3)
    assert '2, 1 more were not answered' in screen


def test_an_object_whose_pose_is_not_finite_is_missed(run):
    graph = {'changes': {2: {'z_error': math.nan}}}
    code, figures, *_ = run('--frames', '2', '--rate-frames', '0', '--timeout', SILENCE_S, graphs=[graph])
    assert (code, figures['frames'], figures['dropped_frames']) == (0, 2, 0)
    assert figures['add_0_1d'] == 0.5


def test_everything_at_one_rate_counts_ids_too(run):
    graph = {'rate_hz': 40.0, 'changes': {number: {'identity': '8'} for number in range(60)[30:]}}
    code, figures, *_ = run('--frames', '50', '--rate', '40', graphs=[graph])
    assert code == 0
    assert figures['id_switches'] == 1
    assert figures['speed']['frames'] == figures['frames'] == 50


@pytest.mark.timing
def test_a_graph_that_never_answers_ends_with_the_reason(run):
    code, figures, _, errors = run('--frames', '9', '--timeout', SILENCE_S, graphs=[{'silent': range(99)}])
    assert (code, figures) == (1, None)
    assert 'the last 5 frames were not answered' in errors


def test_poses_in_another_frame_are_refused(run):
    graph = {'changes': {number: {'frame_id': 'base_link'} for number in range(9)}}
    code, _, _, errors = run('--frames', '2', graphs=[graph])
    assert code == 1
    assert "poses are in frame 'base_link'" in errors


def test_recorded_outputs_need_no_graph_and_no_model(tmp_path, capsys):
    path = record(tmp_path / 'run.mcap', 3)
    out = tmp_path / 'figures.json'
    code = main(
        ['evaluate', '--recording', path, '--from-recorded-outputs', '--json', str(out), '--plots', str(tmp_path)]
    )
    figures = json.loads(out.read_text())
    assert code == 0, capsys.readouterr().err
    assert (figures['frames'], figures['add_0_1d'], figures['dropped_frames']) == (3, 1.0, 0)
    assert figures['fps'] == pytest.approx(10.0)
    assert figures['total_ms_p50'] == pytest.approx(1.0)
    assert (tmp_path / 'evaluation.png').stat().st_size > 10_000


def test_recorded_outputs_of_some_frames(tmp_path, capsys):
    path = record(tmp_path / 'run.mcap', 5)
    command_line = ['evaluate', '--recording', path, '--from-recorded-outputs', '--json', '-']
    assert main([*command_line, '--frames', '2', '--warmup', '1']) == 0
    assert json.loads(capsys.readouterr().out)['frames'] == 2
    assert main([*command_line, '--frames', '9']) == 1, 'there are but five'


@pytest.mark.parametrize(
    ('topics', 'says'),
    [
        (['track/detections', 'track/detections_3d'], 'no topic truth/detections in it'),
        (['truth/detections', 'truth/detections_3d', 'track/detections'], 'no topic /lab/track/detections_3d'),
        (['truth/detections', 'track/detections_3d'], 'no topic /lab/truth/detections_3d'),
    ],
)
def test_a_recording_without_what_is_needed_is_refused(tmp_path, capsys, topics, says):
    path = record(tmp_path / 'run.mcap', 1, topics)
    assert main(['evaluate', '--recording', path, '--from-recorded-outputs']) == 1
    assert says in capsys.readouterr().err


def test_a_recording_is_shown_again(tmp_path, run):
    path = record(tmp_path / 'run.mcap', 4, ('truth/detections', 'truth/detections_3d'), images=True)
    code, figures, _, errors = run(source=('--recording', path), graphs=[{'sees': True}])
    assert code == 0, errors
    assert (figures['frames'], figures['add_0_1d'], figures['fps']) == (3, 1.0, None), 'one is for warming up'


def test_a_recording_that_is_shown_again_needs_images(tmp_path, run):
    path = record(tmp_path / 'run.mcap', 1)
    code, _, _, errors = run(source=('--recording', path), graphs=[{'sees': True}])
    assert code == 1
    assert 'no topic /lab/image in it' in errors


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['--recording', 'a.mcap'], '--model: missing'),
        (['--sim', '--from-recorded-outputs'], 'needs --recording'),
        (['--recording', 'a.mcap', '--model', 'm.onnx', '--rate', '5'], '--rate: only with --sim'),
        (['--sim', '--model', 'm.onnx', '--frames', '-1'], '--frames: got -1'),
        (['--recording', 'none.mcap', '--from-recorded-outputs'], 'none.mcap'),
    ],
)
def test_a_wrong_command_line_is_one_error(arguments, says, capsys):
    assert main(['evaluate', *arguments]) == 1
    assert says in capsys.readouterr().err
