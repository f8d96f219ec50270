# SPDX-License-Identifier: Apache-2.0
"""isaac-inference evaluate --sim --task: the real graph of each task measures what its stages give in one process."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json

import cv2
import numpy as np
import pytest
from support.depth_cards import write_brightness
from support.onnx_models.color_classes import write_class_colors
from support.waiting import LIMIT_S, TIME_FACTOR

from isaac_inference.cli.evaluate import measure
from isaac_inference.cli.main import main
from isaac_inference.engines import create_engine
from isaac_inference.evaluation.tasks.completion import CompletionTask
from isaac_inference.evaluation.tasks.masks import MaskTask
from isaac_inference.evaluation.tasks.mono_depth import MonoDepthTask
from isaac_inference.evaluation.tasks.segmentation import CLASSES, SegmentationTask, common_ids
from isaac_inference.evaluation.tasks.stereo import StereoAnswer, StereoTask
from isaac_inference.models import read_card
from isaac_inference.models.demo import completion_model
from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.ops.stereo.matcher import StereoMatcher
from isaac_inference.ops.stereo.rig import StereoRig
from isaac_inference.ros.bringup.clients import feeder
from isaac_inference.ros.bringup.evaluation.tasks.completion import CompletionGraph
from isaac_inference.sim.stereo import BASELINE
from isaac_inference.stages import Preprocessor
from isaac_inference.stages.depth.mono import MonoDepth
from isaac_inference.stages.segmentation.segmenter import Segmenter

SEED, FRAMES, WARMUP = 31, 2, 1


@pytest.fixture
def run(ros, monkeypatch, tmp_path, capsys):
    """Runs a task through its real graph; returns exit code, figures, screen and errors."""

    def execute(task, *arguments):
        monkeypatch.setattr(measure, 'default_ros', contextlib.nullcontext)
        out = tmp_path / 'figures.json'
        given = ['--seed', str(SEED), '--frames', str(FRAMES), '--warmup', str(WARMUP), '--timeout', str(LIMIT_S)]
        code = main(['evaluate', '--sim', '--task', task, *given, '--json', str(out), *map(str, arguments)])
        said = capsys.readouterr()
        figures = json.loads(out.read_text()) if out.exists() else None
        return code, figures, ' '.join(said.out.replace('│', ' ').split()), said.err

    return execute


def in_process(task, answer):
    """The figures of what `answer(sample)` says of the frames that count."""
    shown = task.samples(SEED, FRAMES, first=WARMUP)
    return task.result([task.score(sample, answer(sample)) for sample in shown])


def assert_same(figures, expected, task, tolerance=1e-6):
    for one in task.measures:
        assert figures[one.key] == pytest.approx(expected.values[one.key], abs=tolerance, nan_ok=True), one.key


def test_masks_of_the_demo_model(run, tmp_path):
    worst, plots = tmp_path / 'worst', tmp_path / 'plots'
    code, figures, screen, errors = run('masks', '--worst', '1', worst, '--plots', plots, '--seeds', '2')
    assert code == 0, errors
    assert list(figures['seeds']) == ['31', '32']
    first = figures['seeds']['31']
    assert list(first)[: 1 + len(MaskTask.measures)] == ['frames', *(one.key for one in MaskTask.measures)]
    assert (first['frames'], first['dropped_frames']) == (FRAMES, 0)
    assert first['ap50'] > 0.8 and first['boundary_f'] > 0.9, 'the demo model on its own objects'
    assert set(first['classes']['book']) >= {'ap50', 'ap50_95', 'mean_iou', 'boundary_f', 'misses', 'false_masks'}
    assert {'preprocess', 'inference', 'detection'} <= set(first['stages_ms'])
    spread = figures['figures']['boundary_f']
    assert spread['worst'] == min(row['boundary_f'] for row in figures['seeds'].values()) <= spread['mean']
    assert 'AP50:95' in screen and '2 seeds' in screen and 'worst: 1 pictures' in screen
    (picture,) = worst.iterdir()
    assert picture.name.startswith('01_seed_3') and cv2.imread(str(picture)).shape[:2] == (964, 1284)
    assert sorted(path.name for path in plots.iterdir()) == ['seed_31', 'seed_32']


def test_classes_of_a_network_that_goes_by_colour(run, tmp_path):
    model = write_class_colors(tmp_path / 'colors.onnx', CLASSES, (160, 120))
    code, figures, screen, errors = run('segmentation', '--model', model, '--worst', '1', tmp_path / 'worst')
    assert code == 0, errors
    card = read_card(model)
    prepare, segment, task = Preprocessor(card), Segmenter(card), SegmentationTask()
    with create_engine(card) as engine:

        def answer(sample):
            tensors, letterbox = prepare(sample.color)
            return common_ids(segment(engine.infer(tensors), letterbox).mask, dict(enumerate(card.labels)))

        expected = in_process(task, answer)
    assert_same(figures, expected, task)
    assert 0.0 < figures['mean_iou'] < 0.9, 'colour is not all'
    assert figures['classes']['book']['iou'] == pytest.approx(expected.rows.values['book']['iou'])
    assert 'pixel accuracy' in screen


@pytest.mark.parametrize('task', ['completion', 'stereo', 'keypoints'])
def test_nodes_without_a_model_run_as_processes_too(run, task):
    code, figures, _, errors = run(task, '--processes')
    assert code == 0, errors
    assert (figures['frames'], figures['dropped_frames']) == (FRAMES, 0)


@pytest.mark.parametrize('kind', ['inverse', 'metric'])
def test_depth_that_is_the_brightness_of_the_picture(run, tmp_path, kind):
    model = write_brightness(tmp_path / 'bright.onnx', (64, 48))
    lines = f'task: mono_depth\ndepth: {{kind: {kind}}}\npreprocess: {{convention: unit}}\n'
    (tmp_path / 'bright.yaml').write_text(lines)
    code, figures, screen, errors = run('depth', '--model', model)
    assert code == 0, errors
    card = read_card(model)
    prepare, read, task = Preprocessor(card), MonoDepth(card), MonoDepthTask(card.spec.kind)
    with create_engine(card) as engine:

        def answer(sample):
            tensors, letterbox = prepare(sample.color)
            return read(engine.infer(tensors), letterbox)

        assert_same(figures, in_process(task, answer), task, 1e-5)
    assert figures['abs_rel'] > 0.05 and figures['abs_rel_worst'] >= figures['abs_rel']
    assert 'AbsRel, worst frame' in screen


def test_stereo_without_a_model(run):
    code, figures, screen, errors = run('stereo')
    assert code == 0, errors
    matcher, task = StereoMatcher(), StereoTask()

    def answer(sample):
        grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (sample.left, sample.right)]
        pixels = matcher(*grey).pixels
        return StereoAnswer(pixels, StereoRig(sample.left_camera, BASELINE).depth(pixels))

    assert_same(figures, in_process(task, answer), task, 1e-4)
    assert figures['mae_px'] < 4.0 and figures['completeness'] > 0.2
    assert 'stereo without a model' in screen


def test_completion_without_a_model(run, tmp_path):
    code, figures, *_, errors = run('completion', '--worst', '2', tmp_path / 'worst')
    assert code == 0, errors
    task = CompletionTask()
    assert_same(figures, in_process(task, lambda sample: complete_depth(sample.measured, sample.color)), task, 1e-5)
    assert len(list((tmp_path / 'worst').iterdir())) == 2


def test_a_graph_that_never_answers_ends_with_the_reason(run, monkeypatch):
    monkeypatch.setattr(feeder, 'SHOW_AGAIN_S', 0.05)
    monkeypatch.setattr(CompletionGraph, 'messages', unusable(range(99)))
    code, figures, _, errors = run('completion', '--timeout', '0.3', '--frames', '9')
    assert (code, figures) == (1, None)
    assert 'the last 5 frames were not answered within 0.3 s' in errors and 'completion' in errors


@pytest.mark.timing
@pytest.mark.parametrize(('more', 'share'), [((), 1.0), (('--count-dropped',), 0.5)])
def test_frames_that_are_not_answered_are_counted(run, monkeypatch, more, share):
    monkeypatch.setattr(CompletionGraph, 'messages', unusable([2]))
    code, figures, screen, _ = run('completion', '--timeout', str(3.0 * TIME_FACTOR), *more)
    assert (code, figures['frames'], figures['dropped_frames']) == (1, 1, 1)
    assert '1, 1 more were not answered' in screen
    assert figures['completeness'] == pytest.approx(share, abs=0.05), 'nothing is known of a frame without an answer'


def unusable(numbers):
    """`CompletionGraph.messages` with depth of another size than the image in some frames: the node refuses it."""
    messages, shown = CompletionGraph.messages, itertools.count()

    def cut(self, sample, header):
        if next(shown) in numbers:
            sample = dataclasses.replace(sample, measured=np.ascontiguousarray(sample.measured[:, :100]))
        return messages(self, sample, header)

    return cut


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['--recording', 'a.mcap', '--task', 'masks'], '--task masks: only with --sim'),
        (['--sim', '--task', 'stereo', '--rate', '5'], '--rate: only with --task poses, not with stereo'),
        (['--sim', '--task', 'depth', '--registration'], '--registration: only with --task poses'),
        (['--sim', '--task', 'depth', '--poses', 'pose'], '--poses: only with --task poses'),
        (['--sim', '--task', 'segmentation'], 'needs --model, a semantic segmentation model of the simulator'),
        (['--sim', '--task', 'depth'], 'needs --model, a network for depth from one image'),
        (['--sim', '--task', 'masks', '--frames', '-1'], '--frames: got -1'),
    ],
)
def test_a_wrong_command_line_is_one_error(arguments, says, capsys):
    assert main(['evaluate', *arguments]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ('task', 'says'),
    [
        ('masks', 'is for mono_depth and gives no masks'),
        ('segmentation', 'is for mono_depth; expected a semantic segmentation model'),
    ],
)
def test_a_model_for_another_task_is_refused(tmp_path, capsys, task, says):
    model = write_brightness(tmp_path / 'bright.onnx')
    (tmp_path / 'bright.yaml').write_text('task: mono_depth\n')
    assert main(['evaluate', '--sim', '--task', task, '--model', str(model)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize('task', ['stereo', 'completion'])
def test_a_network_for_something_else_is_refused(tmp_path, capsys, task):
    model = write_brightness(tmp_path / 'bright.onnx')
    (tmp_path / 'bright.yaml').write_text('task: mono_depth\n')
    assert main(['evaluate', '--sim', '--task', task, '--model', str(model)]) == 1
    assert f'is for mono_depth, expected a network for the {task} node' in capsys.readouterr().err


def test_completion_by_the_package_s_own_network(run):
    code, figures, screen, errors = run('completion', '--model', completion_model())
    assert code == 0, errors
    assert figures['holes_abs_rel'] < 0.02 and figures['holes_filled'] > 0.5
    assert {'inference', 'completion'} <= set(figures['stages_ms'])
    assert 'completion by' in screen
