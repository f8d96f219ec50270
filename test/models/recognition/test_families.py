# SPDX-License-Identifier: Apache-2.0
"""The layouts of the benchmark's families, against decodes that share no code with the package."""

from __future__ import annotations

import sys

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT))  # the benchmark is beside the package, not in it
from benchmark.families import catalog
from benchmark.families.measure import read_family

sys.path.remove(str(ROOT))

REFUSED = {'tiny_yolov2_zoo', 'yunet', 'retinaface', 'scrfd'}
NEEDS_A_LINE = {'yolov7_maps': 'decoder_options: {anchors: yolov4}'}  # named by the card's own assumption
CASES = catalog.all_cases(real=False)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_a_family_is_read_as_its_project_means_it(case, tmp_path):
    reading = read_family(case, case.build(tmp_path))
    assert not reading.bad_advice
    if case.name in REFUSED:
        assert reading.needs == 'refused' and 'fit no known detector' in reading.refusal
    elif case.name in NEEDS_A_LINE:
        assert reading.needs == 'card' and reading.lines[-1] == NEEDS_A_LINE[case.name]
        assert reading.boxes == 'equal' and not reading.is_silently_wrong
    else:
        assert reading.is_right, f'{reading.needs}, boxes {reading.boxes}, images {reading.preparation}'


def test_there_are_enough_of_them():
    assert len(CASES) >= 40
