# SPDX-License-Identifier: Apache-2.0
"""isaac-inference build: a TensorRT engine of a model, in the cache before a robot needs it."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from isaac_inference.cli.shared.build_progress import build_engine
from isaac_inference.cli.shared.console import console
from isaac_inference.cli.shared.model_remarks import print_assumptions, print_probe
from isaac_inference.cli.shared.tensorrt_options import add_tensorrt_options, tensorrt_settings
from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError, PerceptionError
from isaac_inference.models import ModelCard, read_card
from isaac_inference.pictures import FrameSource
from isaac_inference.ros.recording.picture_source import picture_source
from isaac_inference.store.engine_cache import CacheEntry, EngineCache


def add_command(commands: Any) -> None:
    """Add `build` to the command line."""
    command = commands.add_parser('build', help='build and check the TensorRT engine of a model, and keep it')
    command.add_argument('model', nargs='?', default='', metavar='MODEL', help='ONNX file')
    command.add_argument('--card', default='', metavar='FILE', help='YAML card; default: beside the model')
    command.add_argument(
        '--images',
        default='',
        metavar='DIR',
        help='also compare the boxes in these pictures with those of ONNX Runtime; a smaller share of equal boxes '
        'than --min-agreement removes the engine',
    )
    command.add_argument('--list', action='store_true', help='list the engines in the cache, and end')
    command.add_argument(
        '--clean', action='store_true', help='remove the engines of other TensorRT versions and other GPUs, and end'
    )
    command.add_argument('--image-topic', default='', metavar='NAME', help='image topic, if --images is a recording')
    add_tensorrt_options(command, without=('auto_build',))
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Build, list or clean."""
    screen = console()
    settings = tensorrt_settings(arguments)
    if arguments.list or arguments.clean:
        cache = EngineCache(settings.cache_dir)
        if arguments.clean:
            _clean(screen, cache, settings)
        else:
            _list(screen, cache)
        return 0
    if not arguments.model:
        raise ConfigError('MODEL: missing, expected an ONNX file (or --list, or --clean)')
    card = read_card(arguments.model, arguments.card or None)
    source = picture_source(arguments.images, arguments.image_topic) if arguments.images else None
    print_assumptions(screen, card)
    entry: CacheEntry = build_engine(screen, BackgroundBuild(card, settings))
    if source is not None:
        _check_boxes(screen, card, settings, entry, source)
    _probe(screen, card, settings)
    _show(screen, entry)
    return 0


def _probe(screen: Console, card: ModelCard, settings: TensorRtSettings) -> None:
    """What the new engine finds on a picture of a street; the engine is kept whatever that is."""
    from isaac_inference.engines import create_engine

    try:
        with create_engine(card, 'tensorrt', settings={'tensorrt': settings}) as engine:
            print_probe(screen, card, engine)
    except PerceptionError as error:
        screen.print(f'the engine could not be opened for a probe: {error}', style='yellow')


def _check_boxes(
    screen: Console, card: ModelCard, settings: TensorRtSettings, entry: CacheEntry, source: FrameSource
) -> None:
    """Compare the boxes that the engine finds with ONNX Runtime's; removes the engine where too few agree.

    Raises:
        EngineError: they don't, with the numbers.
    """
    from isaac_inference.engines import create_engine
    from isaac_inference.engines.registry import cpu_backend
    from isaac_inference.engines.tensorrt.build.ensure import least_agreement
    from isaac_inference.evaluation.agreement.compare import agreement_of
    from isaac_inference.evaluation.agreement.validation_result import ValidationSettings

    if source.is_live:
        raise ConfigError(f'--images: got the camera {source.source!r}, expected a folder of pictures')
    with (
        create_engine(card, 'tensorrt', settings={'tensorrt': settings}) as engine,
        create_engine(card, cpu_backend().name) as reference,
    ):
        result = agreement_of(engine, reference, source, ValidationSettings(runs=0))
    failure = result.failure(least_agreement(card, settings))
    if failure:
        EngineCache(settings.cache_dir).remove(entry)
        raise EngineError(f'{failure}; the engine was removed from the cache')
    screen.print(f'boxes of {len(result.images)} pictures: agreement {result.agreement:.4f}')


def _show(screen: Console, entry: CacheEntry) -> None:
    """The engine's path, alone on the last line, after its facts."""
    facts, key = entry.metadata, entry.metadata['key']
    table = Table('fact', 'value', title=f'{facts["model"]}: TensorRT engine')
    table.add_row('TensorRT, GPU', f'{key["tensorrt"]}, {key["gpu"]} (compute capability {key["compute_capability"]})')
    table.add_row('precision', key['precision'])
    for name, triple in key['shapes'].items():
        different = list(dict.fromkeys(str(shape) for shape in triple))
        table.add_row(f'input {name}', ' to '.join(different))
    table.add_row('optimization level', str(key['options']['optimization_level']))
    table.add_row('size', f'{facts["bytes"] / 2**20:.2f} MiB')
    if 'build_s' in facts:
        table.add_row('built', f'{facts["created"]}, in {facts["build_s"]} s')
    for name, value in (facts.get('outputs') or {}).items():
        table.add_row(f'output {name}', f'similarity to ONNX Runtime {value:.5f}')
    screen.print(table)
    screen.print(str(entry.path), soft_wrap=True)


def _list(screen: Console, cache: EngineCache) -> None:
    table = Table('model', 'precision', 'batch', 'level', 'TensorRT', 'GPU', 'MiB', 'built', 'file')
    for entry in cache.entries():
        facts, key = entry.metadata, entry.metadata['key']
        triple = next(iter(key['shapes'].values()), [[0]])
        table.add_row(
            facts['model'],
            key['precision'],
            '-'.join(dict.fromkeys(str(shape[0]) for shape in triple)),
            str(key['options'].get('optimization_level', '')),
            key['tensorrt'],
            key['gpu'],
            f'{facts["bytes"] / 2**20:.1f}',
            str(facts.get('created', '')),
            entry.path.name,
        )
    screen.print(table if table.rows else f'{cache.folder}: no engines')


def _clean(screen: Console, cache: EngineCache, settings: TensorRtSettings) -> None:
    from isaac_inference.cuda.device import gpu
    from isaac_inference.engines.tensorrt import compat

    ours = compat.load().__version__, gpu(settings.device).name
    for entry in cache.entries():
        key = entry.metadata['key']
        if (key['tensorrt'], key['gpu']) != ours:
            cache.remove(entry)
            screen.print(f'removed: {entry.metadata["model"]}, TensorRT {key["tensorrt"]}, {key["gpu"]}')
