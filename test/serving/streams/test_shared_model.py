# SPDX-License-Identifier: Apache-2.0
"""A model that streams share, on the CPU: how many frames at once, turns among other models, and its end."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models import write_model

from isaac_inference.engines import create_engine
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card
from isaac_inference.serving.scheduler.scheduler import SAFETY, Scheduler
from isaac_inference.serving.streams.shared_model import SharedModel


@pytest.fixture(scope='module', params=['batch', False], ids=['any number', 'one image'])
def card(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    return read_card(write_model(folder / 'm.onnx', 'yolov8', input_wh=(64, 64), dynamic=request.param))


@pytest.fixture
def made(card):
    scheduler = Scheduler(2)
    engine = create_engine(card, 'onnxruntime', threads=1)
    engine.open()
    model = SharedModel(engine, ['a', 'b', 'c'], 'm', 2, scheduler)
    model.prepare(3)
    yield model, scheduler
    model.close()
    assert not engine.is_open


def frame(value):
    return {'images': np.full((1, 3, 64, 64), value, np.float32)}


def test_as_many_at_once_as_the_model_takes_and_the_reason_where_that_is_one(made, card):
    model, _ = made
    assert model.most == (3 if card.dynamic_batch else 1)
    assert model.why_one == ('' if card.dynamic_batch else 'the model takes one image at a time')
    assert not model.may_be_inline and model.collect_gpu_ms() == []


def test_each_frame_has_its_outputs_or_its_error(made):
    model, _ = made
    bad = {'images': np.zeros((1, 3, 32, 32), np.float32)}
    found = model.run([frame(0.2), bad, frame(0.9)], ['a', 'b', 'c'], on_device=False)
    assert isinstance(found[1], EngineError)
    for value, outputs in ((0.2, found[0]), (0.9, found[2])):
        for name, array in model.engine.infer(frame(value)).items():
            np.testing.assert_allclose(outputs[name], array, atol=1e-4)


def test_it_has_turns_among_the_models_of_its_process(made):
    model, scheduler = made
    assert not model.is_contended
    other = scheduler.join('safety', SAFETY, cores=2)
    turn = model.begin(lambda: True)
    assert turn is not None and model.is_contended
    assert other.try_begin() is None
    model.end()
    model.end()
    held = other.try_begin()
    assert held is not None
    assert model.begin(lambda: False) is None, 'it is not wanted any more'
    held.end()
    other.leave()
    assert not model.is_contended and model.starving() is None


def test_a_model_that_is_loaded_beside_one_that_never_ends_is_ready_all_the_same(card, monkeypatch):
    monkeypatch.setattr('isaac_inference.serving.streams.shared_model._WARM_UP_PATIENCE_S', 0.01)
    scheduler = Scheduler(2)
    held = scheduler.join('safety', SAFETY, cores=2).try_begin()
    engine = create_engine(card, 'onnxruntime', threads=1)
    engine.open()
    model = SharedModel(engine, ['a', 'b'], 'm', 0, scheduler)
    model.prepare(2)
    assert model.most == (2 if card.dynamic_batch else 1)
    held.end()
    model.close()


class Timer:
    """GPU times that have been measured."""

    def collect(self):
        return [4.0, 6.0]


def test_what_a_run_took_on_the_gpu_the_scheduler_learns(made):
    """Or it would go by when somebody looked: a model that runs now and then would seem as slow as its pauses."""
    model, scheduler = made
    told = []
    model._timer, model._member.took = Timer(), told.append
    assert model.collect_gpu_ms() == [4.0, 6.0]
    assert told == [0.004, 0.006]


def test_an_error_of_all_frames_on_the_gpu_is_each_one_s(made):
    def fails():
        raise EngineError('out of memory')

    model, _ = made
    found = model._begun(fails, 3)
    assert [str(error) for error in found] == ['out of memory'] * 3
