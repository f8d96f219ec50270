# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of a run: loss, errors, and how much is answered, over time.

python training/completion/plot.py run/log.jsonl training/results/completion/curves.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('log', type=Path)
    parser.add_argument('output', type=Path)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.log.read_text().splitlines() if line.strip()]
    steps = [line for line in lines if line['kind'] == 'step']
    tests = [line for line in lines if line['kind'] in ('validation', 'end')]
    figure, (loss, errors, answered) = plt.subplots(1, 3, figsize=(15, 4.2), layout='constrained')
    loss.plot([line['minutes'] for line in steps], [line['loss'] for line in steps])
    loss.set(title='training loss', xlabel='minutes')
    for name in ('holes', 'holes_sure', 'read_sure', 'as_read'):
        errors.plot([line['step'] for line in tests], [100 * line[name] for line in tests], label=name)
    errors.set(title='relative error, %', yscale='log', xlabel='steps')
    for name in ('holes_answered', 'read_answered', 'invented'):
        answered.plot([line['step'] for line in tests], [line[name] for line in tests], label=name)
    answered.set(title='part of the pixels that it is sure of', ylim=(0, 1.02), xlabel='steps')
    for axes in (errors, answered):
        axes.legend()
    for axes in (loss, errors, answered):
        axes.grid(alpha=0.3)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, dpi=100)


if __name__ == '__main__':
    main()
