# SPDX-License-Identifier: Apache-2.0
"""The pages that people read: every file and folder that they name exists, and every link leads somewhere."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from support.paths import PACKAGE, ROOT

PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').glob('*.md'), *(ROOT / 'interfaces').glob('*.md')])
README = ROOT / 'README.md'
FIRST_NODE = ROOT / 'docs' / 'first_node.md'
NAMED = re.compile(r'`([\w./-]+/[\w./*<>-]*|[\w-]+\.(?:py|cu|md|yaml|xml|cfg))`')
LINK = re.compile(r'\]\((?!https?:|mailto:|#)([^)#\s]+)')
# what a user has or makes, and what is a topic, an option's value or a path on a robot
FOREIGN = re.compile(
    r'^(/|~|\w+_msgs/|isaac_ros_tensor_list_interfaces/msg|build/|photos/|truth/|track/|pose/|depth/|skeletons/|keypoints_3d/|sensor_depth/|ground/|left/|fused/|rectified/|detection/|annotate/|'
    r'image/|timing/)|my_|counter_node|<'
)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    missing = set()
    for name in NAMED.findall(page.read_text(encoding='utf-8')):
        if FOREIGN.search(name):
            continue
        places = (ROOT, PACKAGE, PACKAGE / 'ros', page.parent, ROOT / 'test')
        if not any(list(place.glob(name.rstrip('/'))) for place in places):
            missing.add(name)
    assert missing == set()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = LINK.findall(page.read_text(encoding='utf-8'))
    assert {link for link in links if not (page.parent / link).exists()} == set()


def test_the_page_of_models_is_what_the_tables_and_the_last_measurement_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmark.families.page import PAGE, models_page

    stored = json.loads((ROOT / 'benchmark' / 'results' / 'families.json').read_text())
    assert PAGE.read_text() == models_page(stored), 'renew it with `python -m benchmark --report`'
    right, _, count = stored['figures'][0]['measured'].split()
    assert f'Of {count} files' in README.read_text() and f'{right} need no card' in README.read_text()


def test_the_first_node_works(ros, tmp_path, monkeypatch):
    """The node and the test that docs/first_node.md shows, as they stand there."""
    node, shown_test = re.findall(r'```python\n(.*?)```', FIRST_NODE.read_text(encoding='utf-8'), flags=re.DOTALL)
    (tmp_path / 'counter_node.py').write_text(node)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {}
    exec(compile(shown_test, str(FIRST_NODE), 'exec'), names)
    names['test_small_boxes_do_not_count'](ros)
    assert sys.modules.pop('counter_node').__file__ == str(tmp_path / 'counter_node.py')


def test_the_first_node_is_short():
    assert len(FIRST_NODE.read_text(encoding='utf-8').splitlines()) < 60
