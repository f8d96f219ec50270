# SPDX-License-Identifier: Apache-2.0
"""An open-vocabulary detector from image to boxes: the card's classes decide what is found."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models import WH, known_detections
from support.onnx_models.open_vocabulary import (
    SCORE,
    embeddings_of,
    write_encoder,
    write_open_vocabulary,
    write_tokenizer,
)

from isaac_inference.cli.bench.measure import bench_feeds
from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.stages import Postprocessor, Preprocessor

WHITE = np.full((WH[1], WH[0], 3), 255, np.uint8)
KNOWN = {word: known.xyxy for word, known in zip(('cup', 'can', 'box'), known_detections(3), strict=True)}


def found_with(folder, labels, *, encoded, pixels=WHITE, **options):
    """Class name -> (box, score) of what the detector finds with these classes."""
    model = write_open_vocabulary(folder / 'm.onnx', **options)
    np.save(folder / 'classes.npy', embeddings_of(labels))
    vocabulary = '{embeddings: classes.npy}'
    if encoded:
        write_encoder(folder / 'encoder.onnx')
        write_tokenizer(folder / 'tokenizer.json')
        vocabulary = '{encoder: encoder.onnx, tokenizer: tokenizer.json, prompt: "a photo of a {}"}'
    (folder / 'm.yaml').write_text(f'labels: [{", ".join(labels)}]\nvocabulary: {vocabulary}')
    card = read_card(model)
    tensors, letterbox = Preprocessor(card)(pixels)
    with create_engine(card, 'onnxruntime', threads=1) as engine:
        engine.warm_up()
        found = Postprocessor(card)(engine.infer(tensors), letterbox)
    return {
        card.labels[index]: (tuple(box), score)
        for index, box, score in zip(found.class_ids, found.boxes.tolist(), found.scores.tolist(), strict=True)
    }


@pytest.mark.parametrize('encoded', [False, True], ids=['npy', 'encoder'])
@pytest.mark.parametrize('options', [{}, {'rank': 2}, {'rank': 2, 'batch': 'batch'}, {'size': None}])
def test_the_classes_of_the_card_are_found(tmp_path, encoded, options):
    found = found_with(tmp_path, ('box', 'road', 'cup'), encoded=encoded, **options)
    assert found == {
        name: (pytest.approx(KNOWN[name], abs=1e-3), pytest.approx(SCORE, abs=1e-3)) for name in ('box', 'cup')
    }


def test_a_word_of_like_meaning_finds_the_object(tmp_path):
    found = found_with(tmp_path, ('mug',), encoded=True)
    assert found.keys() == {'mug'} and found['mug'][0] == pytest.approx(KNOWN['cup'], abs=1e-3)
    assert 0.9 < found['mug'][1] < SCORE - 1e-4


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert found_with(tmp_path, ('cup', 'can'), encoded=False, pixels=np.zeros_like(WHITE)) == {}


def test_a_batch_shares_the_classes(tmp_path):
    model = write_open_vocabulary(tmp_path / 'm.onnx', rank=2, batch='batch')
    np.save(tmp_path / 'classes.npy', embeddings_of(('cup', 'can')))
    (tmp_path / 'm.yaml').write_text('labels: [cup, can]\nvocabulary: {embeddings: classes.npy}')
    card = read_card(model)
    with create_engine(card, 'onnxruntime', threads=1) as engine:
        (output,) = engine.infer(bench_feeds(card, 3)).values()
    assert output.shape[:2] == (3, 6)
