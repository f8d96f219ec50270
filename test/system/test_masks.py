# SPDX-License-Identifier: Apache-2.0
"""Masks across two processes: the nodes in one, who looks at what they publish in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image
from support.onnx_models import masks as model
from support.ros.probe import Probe, image_message, probing
from support.waiting import LIMIT_S

from isaac_inference.ros.messages.image import from_image_message
from isaac_inference.ros.messages.masks import instance_array

NAMESPACE = '/masks_elsewhere'
TEST_FOLDER = Path(__file__).parent.parent
PROGRAM = """
import sys
import threading
from pathlib import Path
import rclpy
from support.cards import known_to_nodes
from support.onnx_models import masks
from isaac_inference.ros.runtime.container.container import ComponentContainer
from isaac_inference.ros.runtime.container.spin import SpinThread

card = known_to_nodes(masks.write_mask_model(Path(sys.argv[1])))
rclpy.init()
container = SpinThread(ComponentContainer(namespace=sys.argv[2])).node
parameters = [rclpy.Parameter('model', value=str(card.path))]
for kind in ('Preprocess', 'Inference', 'Detection'):
    container.load(
        'isaac_inference', kind + 'Node', node_name=kind.lower(), namespace=sys.argv[2], parameters=parameters
    )
threading.Event().wait()
"""
RUN = """
import sys
from pathlib import Path
from support.cards import known_to_nodes
from support.onnx_models import masks
from isaac_inference.cli.main import main

known_to_nodes(masks.write_mask_model(Path(sys.argv[1])))
sys.exit(main(['run', '--model', *sys.argv[1:]]))
"""
pytestmark = pytest.mark.system


def environment() -> dict[str, str]:
    """One in which the tests' own modules are found."""
    return {**os.environ, 'PYTHONPATH': os.pathsep.join((str(TEST_FOLDER), os.environ.get('PYTHONPATH', '')))}


@pytest.fixture(scope='module')
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp('model') / 'masks.onnx'
    process = subprocess.Popen([sys.executable, '-c', PROGRAM, str(path), NAMESPACE], env=environment())
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope='module')
def probe(nodes: Any) -> Iterator[Probe]:
    with probing(NAMESPACE) as made:
        yield made


def test_an_image_in_masks_and_detections_of_its_stamp_out(probe: Probe) -> None:
    masks = probe.listen('instance_mask', Image)
    probe.introduce(lambda: masks)
    picture = model.picture(4)
    message = image_message(picture)
    array = probe.ask(message)
    probe.wait_until(lambda: [mask for mask in masks if mask.header == message.header], 'the mask of the image')
    mask = next(mask for mask in masks if mask.header == message.header)
    assert array.header == mask.header
    image = instance_array(from_image_message(mask))
    assert image.shape == picture.shape[:2]
    for index, detection in enumerate(array.detections):
        label = detection.results[0].hypothesis.class_id
        colored = (picture == model.COLORS[model.LABELS.index(label)][::-1]).all(axis=2)
        own = image == index + 1
        assert own.sum() > 1000
        assert np.count_nonzero(own & colored) / own.sum() > 0.9


def test_run_writes_an_outline_of_each_object_and_fills_it_in_the_picture(tmp_path: Path) -> None:
    photos = tmp_path / 'photos'
    photos.mkdir()
    picture = model.picture(4)
    cv2.imwrite(str(photos / 'a.png'), picture)
    options = ['--source', 'photos', '--json', 'lines.jsonl', '--save-images', 'images']
    done = subprocess.run(
        [sys.executable, '-c', RUN, str(tmp_path / 'masks.onnx'), *options],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [json.loads(text) for text in (tmp_path / 'lines.jsonl').read_text().splitlines()]
    assert [item['class_id'] for item in line['detections']] == ['green', 'red', 'blue']
    drawn = cv2.imread(str(next((tmp_path / 'images').iterdir())))
    for item in line['detections']:
        outlines = [np.floor(outline).astype(np.int32) for outline in item['mask']['polygons']]
        filled = cv2.fillPoly(np.zeros(picture.shape[:2], np.uint8), outlines, 1) > 0
        colored = (picture == model.COLORS[model.LABELS.index(item['class_id'])][::-1]).all(axis=2)
        assert np.count_nonzero(filled & colored) > 0.9 * item['mask']['area']
        inner = cv2.erode((filled & colored).astype(np.uint8), np.ones((9, 9))) > 0
        assert np.abs(drawn[inner].astype(int) - picture[inner]).max(axis=1).mean() > 10
