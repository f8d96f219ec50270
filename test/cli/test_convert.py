# SPDX-License-Identifier: Apache-2.0
"""isaac-inference convert: what it writes, prints and refuses."""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.onnx_models import build_model, save_model, write_model

from isaac_inference.cli.convert import command as convert
from isaac_inference.errors import ConfigError, ModelError, PerceptionError
from isaac_inference.models import read_card
from isaac_inference.models.precision import inspect_precision


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def photos(tmp_path):
    """A folder of pictures on which the tiny models find their boxes."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for index, level in enumerate((255, 240, 200, 230)):
        cv2.imwrite(str(folder / f'{index}.png'), np.full((64, 96, 3), level, np.uint8))
    return folder


def run(*given):
    parser = argparse.ArgumentParser()
    convert.add_command(parser.add_subparsers())
    arguments = parser.parse_args(['convert', *map(str, given)])
    return arguments.execute(arguments)


def with_layers(path):
    """A tiny detector behind two convolutions that change nothing, so that there is something to quantise."""
    made = build_model('yolov8')
    eye = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    graph = made.graph
    for node in graph.node:
        node.input[:] = ['inner' if name == 'images' else name for name in node.input]
    nodes = [
        helper.make_node('Conv', ['images', 'eye'], ['middle'], 'one'),
        helper.make_node('Conv', ['middle', 'eye'], ['inner'], 'two'),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(eye, 'eye'))
    return save_model(made, path)


def test_float16_beside_the_model(tmp_path, photos, capsys):
    model = with_layers(tmp_path / 'cups.onnx')
    assert run(model, '--precision', 'fp16', '--calibration', photos) == 0
    out = tmp_path / 'cups.fp16.onnx'
    assert inspect_precision(out).kind == 'fp16' and read_card(out).labels == read_card(model).labels
    said = capsys.readouterr().out
    assert '100.00% at IoU 0.75' in said and 'float16' in said and 'size' in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ['cups.fp16.onnx', 'cups.onnx', 'photos']


def test_float16_needs_no_images_and_takes_half_inputs_when_asked(tmp_path, capsys):
    model = with_layers(tmp_path / 'cups.onnx')
    assert run(model, '--precision', 'fp16', '--io-types', 'float16', '--out', tmp_path / 'sub' / 'half.onnx') == 0
    assert read_card(tmp_path / 'sub' / 'half.onnx').image.tensor.dtype == 'float16'
    assert 'a grey image and noise' in capsys.readouterr().out


@pytest.mark.parametrize('method', ['minmax', 'entropy', 'percentile'])
def test_int8_from_a_folder(tmp_path, photos, method, capsys):
    model = with_layers(tmp_path / 'cups.onnx')
    assert run(model, '--precision', 'int8', '--calibration', photos, '--method', method, '--max-images', 2) == 0
    found = inspect_precision(tmp_path / 'cups.int8.onnx')
    assert found.kind == 'int8' and found.record.method == method and found.record.calibration_images == 2
    assert '2 of' in capsys.readouterr().out


def test_mixed_reaches_what_is_asked_and_prints_its_progress(tmp_path, photos, capsys):
    model = with_layers(tmp_path / 'cups.onnx')
    assert run(model, '--precision', 'mixed', '--calibration', photos, '--min-agreement', 0.9) == 0
    assert inspect_precision(tmp_path / 'cups.mixed.onnx').record.precision == 'mixed'
    said = capsys.readouterr()
    assert 'layers kept: agreement' in said.err and 'mixes' in said.out


def test_sparse_weights_are_told(tmp_path, photos, capsys):
    model = with_layers(tmp_path / 'cups.onnx')
    assert run(model, '--precision', 'fp16', '--sparsity', '2:4', '--calibration', photos) == 0
    assert inspect_precision(tmp_path / 'cups.fp16.onnx').record.sparsity == '2:4'
    assert '2:4 sparse' in capsys.readouterr().out


def test_a_card_beside_the_model_goes_along(tmp_path, photos):
    model = with_layers(tmp_path / 'cups.onnx')
    (tmp_path / 'cups.yaml').write_text('labels: [red, green, blue]\npreprocess: {pad_value: 7}\n')
    assert run(model, '--precision', 'fp16', '--calibration', photos) == 0
    after = read_card(tmp_path / 'cups.fp16.onnx')
    assert after.labels == ('red', 'green', 'blue') and after.image.preprocess.pad_value == 7


def test_images_from_a_recording(ros, tmp_path):
    from sensor_msgs.msg import Image

    from isaac_inference.ros.recording import RecordingWriter

    recording = tmp_path / 'drive.mcap'
    with RecordingWriter(recording) as writer:
        for number in range(3):
            for topic in ('/left', '/right'):
                data = np.full(64 * 96 * 3, 200 + number, np.uint8).tobytes()
                picture = Image(height=64, width=96, encoding='bgr8', step=288, data=data)
                picture.header.stamp.sec = 10 + number
                writer.write(topic, picture, log_time_ns=10**9 * (10 + number))
    model = with_layers(tmp_path / 'cups.onnx')
    with pytest.raises(ConfigError, match='/left.*/right'):
        run(model, '--precision', 'int8', '--calibration', recording)
    assert run(model, '--precision', 'int8', '--calibration', recording, '--topic', '/left') == 0
    assert inspect_precision(tmp_path / 'cups.int8.onnx').record.calibration_images == 3


def refused(kind, match, *given, leaves):
    with pytest.raises(kind, match=match):
        run(*given)
    assert not leaves.exists()


def test_bad_calibration_sets_are_refused_by_name(tmp_path, photos):
    model, out = with_layers(tmp_path / 'cups.onnx'), tmp_path / 'cups.int8.onnx'
    refused(ConfigError, '--calibration: int8 needs images', model, '--precision', 'int8', leaves=out)
    empty = tmp_path / 'empty'
    empty.mkdir()
    int8 = (model, '--precision', 'int8', '--calibration')
    refused(ConfigError, f'{empty}.*give a folder with pictures', *int8, empty, leaves=out)
    refused(ConfigError, 'no such file or folder', *int8, tmp_path / 'missing', leaves=out)
    refused(ConfigError, 'a live camera never ends', *int8, '0', leaves=out)
    (photos / '2.png').write_bytes(b'no picture')
    refused(ConfigError, r'2\.png.*remove or replace it', *int8, photos, leaves=out)


def test_bad_options_are_refused(tmp_path, photos):
    model, out = with_layers(tmp_path / 'cups.onnx'), tmp_path / 'cups.int8.onnx'
    int8 = (model, '--precision', 'int8', '--calibration', photos)
    refused(ConfigError, 'no operator or node', *int8, '--keep', 'Konv', leaves=out)
    refused(ConfigError, 'io-types', *int8, '--io-types', 'float16', leaves=out)
    refused(ConfigError, 'max-images', *int8, '--max-images', '-1', leaves=out)
    refused(ConfigError, 'min-agreement', *int8, '--min-agreement', '2', leaves=out)
    refused(ConfigError, 'percentile', *int8, '--method', 'percentile', '--percentile', '10', leaves=out)
    refused(ConfigError, 'which is not modified', *int8, '--out', model, leaves=out)
    refused(ConfigError, 'is a folder', *int8, '--out', tmp_path, leaves=out)


def test_what_overflows_in_float16_is_refused_and_leaves_nothing(tmp_path, photos):
    model = with_layers(tmp_path / 'cups.onnx')
    made = onnx.load(model)
    made.graph.node.insert(1, helper.make_node('Mul', ['middle', 'many'], ['huge'], 'up'))
    made.graph.node.insert(2, helper.make_node('Div', ['huge', 'many'], ['back'], 'down'))
    made.graph.node[3].input[0] = 'back'
    made.graph.initializer.append(numpy_helper.from_array(np.float32(1e6), 'many'))
    onnx.save(made, str(model))
    fp16 = (model, '--precision', 'fp16', '--calibration', photos)
    refused(ModelError, 'infinite or NaN: huge reaches', *fp16, leaves=tmp_path / 'cups.fp16.onnx')
    assert run(*fp16, '--keep', 'up,down') == 0


def test_too_little_agreement_is_refused_with_the_numbers(tmp_path, photos):
    model = with_layers(tmp_path / 'cups.onnx')
    made = onnx.load(model)
    one, two = made.graph.node[0], made.graph.node[1]
    for node, sign in ((one, 1), (two, -1)):  # between the two, 8 bits tell steps of 8 apart, and grey is a half
        node.input.append(f'{node.name}_bias')
        made.graph.initializer.append(numpy_helper.from_array(np.array([1000 * sign, 0, 0], np.float32), node.input[2]))
    onnx.save(made, str(model))
    for path in photos.iterdir():
        cv2.imwrite(str(path), np.full((64, 96, 3), 128, np.uint8))
    asked = ('--calibration', photos, '--min-agreement', 0.9, '--method', 'minmax')
    out = tmp_path / 'cups.int8.onnx'
    refused(ModelError, r'0\.\d+ of the boxes.*nothing was written', model, '--precision', 'int8', *asked, leaves=out)
    assert run(model, '--precision', 'mixed', *asked) == 0
    assert inspect_precision(tmp_path / 'cups.mixed.onnx').record.kept[0] in ('one', 'two')


def test_a_model_whose_layers_are_all_last_is_for_the_sweep(tmp_path, photos):
    model, out = write_model(tmp_path / 'cups.onnx', 'yolov8'), tmp_path / 'cups.int8.onnx'
    int8 = (model, '--precision', 'int8', '--calibration', photos)
    refused(PerceptionError, 'last; use --precision mixed', *int8, leaves=out)
