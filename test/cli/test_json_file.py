# SPDX-License-Identifier: Apache-2.0
"""Where `--json` writes."""

from __future__ import annotations

import json

import pytest

from isaac_inference.cli.shared.json_file import write_json


def test_a_file_in_a_new_folder_stdout_or_nowhere(tmp_path, capsys):
    path = tmp_path / 'new' / 'figures.json'
    write_json(path, {'ms': 1.5})
    assert json.loads(path.read_text(encoding='utf-8')) == {'ms': 1.5}
    write_json('', {'ms': 1.5})
    assert capsys.readouterr().out == ''
    write_json('-', {'ms': 1.5})
    assert json.loads(capsys.readouterr().out) == {'ms': 1.5}


def test_what_json_does_not_have_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match='JSON'):
        write_json(tmp_path / 'figures.json', {'ms': float('nan')})
    assert not list(tmp_path.iterdir())
