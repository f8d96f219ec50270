# SPDX-License-Identifier: Apache-2.0
"""How many frames run together: beyond what a model or a profile takes is an error that says so."""

from __future__ import annotations

import pytest
from support.onnx_models import write_model

from isaac_inference.engines.onnxruntime.settings import OnnxRuntimeSettings
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError
from isaac_inference.models import read_card
from isaac_inference.serving.streams.limits import check_batch, settings_for


@pytest.fixture(scope='module')
def fixed(tmp_path_factory):
    return read_card(write_model(tmp_path_factory.mktemp('fixed') / 'one.onnx', 'yolov8'))


@pytest.fixture(scope='module')
def dynamic(tmp_path_factory):
    return read_card(write_model(tmp_path_factory.mktemp('open') / 'any.onnx', 'yolov8', dynamic='batch'))


def batches(settings):
    return settings.min_batch, settings.opt_batch, settings.max_batch


@pytest.mark.parametrize(
    ('asked', 'streams', 'expected'),
    [(0, 4, (1, 4, 4)), (2, 4, (1, 2, 2)), (8, 4, (1, 4, 4)), (0, 1, (1, 1, 1)), (1, 4, (1, 1, 1))],
)
def test_an_engine_is_built_for_the_streams(dynamic, asked, streams, expected):
    assert batches(settings_for(TensorRtSettings(), dynamic, asked, streams, 'tensorrt')) == expected


def test_a_profile_that_was_given_stays_and_bounds_the_batch(dynamic):
    given = TensorRtSettings(min_batch=1, opt_batch=2, max_batch=3)
    for asked in (0, 3):
        assert settings_for(given, dynamic, asked, 8, 'tensorrt') is given
    with pytest.raises(ConfigError, match='max_batch: got 4, but model any takes at most 3 images at once; tensorrt'):
        settings_for(given, dynamic, 4, 8, 'tensorrt')


@pytest.mark.parametrize('settings', [TensorRtSettings(), OnnxRuntimeSettings()])
def test_a_model_of_one_image_takes_one(fixed, settings):
    assert settings_for(settings, fixed, 0, 4, 'x') is settings
    assert settings_for(settings, fixed, 1, 4, 'x') is settings
    with pytest.raises(ConfigError, match='got 2, but model one takes at most 1 image at once; export it with a dyn'):
        settings_for(settings, fixed, 2, 4, 'x')


def test_onnx_runtime_takes_any_number(dynamic):
    assert settings_for(OnnxRuntimeSettings(), dynamic, 64, 64, 'onnxruntime').largest_batch == 1
    check_batch(64, None, dynamic)
