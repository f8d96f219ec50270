# SPDX-License-Identifier: Apache-2.0
"""`validate` on tiny models whose boxes are known, on the package's own model, and on a real one where there is one."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.onnx_models import known_detections, ultralytics_metadata, write_model
from support.paths import DATA

from isaac_inference.cli.shared.engine_choice import engine_choices
from isaac_inference.cli.validate import command as validate
from isaac_inference.engines import create_engine
from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.evaluation.agreement.compare import agreement_of
from isaac_inference.evaluation.agreement.validation_result import ValidationSettings
from isaac_inference.models import read_card
from isaac_inference.models.demo import demo_model
from isaac_inference.pictures import FrameSource, SourceFrame

NANO, PHOTOS = DATA / 'models' / 'yolox_nano.onnx', DATA / 'coco' / 'eval'
NAMES = ('cup', 'bowl', 'box')
WH = (96, 64)


def execute(*arguments):
    parser = argparse.ArgumentParser()
    validate.add_command(parser.add_subparsers(required=True))
    parsed = parser.parse_args(['validate', *map(str, arguments)])
    return parsed.execute(parsed)


def model(path, names=NAMES, kind='yolov8', **options):
    return write_model(path, kind, classes=len(names), metadata=ultralytics_metadata(names), **options)


def altered(source, target, change):
    """A copy of a model whose float constants went through `change(name, array)`."""
    proto = onnx.load(str(source))
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(change(tensor.name, array).astype(np.float32), tensor.name))
    onnx.save(proto, str(target))
    return target


def outputs_altered(source, target, change):
    """A copy of a tiny model with a change to the tables that its output is made of."""
    return altered(
        source, target, lambda _, array: change(array.copy()) if array.ndim >= 2 and array.size > 20 else array
    )


@pytest.fixture
def reference(tmp_path):
    return model(tmp_path / 'original.onnx')


@pytest.fixture
def images(tmp_path):
    """Two white pictures, on which a tiny model finds all that it knows."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(folder / name), np.full((WH[1], WH[0], 3), 255, np.uint8))
    return folder


def figures(tmp_path):
    return json.loads((tmp_path / 'out.json').read_text())


def compare(tmp_path, candidate, reference, images, *more):
    code = execute(
        candidate, '--against', reference, '--images', images, '--runs', 4, '--json', tmp_path / 'out.json', *more
    )
    return code, figures(tmp_path)


def test_a_model_agrees_with_itself(tmp_path, reference, images, capsys):
    code, found = compare(tmp_path, reference, reference, images, '--min-agreement', '1')
    assert code == 0
    assert (found['agreement'], found['max_abs_error'], found['size_ratio'], found['finite']) == (1.0, 0.0, 1.0, True)
    assert found['ap_delta'] is None and found['speedup'] > 0
    assert found['boxes']['reference'] == found['boxes']['candidate'] == 6
    assert [image['name'] for image in found['images']] == ['a.png', 'b.png']
    assert found['facts']['models']['candidate']['sha256'] == read_card(reference).sha256
    assert '1.0000' in capsys.readouterr().out


def test_a_class_that_moved_shows_and_is_refused_with_the_numbers(tmp_path, reference, images, capsys):
    def swap(table):  # (slope and base, values of all cells); rows 4 to 6 are the classes' scores
        rows = table.reshape(2, 4 + len(NAMES), -1)
        rows[:, 5:7] = rows[:, [6, 5]].copy()
        return rows.reshape(table.shape)

    worse = outputs_altered(reference, tmp_path / 'worse.onnx', swap)
    code, found = compare(tmp_path, worse, reference, images, '--min-agreement', '0.98')
    assert code == 1
    assert (found['boxes']['reference'], found['boxes']['candidate']) == (6, 6)
    assert found['agreement'] == pytest.approx(4 / 12)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: worse (onnxruntime): agreement 0.3333') and '6 boxes against 6 in 2 images' in line


def test_a_small_error_is_measured_and_passes(tmp_path, reference, images):
    near = outputs_altered(reference, tmp_path / 'near.onnx', lambda table: table * 1.001)
    code, found = compare(tmp_path, near, reference, images, '--min-agreement', '0.98')
    assert code == 0 and found['agreement'] == 1.0
    assert 0 < found['max_abs_error'] < 0.2
    (output,) = found['outputs']
    assert output['relative'] == pytest.approx(1e-3, rel=0.01) and output['cosine'] == pytest.approx(1.0)


def test_nan_is_told_with_the_outputs_name(tmp_path, reference, images, capsys):
    broken = outputs_altered(reference, tmp_path / 'broken.onnx', lambda table: table * np.nan)
    code, found = compare(tmp_path, broken, reference, images)
    assert code == 1 and found['finite'] is False and found['agreement'] == 0.0
    assert found['outputs'][0]['nans'] > 0 and set(found['undecoded_images']) == {'a.png', 'b.png'}
    assert 'broken (onnxruntime): not finite: output output0:' in capsys.readouterr().err


def test_a_reference_that_is_not_finite_is_none(tmp_path, reference, images):
    broken = outputs_altered(reference, tmp_path / 'broken.onnx', lambda table: table * np.nan)
    with pytest.raises(EngineError, match=r'broken .*output0 is not finite for image a\.png'):
        execute(reference, '--against', broken, '--images', images)


@pytest.mark.parametrize(
    ('names', 'reason'), [(('cup', 'bowl'), '2 classes against 3'), (('cup', 'bowl', 'can'), "'can' against 'box'")]
)
def test_models_of_other_classes_are_refused(tmp_path, reference, images, names, reason):
    with pytest.raises(ConfigError, match=f'cannot be compared: .*{reason}'):
        execute(model(tmp_path / 'other.onnx', names), '--against', reference, '--images', images)


def test_another_decoder_is_compared_by_its_boxes_only(tmp_path, reference, images):
    other = model(tmp_path / 'other.onnx', kind='end_to_end')
    code, found = compare(tmp_path, other, reference, images, '--iou', '0.8')
    assert code == 0 and found['agreement'] == 1.0 and found['max_abs_error'] is None
    assert 'decoders differ' in found['outputs'][0]['note']


def write_labels(images, name):
    rows = []
    for known in known_detections(3, WH):
        x0, y0, x1, y1 = known.xyxy
        center = ((x0 + x1) / 2 / WH[0], (y0 + y1) / 2 / WH[1], (x1 - x0) / WH[0], (y1 - y0) / WH[1])
        rows.append(' '.join(map(str, (known.class_id, *center))))
    (images / name).write_text('\n'.join(rows))


def test_labels_give_the_loss_of_average_precision_in_points(tmp_path, reference, images, capsys):
    write_labels(images, 'a.txt')
    blind = outputs_altered(reference, tmp_path / 'blind.onnx', lambda table: table * 1e-6)
    code, found = compare(tmp_path, blind, reference, images, '--labels', images)
    precision = found['average_precision']
    assert code == 0 and (precision['images'], precision['unlabelled']) == (1, 1)
    assert precision['reference'] == pytest.approx(1.0) and precision['candidate'] == 0.0
    assert found['ap_delta'] == pytest.approx(-100.0)
    assert '1 of 2 images have no labels' in ' '.join(capsys.readouterr().out.split())


def test_several_models_and_a_plot(tmp_path, reference, images):
    half = outputs_altered(reference, tmp_path / 'half.onnx', lambda table: table * 1.0005)
    code = execute(
        reference, half, '--against', reference, '--images', images, '--runs', 2,
        '--json', tmp_path / 'out.json', '--plot', tmp_path / 'plots' / 'out.png',
    )  # fmt: skip
    found = figures(tmp_path)
    assert code == 0 and [item['model'] for item in found['models']] == ['original (onnxruntime)', 'half (onnxruntime)']
    assert found['max_abs_error'] == found['models'][0]['max_abs_error'] == 0.0 < found['models'][1]['max_abs_error']
    assert cv2.imread(str(tmp_path / 'plots' / 'out.png')).std() > 5


def test_json_can_go_to_stdout_and_timing_can_be_left_out(reference, images, capsys):
    assert execute(reference, '--against', reference, '--images', images, '--runs', 0, '--json', '-') == 0
    found = json.loads(capsys.readouterr().out)
    assert found['speedup'] is None and found['agreement'] == 1.0


def test_damaged_pictures_are_told_and_only_all_of_them_are_an_error(tmp_path, reference, images):
    (images / 'a.png').write_bytes(b'no picture')
    _, found = compare(tmp_path, reference, reference, images)
    assert found['unreadable_images'] == ['a.png'] and len(found['images']) == 1
    with pytest.raises(ConfigError, match='none could be read'):
        execute(reference, '--against', reference, '--images', images, '--max-images', 1)


@pytest.mark.parametrize(
    ('more', 'reason'),
    [
        (['--iou', '0'], 'iou: got 0'),
        (['--score-threshold', '2'], 'score_threshold: got 2'),
        (['--min-agreement', '98'], 'expected a number from 0 to 1'),
        (['--max-images', '-1'], 'max_images: got -1'),
        (['--threads', '-1'], 'threads: got -1, expected 0 or more threads'),
        (['--optimization-level', '9'], 'optimization_level: got 9'),
        (['--backend', 'cray'], "backend: got 'cray'"),
    ],
)
def test_bad_options_are_refused(reference, images, more, reason):
    with pytest.raises(ConfigError, match=reason):
        execute(reference, '--against', reference, '--images', images, *more)


def test_no_images_is_an_error(tmp_path, reference):
    (tmp_path / 'empty').mkdir()
    for where in ('empty', 'nowhere'):
        with pytest.raises(ConfigError, match='no image in this folder|no such file'):
            execute(reference, '--against', reference, '--images', tmp_path / where)
    with pytest.raises(ConfigError, match='got a camera'):
        execute(reference, '--against', reference, '--images', 0)


def test_half_precision_inputs_meet_a_float32_reference(tmp_path, reference, images):
    half = model(tmp_path / 'half.onnx', dtype='float16')
    code, found = compare(tmp_path, half, reference, images)
    assert code == 0 and found['agreement'] == 1.0 and 0 <= found['max_abs_error'] < 0.1


def test_the_packages_own_model_and_its_keypoints():
    card = read_card(demo_model())
    random = np.random.default_rng(0)
    frames = [SourceFrame(random.integers(0, 256, (96, 128, 3), np.uint8), place) for place in range(2)]
    settings = ValidationSettings(score_threshold=0.05, runs=0)
    with create_engine(card, 'onnxruntime') as engine:
        result = agreement_of(engine, engine, frames, settings)
    assert result.agreement == 1.0 and result.max_abs_error == 0.0 and not result.failure(1.0)
    assert (result.pooled('keypoint_px') == 0).all() and len(result.pooled('keypoint_px')) == len(result.pooled('ious'))


@pytest.mark.skipif(not NANO.is_file() or not PHOTOS.is_dir(), reason=f'no YOLOX-nano and photos in {DATA}')
def test_a_disturbed_real_model_agrees_less(tmp_path):
    random = np.random.default_rng(0)
    noisy = altered(
        NANO,
        tmp_path / 'noisy.onnx',
        lambda _, a: a * (1 + 0.02 * random.standard_normal(a.shape)) if a.ndim == 4 else a,
    )
    with create_engine(read_card(NANO)) as original, create_engine(read_card(noisy)) as engine:
        result = agreement_of(engine, original, FrameSource(str(PHOTOS)), ValidationSettings(max_images=4, runs=0))
    assert len(result.images) == 4 and sum(image.reference for image in result.images) > 5
    assert 0.1 < result.agreement < 0.95 and result.finite
    assert 'below 0.98' in result.failure(0.98)


def test_the_agreement_asked_of_the_result_is_not_that_of_a_build():
    parser = argparse.ArgumentParser()
    validate.add_command(parser.add_subparsers())
    command = ['validate', 'a.onnx', '--against', 'b.onnx', '--images', 'c', '--min-agreement', '1', '--preset', 'best']
    for choice in engine_choices(parser.parse_args(command)):
        assert {name: given for name, given in choice.given.items() if given} == {'tensorrt': {'preset': 'best'}}
