# SPDX-License-Identifier: Apache-2.0
"""Detector families: which files are recognised without a card, with class names alone, or not, and read right?

Files are built into build/families: layouts by hand, and the exports of real packages that are there already
(`python -m benchmark.families build/families`, in each package's own environment: see benchmark/families/README.md),
with random weights; and real models from data beside the repository. For each file:

- needs: nothing, class names alone ("labels"), a line that the card's own assumption names ("card"), or it is refused.
- boxes: the 100 best boxes of a run on coloured blocks, decoded through the card, against the family's own decode in
  plain NumPy: same box within 0.5 px, same score within 0.002, same class.
- images: whether the preparation of images is that of the project: stated (the file settles it), assumed (right, and
  said to be assumed), said (another one is assumed, and the right one is among the alternatives that are named), open
  (the project leaves it to whoever trains), or wrong.

"Silently wrong" is a file that is accepted although its boxes or images are wrong and nothing says so. Lines of a card
that an error gives are tried on the file.
"""

from __future__ import annotations

import contextlib
from collections import Counter

from benchmark.families import published
from benchmark.families.case import FamilyCase, MissingPackageError
from benchmark.families.catalog import all_cases
from benchmark.families.measure import Reading, read_family
from benchmark.support.common import ROOT, Figure, Options, Result, Table

TITLE = 'Detector families: which exports are recognised, and read right'
FOLDER = ROOT / 'build' / 'families'
TABLE = 'Families'
_ASKED, _OF = 36, 40


def run(options: Options) -> Result:
    """Measure every family whose file is there or can be built here."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    readings, missing = [], []
    for case in [*published.cases(), *all_cases()]:
        path = FOLDER / f'{case.name}.onnx'
        if not path.is_file() and (not case.real or case.note == published.NOTE):
            with contextlib.suppress(MissingPackageError):
                case.build(FOLDER)
        if path.is_file():
            readings.append(read_family(case, path))
        else:
            missing.append(case)
    return _result(readings, missing)


def _result(readings: list[Reading], missing: list[FamilyCase]) -> Result:
    """Figures and the table."""
    right = [item for item in readings if item.is_right]
    silent = [item for item in readings if item.is_silently_wrong]
    bad = [line for item in readings for line in item.bad_advice]
    advice = sum(len(item.advice) for item in readings)
    share = len(right) / max(1, len(readings))
    figures = [
        Figure(
            'files recognised without a card or with class names alone, and read right',
            f'at least {_ASKED} of {_OF}',
            f'{len(right)} of {len(readings)}',
            share >= _ASKED / _OF and len(right) >= _ASKED,
        ),
        Figure('files that are accepted and silently wrong', '0', str(len(silent)), not silent),
        Figure('lines of advice that do not work', '0', f'{len(bad)} of {advice}', not bad),
    ]
    table = Table(TABLE, ['export', 'made by', 'needs', 'read as', 'boxes', 'images'])
    for item in readings:
        needs = item.needs if item.needs != 'card' else f'`{item.lines[-1]}`'
        table.add(
            item.case.name, item.case.made_by, needs, item.decoder or '-', item.boxes or '-', item.preparation or '-'
        )
    refused = Table('Refused', ['export', 'because'])
    for item in readings:
        if item.needs == 'refused':
            refused.add(item.case.name, item.refusal)
    counts = Counter('real exports' if item.case.real else 'built by hand' for item in readings)
    notes = [', '.join(f'{count} {name}' for name, count in counts.items()) + '.']
    if missing:
        notes.append('Not there: ' + ', '.join(f'{case.name} ({case.made_by})' for case in missing) + '.')
    return Result('families', TITLE, tables=[table, refused], figures=figures, notes=notes)
