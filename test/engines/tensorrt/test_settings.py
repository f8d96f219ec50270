# SPDX-License-Identifier: Apache-2.0
"""TensorRT's settings: defaults, what is refused, and what makes another engine."""

from __future__ import annotations

import dataclasses

import pytest

from isaac_inference.engines.settings import settings_info
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError


def test_every_setting_says_what_it_is():
    assert set(settings_info(TensorRtSettings)) == {item.name for item in dataclasses.fields(TensorRtSettings)}
    for name, info in settings_info(TensorRtSettings).items():
        assert info.description.endswith('.'), name


@pytest.mark.parametrize(('preset', 'level'), [('fastest', 0), ('balanced', 3), ('best', 5)])
def test_a_preset_is_an_optimization_level(preset, level):
    assert TensorRtSettings(preset=preset).level == level
    assert TensorRtSettings(preset=preset, optimization_level=2).level == 2
    same = TensorRtSettings(optimization_level=level).key_options()
    assert TensorRtSettings(preset=preset).key_options() == same


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'precision': 'int8'}, 'precision.*int8.*model, fp16'),
        ({'preset': 'fast'}, 'preset.*fastest, balanced, best'),
        ({'optimization_level': 6}, 'optimization_level.*6.*-1 to 5'),
        ({'optimization_level': True}, 'optimization_level.*expected int'),
        ({'workspace_mib': -1}, 'workspace_mib.*0 or more MiB'),
        ({'workspace_mib': 1.5}, 'workspace_mib.*expected int'),
        ({'min_batch': 2}, 'min_batch, opt_batch, max_batch: got 2, 1, 1.*rise'),
        ({'max_batch': 0}, 'max_batch.*1 or more'),
        ({'min_wh': (640, 0)}, 'min_wh.*width and height'),
        ({'min_wh': 640}, 'min_wh.*width and height'),
        ({'min_wh': (640, 640), 'max_wh': (1280, 320)}, 'min_wh, opt_wh, max_wh.*rise'),
        ({'tactic_sources': ('MAGIC',)}, 'tactic_sources.*MAGIC.*JIT_CONVOLUTIONS'),
        ({'min_agreement': 1.5}, 'min_agreement.*-1 to 1'),
        ({'min_agreement': float('nan')}, 'min_agreement'),
        ({'priority': 'urgent'}, 'priority.*low, normal, elevated, high'),
        ({'contexts': 0}, 'contexts.*1 to 16'),
        ({'cuda_graph': 1}, 'cuda_graph.*expected bool'),
    ],
)
def test_what_makes_no_sense_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TensorRtSettings(**values)


def test_values_as_parameters_give_them_are_taken():
    settings = TensorRtSettings(min_wh=[320, 240], tactic_sources=['jit_convolutions', ''], min_agreement=1)
    assert settings.min_wh == (320, 240) and settings.tactic_sources == ('JIT_CONVOLUTIONS',)


@pytest.mark.parametrize(
    'change',
    [
        {'optimization_level': 0},
        {'workspace_mib': 512},
        {'dla_core': 0},
        {'version_compatible': True},
        {'hardware_compatible': True},
        {'tactic_sources': ('CUDNN',)},
        {'sparsity': True},
        {'detailed_profile': True},
    ],
)
def test_what_changes_the_engine_is_in_its_key(change):
    assert TensorRtSettings(**change).key_options() != TensorRtSettings().key_options()


@pytest.mark.parametrize(
    'change',
    [{'contexts': 4}, {'priority': 'high'}, {'cuda_graph': False}, {'auto_build': False}, {'memory_limit_mib': 9}],
)
def test_how_an_engine_is_run_is_not_in_its_key(change):
    assert TensorRtSettings(**change).key_options() == TensorRtSettings().key_options()


def test_the_order_of_tactic_sources_means_nothing():
    names = ('JIT_CONVOLUTIONS', 'EDGE_MASK_CONVOLUTIONS')
    assert (
        TensorRtSettings(tactic_sources=names).key_options()
        == TensorRtSettings(tactic_sources=names[::-1]).key_options()
    )
