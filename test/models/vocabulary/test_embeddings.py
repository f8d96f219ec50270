# SPDX-License-Identifier: Apache-2.0
"""The classes of an open-vocabulary detector from a file or encoded: what is fed, what is refused, what is re-read."""

from __future__ import annotations

import os

import numpy as np
import pytest
from support.onnx_models import write_model
from support.onnx_models.open_vocabulary import (
    FOUND,
    SIZE,
    embeddings_of,
    write_encoder,
    write_open_vocabulary,
    write_tokenizer,
)

from isaac_inference.errors import ModelError
from isaac_inference.models import TensorSpec, ValueInput, ValueRole, card_rows, read_card
from isaac_inference.models.card.inputs import FixedArray

FILE = 'labels: [cup, can, box]\nvocabulary: {embeddings: classes.npy}'
ENCODED = 'labels: [cup, can, box]\nvocabulary: {encoder: encoder.onnx, tokenizer: tokenizer.json}'


@pytest.fixture
def folder(tmp_path):
    """A folder with vectors, an encoder and its tokenizer."""
    np.save(tmp_path / 'classes.npy', embeddings_of(FOUND))
    write_encoder(tmp_path / 'encoder.onnx')
    write_tokenizer(tmp_path / 'tokenizer.json')
    return tmp_path


def card_of(folder, content, **options):
    path = write_open_vocabulary(folder / 'm.onnx', **options)
    (folder / 'm.yaml').write_text(content)
    return read_card(path)


def fed(card):
    """What the input for text embeddings is fed."""
    (item,) = card.value_inputs
    assert item.role is ValueRole.TEXT_EMBEDDINGS
    return item.constant(card.image.wh)


def set_later(path):
    """Give a file a modification time that differs from before."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize('content', [FILE, ENCODED])
@pytest.mark.parametrize('options', [{}, {'rank': 2}, {'classes': 3}, {'size': None}, {'batch': 'batch'}])
def test_the_input_is_fed_one_row_per_label(folder, content, options):
    card = card_of(folder, content, **options)
    expected = embeddings_of(FOUND)
    np.testing.assert_allclose(fed(card), expected if options.get('rank') == 2 else expected[None], atol=1e-6)
    assert fed(card).dtype == np.float32
    assert card.labels == FOUND
    assert card.value_inputs[0].tensor.shape[-2:] == (3, SIZE)  # no axis but the batch stays open


@pytest.mark.parametrize('shape, batch, expected', [((None, 3, 4), 2, 2), ((1, 3, 4), 2, 1), ((3, 4), 2, 0)])
def test_the_constant_follows_the_batch(shape, batch, expected):
    array = FixedArray(embeddings_of(FOUND), 'digest')
    value = ValueInput(TensorSpec('t', 'float16', shape), ValueRole.TEXT_EMBEDDINGS, array).constant((64, 32), batch)
    assert value.shape == ((expected, 3, 4) if expected else (3, 4)) and value.dtype == np.float16
    assert (value == embeddings_of(FOUND).astype(np.float16)).all()


def test_info_says_where_the_classes_come_from(folder):
    rows = {name: (value, source) for name, value, source in card_rows(card_of(folder, FILE))}
    assert rows['vocabulary.text_embeddings'] == ('3 x 4 of classes.npy', 'card m.yaml')
    assert rows['value_inputs.text_embeddings'] == ('txt_feats: float32 [1, 3, 4]', 'name and shape of txt_feats')
    rows = {name: (value, source) for name, value, source in card_rows(card_of(folder, ENCODED + '  # again'))}
    how, source = rows['vocabulary.text_embeddings']
    assert how == "3 x 4, encoded with encoder.onnx and tokenizer.json (text_embeds, length 1), the first as 'cup'"
    assert source == 'card m.yaml'


def test_the_card_has_another_id_with_other_classes(folder):
    first = card_of(folder, FILE).id
    np.save(folder / 'classes.npy', embeddings_of(('mug', 'can', 'box')))
    set_later(folder / 'classes.npy')
    assert card_of(folder, FILE).id != first
    np.save(folder / 'classes.npy', embeddings_of(FOUND))
    set_later(folder / 'classes.npy')
    assert card_of(folder, FILE).id == first
    plain = card_of(folder, ENCODED).id
    assert card_of(folder, f'{ENCODED[:-1]}, prompt: "a {{}}"}}').id != plain
    assert card_of(folder, f'{ENCODED[:-1]}, normalize: false}}').id != plain


@pytest.mark.parametrize(
    'content, name',
    [(FILE, 'classes.npy'), (ENCODED, 'encoder.onnx'), (ENCODED, 'tokenizer.json'), (ENCODED, 'encoder.onnx.data')],
)
def test_a_file_that_changes_is_noticed(folder, content, name):
    before = card_of(folder, content)
    assert read_card(folder / 'm.onnx') is before
    if name == 'encoder.onnx.data':
        (folder / name).write_bytes(b'weights')
    set_later(folder / name)
    after = read_card(folder / 'm.onnx')
    assert after is not before and after.id == before.id


def test_another_encoder_is_noticed(folder):
    before = card_of(folder, ENCODED)
    write_encoder(folder / 'encoder.onnx', pooled='')
    set_later(folder / 'encoder.onnx')
    after = read_card(folder / 'm.onnx')
    assert after.id != before.id
    assert 'mean of last_hidden_state over the tokens' in after.value_inputs[0].fixed.origin


def test_without_a_vocabulary_the_error_has_the_lines_to_add(folder):
    with pytest.raises(ModelError) as caught:
        card_of(folder, '')
    message = str(caught.value)
    assert 'txt_feats: float32 [1, ?, 4] takes a text embedding per class' in message
    assert 'where they come from and what the classes are. Add to the card m.yaml' in message
    lines = [line.strip() for line in message.splitlines()]
    at = lines.index('labels: [first name, second name]')
    np.save(folder / 'classes.npy', embeddings_of(('cup', 'can')))
    assert card_of(folder, '\n'.join(lines[at : at + 2])).class_count == 2  # as it stands
    again = lines.index('labels: [first name, second name]', at + 1)
    text = '\n'.join(lines[again : again + 2]).replace('first name', 'cup').replace('second name', 'can')
    assert card_of(folder, text.replace('text_encoder', 'encoder')).class_count == 2


def test_labels_that_are_there_are_not_asked_for(folder):
    with pytest.raises(ModelError) as caught:
        card_of(folder, 'labels: [cup, can]')
    assert 'nothing says where they come from. Add' in str(caught.value) and 'labels:' not in str(caught.value)


@pytest.mark.parametrize(
    'content, says',
    [
        ('vocabulary: {embeddings: classes.npy}', r'nothing says what the classes are.*\n    labels: \[first'),
        ('labels: [a, b]\nvocabulary: {embeddings: classes.npy}', r'classes.npy is \[3, 4\]; expected .* \(2, D\)'),
        ('labels: [a, b]\nvocabulary: {embeddings: none.npy}', r'none.npy cannot be read \(No such file'),
        ('labels: [a, b]\nvocabulary: {embeddings: tokenizer.json}', r'tokenizer.json cannot be read \('),
        ('labels: [a, b]\nvocabulary: {embeddings: whole.npy}', r'whole.npy holds int64; expected'),
        ('labels: [a, b]\nvocabulary: {embeddings: broken.npy}', r'broken.npy has rows that are zero or not finite'),
        ('labels: [a, b]\nvocabulary: {embeddings: wide.npy}', r'have 7 numbers .* takes 4; .*text encoder'),
        (FILE.replace('classes.npy', 'classes.npy, prompt: "a {}"'), r'embeddings and prompt; expected either'),
        (ENCODED.replace('encoder: encoder.onnx, ', ''), r'vocabulary: encoder missing; expected encoder and tok'),
        (FILE.replace('classes.npy', 'classes.npy, prompt: a'), r'vocabulary.prompt: got .a., expected .*\{\} once'),
        ('vocabulary: {normalize: 1}', r'vocabulary.normalize: got 1, expected true or false'),
        ('vocabulary: {embedding: a.npy}', r"unknown key 'embedding'; did you mean 'embeddings'"),
    ],
)
def test_what_a_card_says_wrongly_is_refused(folder, content, says):
    np.save(folder / 'whole.npy', np.ones((2, 4), np.int64))
    np.save(folder / 'broken.npy', np.zeros((2, 4), np.float32))
    np.save(folder / 'wide.npy', np.ones((2, 7), np.float32))
    with pytest.raises(ModelError, match=says):
        card_of(folder, content)


def test_a_file_for_a_fixed_number_of_classes_takes_no_other(folder):
    with pytest.raises(ModelError, match=r'labels: 3 names, but the input .*takes exactly 5 classes; give 5 names'):
        card_of(folder, FILE, classes=5)


def test_a_vocabulary_for_another_kind_of_model_is_refused(folder):
    path = write_model(folder / 'm.onnx', 'yolov8')
    (folder / 'm.yaml').write_text(FILE)
    with pytest.raises(ModelError, match=r'card m.yaml: vocabulary: m.onnx has no input for text embeddings'):
        read_card(path)
