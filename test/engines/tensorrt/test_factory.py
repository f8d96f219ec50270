# SPDX-License-Identifier: Apache-2.0
"""Where a TensorRT engine gets its plan from, and when; the cache, the builder and the GPU only answer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.fake_trt import Device
from support.onnx_models import write_model

from isaac_inference.engines.tensorrt import factory, runner
from isaac_inference.engines.tensorrt.loader import Plan
from isaac_inference.engines.tensorrt.runner import TensorRtEngine
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import EngineError
from isaac_inference.models import read_card

SETTINGS = TensorRtSettings(precision='fp16', device=1)


@pytest.fixture
def card(tmp_path):
    return read_card(write_model(tmp_path / 'm.onnx', 'yolov8'))


@pytest.fixture
def asked(monkeypatch):
    """What the cache was asked for; it has an engine of whatever is asked."""
    questions = []

    def ensure_engine(card, settings):
        questions.append((card, settings))
        return SimpleNamespace(path=Path('/cache/m.engine'), read=lambda: b'plan of the cache')

    monkeypatch.setattr(factory, 'ensure_engine', ensure_engine)
    return questions


@pytest.fixture
def loaded(monkeypatch):
    """The plans that were to be loaded; none can be."""
    plans = []

    def load_plan(trt, logger, gpu, plan, card, settings):
        plans.append(plan)
        raise EngineError('a stand-in loads nothing')

    monkeypatch.setitem(sys.modules, 'isaac_inference.cuda.device', SimpleNamespace(gpu=lambda ordinal: Device()))
    monkeypatch.setattr(runner, 'compat', SimpleNamespace(load=lambda: None, init_plugins=lambda trt, logger: None))
    monkeypatch.setattr(runner, 'trt_logger', lambda: None)
    monkeypatch.setattr(runner, 'load_plan', load_plan)
    return plans


def test_making_an_engine_builds_nothing_and_each_open_asks_the_cache(card, asked, loaded):
    engine = factory.make_engine(card, SETTINGS)
    assert asked == [] and engine.settings is SETTINGS and engine.gpu_ordinal == 1
    for _ in range(2):
        with pytest.raises(EngineError, match='loads nothing'):
            engine.open()
    assert asked == [(card, SETTINGS)] * 2
    assert [plan.content for plan in loaded] == [b'plan of the cache'] * 2


def test_a_plan_of_the_cache_says_how_it_is_built_again(card, asked):
    plan = factory.find_plan(card, SETTINGS)
    assert plan.origin == '/cache/m.engine'
    assert plan.remedy == (
        f'remove /cache/m.engine and build it again with: isaac-inference build {card.path} --precision fp16 --device 1'
    )


def test_an_engine_that_is_given_its_plan_asks_nobody(card, asked, loaded):
    plan = Plan(b'another plan', 'a bundle')
    with pytest.raises(EngineError, match='loads nothing'):
        TensorRtEngine(card, plan).open()
    assert loaded == [plan] and asked == [] and 'another' not in repr(plan)


@pytest.mark.parametrize(
    ('auto_build', 'found', 'begins'), [(True, None, True), (True, 'engine', False), (False, None, False)]
)
def test_a_build_begins_where_there_is_no_engine_and_one_may_be_built(card, monkeypatch, auto_build, found, begins):
    monkeypatch.setattr(factory, 'find_engine', lambda card, settings: found)
    monkeypatch.setattr(factory, 'BackgroundBuild', lambda card, settings: (card, settings))
    settings = TensorRtSettings(auto_build=auto_build)
    assert factory.start_build(card, settings) == ((card, settings) if begins else None)
