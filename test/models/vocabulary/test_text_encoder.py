# SPDX-License-Identifier: Apache-2.0
"""Texts to vectors: tokens, padding, pooling, length; and encoders and tokenizers that do not fit."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from support.onnx_models import write_model
from support.onnx_models.open_vocabulary import PADDING_ROW, WORDS, embeddings_of, write_encoder, write_tokenizer

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.vocabulary.text_encoder import Recipe, encode

PROMPTS = ('a photo of a cup', 'a mug', 'road')


@pytest.fixture
def encoder(tmp_path):
    return write_encoder(tmp_path / 'encoder.onnx')


@pytest.fixture
def tokenizer(tmp_path):
    return write_tokenizer(tmp_path / 'tokenizer.json')


@pytest.mark.parametrize('pads', [False, True])
@pytest.mark.parametrize('length', [None, 7])
@pytest.mark.parametrize('pooled', ['text_embeds', 'sentence_embedding', 'pooler_output', 'something', ''])
def test_padding_does_not_count(tmp_path, pooled, length, pads):
    encoder = write_encoder(tmp_path / 'encoder.onnx', pooled=pooled, length=length)
    tokenizer = write_tokenizer(tmp_path / 'tokenizer.json', pads=pads)
    found = encode(Recipe(encoder, tokenizer, PROMPTS)).values
    np.testing.assert_allclose(found, embeddings_of(('cup', 'mug', 'road')), atol=1e-6)
    assert found.dtype == np.float32 and not found.flags.writeable


def test_the_mean_over_the_tokens(encoder, tokenizer):
    found = encode(Recipe(encoder, tokenizer, PROMPTS, normalize=False, output='last_hidden_state')).values
    expected = np.array([WORDS['cup'], WORDS['mug'], WORDS['road']]) / [[5], [2], [1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_a_mask_the_tokenizer_s_padding_is_kept(tmp_path):
    encoder = write_encoder(tmp_path / 'encoder.onnx', mask=False)
    tokenizer = write_tokenizer(tmp_path / 'tokenizer.json', pads=True)
    found = encode(Recipe(encoder, tokenizer, ('a cup',), normalize=False)).values
    np.testing.assert_allclose(found[0], np.array(WORDS['cup']) + 14 * PADDING_ROW, atol=1e-4)  # 16 tokens in all


def test_token_types_are_zeros(tmp_path, tokenizer):
    encoder = write_encoder(tmp_path / 'encoder.onnx', types=True)
    np.testing.assert_allclose(encode(Recipe(encoder, tokenizer, ('mug',))).values, embeddings_of(('mug',)), atol=1e-6)


def test_the_same_recipe_is_encoded_once(encoder, tokenizer):
    assert encode(Recipe(encoder, tokenizer, PROMPTS)) is encode(Recipe(encoder, tokenizer, PROMPTS))
    assert encode(Recipe(encoder, tokenizer, PROMPTS)) != encode(Recipe(encoder, tokenizer, PROMPTS[:2]))


@pytest.mark.parametrize(
    'prompts, says',
    [
        (('cup', 'Cup'), r"makes the same tokens of 'cup' and 'Cup', so that these classes cannot be told apart"),
        (('teapot', 'saucer'), r"makes the same tokens of 'teapot' and 'saucer'"),
        (('  ',), r"tokenizer.json makes no tokens of '  '"),
    ],
)
def test_texts_that_cannot_be_encoded(encoder, tokenizer, prompts, says):
    with pytest.raises(ModelError, match=says):
        encode(Recipe(encoder, tokenizer, prompts))


def test_a_text_that_is_too_long_is_named(tmp_path, tokenizer):
    encoder = write_encoder(tmp_path / 'encoder.onnx', length=4)
    with pytest.raises(ModelError, match=r"'a photo of a cup' is 5 tokens, but the encoder takes 4; shorten"):
        encode(Recipe(encoder, tokenizer, PROMPTS))


def test_files_that_are_not_what_they_should_be(tmp_path, encoder, tokenizer):
    with pytest.raises(ModelError, match=r'vocabulary.encoder: .*nowhere.onnx cannot be read \(No such file'):
        encode(Recipe(tmp_path / 'nowhere.onnx', tokenizer, PROMPTS))
    with pytest.raises(ModelError, match=r'vocabulary.tokenizer: .*nowhere.json cannot be read'):
        encode(Recipe(encoder, tmp_path / 'nowhere.json', PROMPTS))
    (tmp_path / 'other.json').write_text('{}')
    with pytest.raises(ModelError, match=r'other.json cannot be read as a tokenizer .*tokenizer.json'):
        encode(Recipe(encoder, tmp_path / 'other.json', PROMPTS))
    detector = write_model(tmp_path / 'detector.onnx', 'yolov8')
    with pytest.raises(
        ModelError, match=r'detector.onnx takes no text alone; expected input_ids(.|\n)*images: float32'
    ):
        encode(Recipe(detector, tokenizer, PROMPTS))
    with pytest.raises(ModelError, match=r"encoder.onnx has no output 'x'; its outputs are: last_hidden_state, text"):
        encode(Recipe(encoder, tokenizer, PROMPTS, output='x'))


def test_a_tokenizer_of_another_encoder_is_suspected(tmp_path, encoder, tokenizer):
    proto = onnx.load(encoder)
    table = max(proto.graph.initializer, key=lambda item: np.prod(item.dims))
    rows = onnx.numpy_helper.to_array(table)[:5]
    table.CopyFrom(onnx.numpy_helper.from_array(rows, table.name))
    onnx.save(proto, encoder)
    with pytest.raises(ModelError, match=r"cannot encode 'a photo of a cup' (.|\n)*is tokenizer.json the tokenizer of"):
        encode(Recipe(encoder, tokenizer, PROMPTS))


def test_without_the_package_the_error_says_what_to_install(encoder, tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tokenizers', None)
    with pytest.raises(ConfigError, match=r'pip install tokenizers, or give .*embeddings: classes.npy'):
        encode(Recipe(encoder, tokenizer, ('a box',)))
