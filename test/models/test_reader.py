# SPDX-License-Identifier: Apache-2.0
"""read_card keeps a card until a file behind it changes, and finds cards by path and by name."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.onnx_models import write_model, write_model_of_links
from support.waiting import LIMIT_S

from isaac_inference.errors import ModelError
from isaac_inference.models import read_card, reader
from isaac_inference.models.card.find_card import card_folders, find_card


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / 'm.onnx', 'yolov8')


def touch(path, content):
    """Write a file with a modification time that differs from any before."""
    path.write_text(content)
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


def test_nodes_that_share_a_model_read_it_once(model, monkeypatch):
    reads = []
    real = reader.read_model_file
    monkeypatch.setattr(reader, 'read_model_file', lambda path: reads.append(path) or real(path))
    barrier = threading.Barrier(3)

    def read():
        barrier.wait(LIMIT_S)
        return read_card(model)

    with ThreadPoolExecutor(3) as pool:
        cards = [future.result() for future in [pool.submit(read) for _ in range(3)]]
    assert len(reads) == 1
    assert cards[0] is cards[1] is cards[2]
    assert read_card(str(model), '') is cards[0]


def test_a_card_that_appears_changes_or_goes_is_noticed(model):
    beside = model.with_suffix('.yaml')
    assert read_card(model).labels[0] == 'class_0'
    touch(beside, 'labels: [a, b, c]')
    assert read_card(model).labels[0] == 'a'
    touch(beside, 'labels: [x, y, z]')
    assert read_card(model).labels[0] == 'x'
    beside.unlink()
    assert read_card(model).labels[0] == 'class_0'


def test_weights_whose_link_leads_elsewhere_now_are_noticed(tmp_path):
    path = write_model_of_links(tmp_path)
    weights = path.with_name('model.onnx.data')
    before = read_card(path)
    new = weights.resolve().with_name('new')
    new.write_bytes(bytes(weights.stat().st_size))
    weights.unlink()
    weights.symlink_to('../../blobs/new')
    assert read_card(path).sha256 != before.sha256


def test_a_label_file_that_changes_is_noticed(model):
    names = model.with_name('names.txt')
    names.write_text('a\nb\nc')
    model.with_suffix('.yaml').write_text('labels: names.txt')
    assert read_card(model).labels == ('a', 'b', 'c')
    touch(names, 'd\ne\nff')
    assert read_card(model).labels == ('d', 'e', 'ff')


def test_a_model_that_changes_is_noticed(model):
    first = read_card(model)
    write_model(model, 'yolov8', classes=4)
    assert read_card(model).class_count == 4
    assert read_card(model).sha256 != first.sha256


def test_a_failed_read_can_be_tried_again(model):
    beside = model.with_suffix('.yaml')
    touch(beside, 'labels: [a]')
    with pytest.raises(ModelError, match='1 names'):
        read_card(model)
    touch(beside, 'labels: [a, b, c]')
    assert read_card(model).class_count == 3


def test_a_card_by_name_comes_from_config_models(tmp_path, monkeypatch):
    folder = tmp_path / 'share' / 'isaac_inference' / 'config' / 'models'
    folder.mkdir(parents=True)
    (folder / 'cups.yaml').write_text('name: cups')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert find_card('cups') == folder / 'cups.yaml'
    assert find_card('cups.yaml') == folder / 'cups.yaml'
    with pytest.raises(ModelError, match=r'no card of that name in config/models; there are: .*cups'):
        find_card('mugs')


def test_the_source_tree_has_a_card_folder():
    assert any((folder / 'template.yaml').is_file() for folder in card_folders())


def test_a_missing_card_path(model):
    with pytest.raises(ModelError, match=r'card: no file .*/nowhere/c\.yaml'):
        read_card(model, '/nowhere/c.yaml')
