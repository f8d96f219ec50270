# SPDX-License-Identifier: Apache-2.0
"""The YAML card: every key, every refusal, and cards that contradict their model."""

from __future__ import annotations

import json

import pytest
from support.onnx_models import write_model

from isaac_inference.errors import ModelError
from isaac_inference.models import read_card
from isaac_inference.models.card.card_file import merge, parse_card

FULL = """
name: cups
task: detection
decoder: yolox
decoder_options: {strides: [8, 16, 32]}
input: images
layout: NCHW
input_size: [96, 64]
outputs: {predictions: output}
labels: [cup, bottle, box]
preprocess:
  convention: yolox
  color: rgb
  scale: 1/255
  mean: 0.5
  std: [0.1, 0.2, 0.3]
  fit: letterbox
  anchor: center
  rounding: nearest
  pad_value: 0
  interpolation: area
"""


def test_a_card_can_say_everything(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolox')
    (tmp_path / 'full.yaml').write_text(FULL)
    card = read_card(path, tmp_path / 'full.yaml')
    assert (card.name, card.labels) == ('cups', ('cup', 'bottle', 'box'))
    spec = card.image.preprocess
    assert (spec.color, spec.scale, spec.mean, spec.std) == ('rgb', 1 / 255, (0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    assert (spec.fit, spec.rounding, spec.pad_value, spec.interpolation) == ('letterbox', 'nearest', 0, 'area')
    changed = {key: source for key, source in card.sources.items() if source != 'card full.yaml'}
    assert not changed


def test_an_empty_card_says_nothing():
    assert parse_card('# only a comment\n', 'card', None) == {}


def test_json_is_a_card_too():
    assert parse_card(json.dumps({'name': 'x'}), 'card', None)['name'].value == 'x'


def test_an_earlier_card_wins_key_by_key():
    first, second = parse_card('name: a', 'one', None), parse_card('{name: b, layout: NHWC}', 'two', None)
    merged = merge([first, second])
    assert (merged['name'].value, merged['layout'].source) == ('a', 'two')


@pytest.mark.parametrize(
    'content, says',
    [
        ('decodr: yolox', r"unknown key 'decodr'; did you mean 'decoder'\?"),
        ('zzz: 1', "unknown key 'zzz'; known here: activation, decoder, decoder_options, depth, dis"),
        ('preprocess: {colour: rgb}', r"preprocess: unknown key 'colour'; did you mean 'color'\?"),
        (
            'decoder_options: {stride: [8]}',
            r"decoder_options: unknown key 'stride'; did you mean 'strides'\?",
        ),
        ('outputs: {box: a}', r"outputs: unknown key 'box'; did you mean 'boxes'\?"),
        ('decoder: yolo', "decoder: got 'yolo', expected one of yolox, yolov5"),
        ('task: segmentation', "task: got 'segmentation', expected one of detection, keypoints"),
        ('input_size: 640', r'input_size: got 640, expected \[width, height\]'),
        ('input_size: [640, 0]', r'input_size: got \[640, 0\], expected \[width'),
        ('input_size: [640.0, 640]', 'expected .width, height. in px, two whole numbers'),
        ('layout: CHW', "layout: got 'CHW', expected one of NCHW, NHWC"),
        ('name: ""', "name: got '', expected a text"),
        ('preprocess: 3', 'preprocess: got 3, expected keys and values below it'),
        ('preprocess: {color: gray}', "preprocess.color: got 'gray', expected one of rgb, bgr"),
        ('preprocess: {scale: 0}', 'preprocess.scale: got 0, expected a number above 0'),
        ('preprocess: {scale: 1/0}', "preprocess.scale: got '1/0', expected a number above 0"),
        ('preprocess: {scale: .nan}', 'preprocess.scale: got nan, expected a number above 0'),
        ('preprocess: {scale: true}', 'preprocess.scale: got True'),
        ('preprocess: {mean: [1, 2]}', r'preprocess.mean: got \[1, 2\], expected three numbers'),
        ('preprocess: {std: [1, 0, 1]}', r'preprocess.std: got \[1, 0, 1\], expected three numbers above 0'),
        ('preprocess: {pad_value: 256}', 'pad_value: got 256, expected a whole number from 0 to 255'),
        ('preprocess: {pad_value: 1.5}', 'pad_value: got 1.5, expected a whole number'),
        ('keypoints: 8', 'keypoints: got 8, expected keys and values below it'),
        ('keypoints: {cout: 8}', r"keypoints: unknown key 'cout'; did you mean 'count'\?"),
        ('keypoints: {count: 0}', 'keypoints.count: got 0, expected a whole number from 1 to 1000'),
        ('keypoints: {count: 8.0}', 'keypoints.count: got 8.0, expected a whole number'),
        ('keypoints: {dims: 4}', 'keypoints.dims: got 4, expected a whole number from 2 to 3'),
        ('keypoints: {model: cube}', "keypoints.model: got 'cube', expected one of cuboid8"),
        ('objects: [can]', r"objects: got \['can'\], expected class names"),
        ('objects: {can: 3}', 'objects.can: got 3, expected keys and values below it'),
        ('objects: {7: {shape: mesh}}', 'the class 7 is read by YAML as int; put it in quotes'),
        ('objects: {can: {sizes: [1, 1, 1]}}', r"objects.can: unknown key 'sizes'; did you mean 'size'\?"),
        ('objects: {can: {shape: cone}}', "objects.can.shape: got 'cone', expected one of cuboid, cylinder, sphere"),
        ('objects: {can: {mesh: 1}}', 'objects.can.mesh: got 1, expected a text'),
        ('objects: {can: {mesh_unit: ft}}', "objects.can.mesh_unit: got 'ft', expected one of m, cm, mm, in"),
        ('- a list', 'got list, expected keys and values'),
        ('a: [1', 'card: not valid YAML'),
        ('name: a\nname: b', "the key 'name' is given twice"),
        ('labels: 7', 'labels: got 7, expected a list of names'),
        ('labels: [a, a]', "'a' names class 0 and class 1"),
        ('labels: [a, no]', 'class 1 is False, which YAML reads as bool; put the name in quotes'),
        ('labels: names.txt', 'a file can only be named by a card that is a file itself'),
    ],
)
def test_wrong_cards_are_refused_by_key(content, says):
    with pytest.raises(ModelError, match=says):
        parse_card(content, 'card', None)


@pytest.mark.parametrize(
    'content, says',
    [
        ('input: image', "input: m.onnx has no input 'image'; its inputs are: images"),
        (
            'input_size: [64, 64]',
            r'input_size: got \[64, 64\] .*images: float32 \[1, 3, 64, 96\] of m.onnx is fixed',
        ),
        ('layout: NHWC', 'layout: got NHWC, but .* has its three channels as NCHW'),
        ('labels: [a, b]', r'labels: 2 names \(a, b\), but the outputs of m.onnx have 3 classes'),
        (
            'outputs: {predictions: out}',
            "outputs.predictions: m.onnx has no output 'out'; its outputs are: output",
        ),
        ('outputs: {boxes: output}', 'no decoder has exactly the roles boxes; correct them, or add `decoder`'),
        (
            'decoder_options: {activation: softmax}',
            "yolox has no option 'activation'; its options are: strides",
        ),
        ('decoder_options: {strides: [16, 8]}', r'strides: got \[16, 8\], expected a growing list'),
        (
            'decoder_options: {strides: [8, 16]}',
            r'strides: \[8, 16\] make 120 grid cells of an input of 96 x 64',
        ),
        ('decoder: yolov8\nlabels: [a, b]', r'2 names \(a, b\), but the outputs of m.onnx have 4 classes'),
        (
            'decoder: end_to_end',
            r'end_to_end reads \[N, boxes, 6\].*but the output is output: float32 \[1, 126, 8\]',
        ),
        ('decoder: nanodet', r'the decoder nanodet reads .*nc \+ 32.*; give another decoder'),
        (
            'decoder: detr',
            r'outputs do not show which is which(.|\n)*`outputs: \{logits: <tensor name>, boxes',
        ),
        ('size_input: images', 'cannot be the image size input'),
    ],
)
def test_cards_that_contradict_the_model(tmp_path, content, says):
    path = write_model(tmp_path / 'm.onnx', 'yolox')
    (tmp_path / 'c.yaml').write_text(content)
    with pytest.raises(ModelError, match=says):
        read_card(path, tmp_path / 'c.yaml')


def test_metadata_names_that_contradict_the_model(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolov8', metadata={'names': "{0: 'a', 1: 'b'}"})
    with pytest.raises(ModelError, match=r'metadata "names": labels: 2 names .* have 3 classes'):
        read_card(path)


def test_metadata_names_that_are_no_list_are_ignored_and_said(tmp_path):
    card = read_card(write_model(tmp_path / 'm.onnx', 'yolov8', metadata={'names': 'many'}))
    assert card.labels == ('class_0', 'class_1', 'class_2')
    assert any('is no list or mapping of class names; it is ignored' in note for note in card.notes)


@pytest.mark.parametrize(
    'names, labels',
    [
        ("{0: 'cup', 1: '', 2: 'box'}", ('cup', 'class_1', 'box')),
        ("{0: 'cup', 1: 'cup', 2: 'cup'}", ('cup', 'cup_2', 'cup_3')),
        ("{1: 'cup', 2: 'can', 3: 'box'}", ('cup', 'can', 'box')),  # counted from one
        ("{0: 'cup', 2: 'box'}", ('cup', 'class_1', 'box')),  # a gap
        ('[1, 2, 3]', ('1', '2', '3')),
        ('[True, False, None]', ('True', 'False', 'class_2')),
        ("['cup ', 'can', 'box']", ('cup', 'can', 'box')),
    ],
)
def test_cosmetic_faults_of_the_metadata_are_mended_with_a_note(tmp_path, names, labels):
    path = write_model(tmp_path / 'm.onnx', 'yolov8', metadata={'names': names})
    assert read_card(path).labels == labels
    path.with_suffix('.yaml').write_text('labels: [x, y, z]\n')
    assert read_card(path).labels == ('x', 'y', 'z')  # the card wins, whatever the metadata says
    assert not read_card(path).notes


def test_a_broken_embedded_card_is_named(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolox', metadata={'isaac_inference.card': 'decodr: x'})
    with pytest.raises(ModelError, match="card in m.onnx: unknown key 'decodr'"):
        read_card(path)


def test_a_card_that_is_no_text(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolox')
    path.with_suffix('.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ModelError, match='cannot be read as text'):
        read_card(path)
