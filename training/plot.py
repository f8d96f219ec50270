# SPDX-License-Identifier: Apache-2.0
"""Draw the curves of a run: loss, detection figures and corner errors over time.

python training/plot.py run/log.jsonl training/results/curves.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

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
    train = [line for line in lines if line['kind'] == 'train']
    tests = [line for line in lines if line['kind'] == 'validation']
    figure, (loss, found, corners) = plt.subplots(1, 3, figsize=(15, 4.2), layout='constrained')
    for part in ('loss', 'classes', 'boxes', 'guess', 'refined', 'pose', 'masks', 'quality'):
        curve(loss, train, part)
    loss.set(title='training loss (refined corners count double at the end)', yscale='log')
    for part in ('ap50', 'recall', 'precision', 'near', 'mask_iou'):
        curve(found, tests, part)
    found.set(title='detection, poses and masks on the validation set', ylim=(0.6, 1.02))
    for part in ('guess_median_px', 'median_px', 'mean_px', 'p90_px'):
        curve(corners, tests, part)
    corners.set(title='corner error, px of 640x480', yscale='log')
    for axes in (loss, found, corners):
        axes.set_xlabel('minutes')
        axes.grid(alpha=0.3, which='both')
        axes.legend()
    figure.savefig(options.output, dpi=90)


def curve(axes: Any, lines: list[dict[str, Any]], name: str) -> None:
    """One value over time, where it is there."""
    points = [(line['elapsed'] / 60, line[name]) for line in lines if line.get(name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1)


if __name__ == '__main__':
    main()
