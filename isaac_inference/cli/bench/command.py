# SPDX-License-Identifier: Apache-2.0
"""isaac-inference bench: how fast an engine is, alone or against another one."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any

from isaac_inference.cli.bench.measure import BenchSettings, bench_feeds, layer_times, measure_in_turn
from isaac_inference.cli.bench.report import BenchReport, BenchRow, print_report, save_plot
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.engine_choice import add_engine_arguments, card_of, engine_choices
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.cli.shared.model_remarks import print_assumptions
from isaac_inference.engines import Engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.environment import environment, model_bytes

_DEFAULTS = BenchSettings()


def add_command(commands: Any) -> None:
    """Add `bench` to the command line."""
    command = commands.add_parser('bench', help='measure an engine: time, throughput, memory, power')
    command.add_argument('model', metavar='MODEL', help='ONNX file')
    command.add_argument('--against', default='', metavar='OTHER', help='ONNX file that is measured in turn with it')
    add_engine_arguments(command)
    command.add_argument('--batch', default='1', metavar='1,2,4', help='images at once, one measurement each')
    command.add_argument('--runs', type=int, default=_DEFAULTS.runs, metavar='N', help='timings, at each batch size')
    command.add_argument(
        '--seconds',
        type=float,
        default=_DEFAULTS.seconds,
        metavar='S',
        help='longest time for them, at each batch size',
    )
    command.add_argument('--warm-up', type=int, default=_DEFAULTS.warm_up, metavar='N', help='calls before')
    command.add_argument('--layers', action='store_true', help='the time of each layer, where the backend tells it')
    command.add_argument('--json', default='', metavar='OUT', help='write the figures to this file ("-": stdout)')
    command.add_argument('--plot', default='', metavar='OUT.png', help='write a picture of the figures')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Measure; 0 when it could."""
    settings = BenchSettings(arguments.runs, arguments.seconds, arguments.warm_up)
    batches = parse_batches(arguments.batch)
    same_file = arguments.against and Path(arguments.against).resolve() == Path(arguments.model).resolve()
    cards = {'model': card_of(arguments.model, arguments.card)}
    if arguments.against:
        other = arguments.against_card or (arguments.card if same_file else '')
        cards['against'] = card_of(arguments.against, other)
    elif arguments.against_backend:
        raise ConfigError('--against-backend: only with --against OTHER; name the same file to compare two backends')
    for card in cards.values():
        bench_feeds(card, max(batches))  # refuses a batch that the model can't take before an engine is built for it
    choices = dict(zip(('model', 'against'), engine_choices(arguments, max(batches)), strict=True))
    screen = console(stderr=arguments.json == '-')
    print_assumptions(screen, *cards.values())
    engines: dict[str, Engine] = {}
    opening: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for name, card in cards.items():
            start = time.perf_counter()
            engines[name] = stack.enter_context(choices[name].engine(card, screen))
            opening[name] = time.perf_counter() - start
        rows = []
        with progress(screen, cards['model'].name, len(batches)) as advance:
            for batch in batches:
                rows.append(BenchRow(*measure_in_turn(engines, batch, settings)))
                advance()
        facts = {'open_s': opening, **environment(**engines)}
        facts['bytes'] = {name: model_bytes(engine) for name, engine in engines.items()}
        layers = {name: layer_times(engine) for name, engine in engines.items()} if arguments.layers else {}
    report = BenchReport(settings, tuple(rows), layers, facts)
    print_report(screen, report)
    if arguments.plot:
        screen.print(f'plot: {save_plot(report, arguments.plot)}')
    write_json(arguments.json, report.summary())
    return 0


def parse_batches(text: str) -> list[int]:
    """'1,2,4' as numbers, rising, each once; raises ConfigError for anything else."""
    try:
        batches = sorted({int(part) for part in text.split(',')})
    except ValueError:
        batches = []
    if not batches or batches[0] < 1:
        raise ConfigError(f'--batch: got {text!r}, expected whole numbers of 1 or more, such as 1,2,4')
    return batches
