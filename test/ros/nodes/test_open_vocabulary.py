# SPDX-License-Identifier: Apache-2.0
"""An open-vocabulary detector in the running graph: the classes are encoded at start and come out by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_models import known_detections
from support.onnx_models.open_vocabulary import SCORE, write_encoder, write_open_vocabulary, write_tokenizer
from support.ros.probe import image_message

SIDE = 64


def test_the_classes_of_the_card_come_out_by_name(empty_graph: Any, tmp_path: Path) -> None:
    model = write_open_vocabulary(tmp_path / 'm.onnx', input_wh=(SIDE, SIDE))
    write_encoder(tmp_path / 'encoder.onnx')
    write_tokenizer(tmp_path / 'tokenizer.json')
    (tmp_path / 'm.yaml').write_text(
        'labels: [box, road, cup]\n'
        'vocabulary: {encoder: encoder.onnx, tokenizer: tokenizer.json, prompt: "a photo of a {}"}'
    )
    empty_graph.load_all(model)
    array = empty_graph.probe.ask(image_message(np.full((SIDE, SIDE, 3), 255, np.uint8)))
    found = {item.results[0].hypothesis.class_id: item for item in array.detections}
    cup, _, box = known_detections(3, (SIDE, SIDE))
    assert found.keys() == {'cup', 'box'}
    for name, known in (('cup', cup), ('box', box)):
        center = found[name].bbox.center.position
        x0, y0, x1, y1 = known.xyxy
        assert (center.x, center.y) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.1)
        assert found[name].results[0].hypothesis.score == pytest.approx(SCORE, abs=1e-3)
    nothing = empty_graph.probe.ask(image_message(np.zeros((SIDE, SIDE, 3), np.uint8)))
    assert not nothing.detections
