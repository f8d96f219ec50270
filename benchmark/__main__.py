# SPDX-License-Identifier: Apache-2.0
"""python -m benchmark [names...] [--quick]: runs benchmarks, prints tables, writes plots, JSON and the report.

`pipeline`, `poses`, `depth`, `people`, `serving`, `families` and `gpu` are names, too, of all benchmarks of a kind.

Each benchmark runs in a process of its own. A full run writes to benchmark/results and renews benchmark/README.md;
a quick one, for a look, writes to build/benchmark.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from benchmark.support import report
from benchmark.support.common import RESULTS, ROOT, Options, Result, SkippedError
from benchmark.support.machine import describe
from isaac_inference.cuda.availability import why_no_gpu

GROUPS = {
    'pipeline': (
        'geometry',
        'agreement',
        'precision',
        'overhead',
        'preprocess',
        'decode_nms',
        'class_mask',
        'backlog',
        'transport',
        'executors',
        'demo',
    ),
    'poses': (
        'accuracy',
        'seeds',
        'masks',
        'pnp',
        'covariance',
        'depth_units',
        'depth_method',
        'registration',
        'meshes',
        'pose_node',
        'tracking',
        'fusion',
        'simulator',
    ),
    'depth': ('stereo', 'mono', 'completion'),
    'people': ('crops', 'joints'),
    'serving': ('streams', 'stream_faults', 'priorities'),
    'families': ('families',),
    'gpu': (
        'gpu_chain',
        'gpu_tasks',
        'gpu_graph',
        'gpu_stages',
        'gpu_segmentation',
        'gpu_batch',
        'gpu_precision',
        'gpu_endurance',
        'gpu_streams',
    ),
}
NAMES = tuple(name for names in GROUPS.values() for name in names)
QUICK_RESULTS = ROOT / 'build' / 'benchmark'
_WIDTH = 150  # characters, where there is no terminal
console = Console(width=None if sys.stdout.isatty() else _WIDTH)


def main() -> int:
    """Run what the command line asks for."""
    arguments = _parse()
    options = Options(
        arguments.quick,
        arguments.model,
        arguments.images,
        arguments.results or str(QUICK_RESULTS if arguments.quick else RESULTS),
        arguments.pose_model,
        arguments.preset,
        arguments.tactic_sources,
    )
    if arguments.worker:
        _work(arguments.worker, options)
        return 0
    names = arguments.names or [name for name in GROUPS if name != 'gpu' or not why_no_gpu()]
    asked = [part for name in names for part in GROUPS.get(name, (name,))]
    failed = [] if arguments.report else [name for name in asked if not _run(name, options)]
    results = report.load(Path(options.results), GROUPS)
    console.print(_summary([stored for part in results.values() for stored in part]))
    report.write(results, Path(options.results), readme=not arguments.quick and not arguments.results)
    for name in failed:
        console.print(f'[red]{name} failed[/], its message is above')
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    defaults = Options()
    parser = argparse.ArgumentParser(prog='python -m benchmark', description='Measure; nothing is asserted.')
    parser.add_argument(
        'names',
        nargs='*',
        choices=[[], *GROUPS, *NAMES],
        metavar='name',
        help=f'which: {", ".join((*GROUPS, *NAMES))}; default: all',
    )
    parser.add_argument('--quick', action='store_true', help='short runs for a look; written to build/benchmark')
    parser.add_argument('--report', action='store_true', help='measure nothing, write the report from the JSON files')
    parser.add_argument(
        '--model', default=defaults.model, help='YOLOX ONNX file; default: data beside the repository, if present'
    )
    parser.add_argument('--images', default=defaults.images, help='photos with ground truth; default: as for --model')
    parser.add_argument('--pose-model', default='', help="ONNX file with keypoints; default: the package's own")
    parser.add_argument('--preset', default=defaults.preset, help="TensorRT's build: fastest, balanced or best")
    parser.add_argument('--tactic-sources', default='', help="TensorRT's tactic sources, with commas; default: its own")
    parser.add_argument('--results', default='', help='folder for plots and JSON files; leaves the README as it is')
    parser.add_argument('--worker', default='', help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(name: str, options: Options) -> bool:
    """One benchmark in a process of its own; whether it came to an end."""
    console.rule(f'{name} ({NAMES.index(name) + 1} of {len(NAMES)})')
    command = [
        sys.executable,
        '-m',
        'benchmark',
        '--worker',
        name,
        '--model',
        options.model,
        '--images',
        options.images,
        '--results',
        options.results,
        '--pose-model',
        options.pose_model,
        '--preset',
        options.preset,
        '--tactic-sources',
        options.tactic_sources,
        *(['--quick'] if options.quick else []),
    ]
    begin, busy, ours = time.monotonic(), _busy_s(), _children_s()
    code = subprocess.run(command, cwd=ROOT).returncode
    seconds = time.monotonic() - begin
    others = max(0.0, (_busy_s() - busy) - (_children_s() - ours)) / seconds / (psutil.cpu_count() or 1)
    path = Path(options.results) / f'{name}.json'
    if code or not path.is_file():
        return False
    content = json.loads(path.read_text())
    content.update(seconds=round(seconds), others_cpu_percent=round(100 * others))
    path.write_text(json.dumps(content, indent=1) + '\n')
    console.print(f'{name}: {seconds:.0f} s; other programs took {100 * others:.0f} % of the CPU meanwhile')
    return True


def _work(name: str, options: Options) -> None:
    """In the benchmark's own process: measure, print, write the JSON file."""
    group = next(group for group, names in GROUPS.items() if name in names)
    module = importlib.import_module(f'benchmark.{group}.{name}')
    try:
        result: Result = module.run(options)
    except SkippedError as reason:
        result = Result(name, module.TITLE, skipped=str(reason))
        console.print(f'[yellow]skipped[/]: {reason}')
    for table in result.tables:
        shown = RichTable(*map(escape, table.columns), title=escape(table.title))
        for column in shown.columns[1:]:
            column.justify = 'right'
        for row in table.rows:
            shown.add_row(*map(escape, row))
        console.print(shown)
    for note in result.notes:
        console.print(escape(note))
    content = {**dataclasses.asdict(result), 'quick': options.quick, 'machine': describe(), 'method': module.__doc__}
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}.json').write_text(json.dumps(report.plain(content), indent=1) + '\n')


def _summary(results: list[report.Stored]) -> RichTable:
    table = RichTable('figure', 'asked', 'measured', 'met', title='Figures')
    for stored in results:
        for figure in stored['figures']:
            color = {'met': 'green', 'short': 'red'}.get(report.verdict(figure), 'white')
            table.add_row(
                *(escape(figure[key]) for key in ('figure', 'asked', 'measured')),
                f'[{color}]{report.verdict(figure)}[/]',
            )
        if stored['skipped']:
            table.add_row(stored['title'], '', stored['skipped'], '[yellow]skipped[/]')
    return table


def _busy_s() -> float:
    """CPU seconds that this machine has spent on anything but idling."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _children_s() -> float:
    """CPU seconds of our own and all children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == '__main__':
    sys.exit(main())
