# SPDX-License-Identifier: Apache-2.0
"""isaac-inference calibrate-card: which preparation of images a model was trained with, tried on pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from isaac_inference.cli.calibrate_card.card_text import sections_of, with_lines
from isaac_inference.cli.calibrate_card.report import print_ranking, verdict
from isaac_inference.cli.calibrate_card.sheet import write_sheet
from isaac_inference.cli.shared.boxes import need_boxes
from isaac_inference.cli.shared.console import console, progress
from isaac_inference.cli.shared.engine_choice import add_one_engine_arguments, engine_choice
from isaac_inference.cli.shared.json_file import write_json
from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.card_choice.candidates import PREPROCESS, Candidate, CandidateMaker, same_input
from isaac_inference.evaluation.card_choice.choose import Sample, choose_card
from isaac_inference.evaluation.card_choice.ranking import CONFIDENCE, MIN_PICTURES, Ranking, summary
from isaac_inference.models.card.card_file import parse_card
from isaac_inference.models.card.find_card import card_beside, find_card
from isaac_inference.models.reader import read_sources
from isaac_inference.models.recognition.infer import build_card
from isaac_inference.ros.recording.picture_source import picture_source

_MOST = 32
_PASSES = 2  # over the pictures: the conventions, then what is close to the best
_DESCRIPTION = f"""An ONNX file does not say how its images must be prepared: the order of the colours, their scale,
mean and std, letterbox or stretch. Without a card a convention is assumed. This command tries all conventions on
pictures of yours, shows what each finds, and writes the one that the pictures speak for into the model's card. Give it
at least {MIN_PICTURES} pictures, better 20, that show what the model was trained to find, in colour and in the camera's
shape."""
_EPILOG = f"""Without --labels the score of a candidate is the number of boxes per picture that the network also finds
in the mirrored picture, each by its IoU and scores, less those that it does not find there and less what chance
confirms. With --labels it is F1 at IoU 0.5, each box by its score. The result is clear when the best score is ahead in
{100 * CONFIDENCE:.0f} of 100 resamplings of the pictures. Where only the place of the image on the input is not told
apart, the convention likelier for this kind of model is taken. Exit status: 0 for a clear result, 1 for one that is
not."""


def add_command(commands: Any) -> None:
    """Add `calibrate-card` to the command line."""
    command = commands.add_parser(
        'calibrate-card',
        help='find out on pictures how a model wants its images prepared, and write its card',
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    command.add_argument('model', metavar='MODEL', help='ONNX file')
    command.add_argument('--images', required=True, metavar='DIR', help='folder of pictures, a video, or a recording')
    command.add_argument('--image-topic', default='', metavar='NAME', help='image topic, if the recording has several')
    command.add_argument('--labels', default='', metavar='DIR', help='YOLO text files of the true boxes of pictures')
    command.add_argument('--card', default='', metavar='CARD', help='YAML card to begin with; default: beside MODEL')
    command.add_argument(
        '--out', default='', metavar='CARD.yaml', help='where to write; default: --card, or the card beside the model'
    )
    command.add_argument('--sheet', default='', metavar='SHEET.jpg', help='draw what the best candidates find')
    command.add_argument(
        '--max-images',
        type=int,
        default=_MOST,
        metavar='N',
        help=f'N pictures, evenly spread; 0: all; default: {_MOST}',
    )
    command.add_argument(
        '--force', action='store_true', help='write although the result is not clear or the card says it already'
    )
    command.add_argument('--json', default='', metavar='OUT', help='write the figures to this file ("-": stdout)')
    add_one_engine_arguments(command, 'onnxruntime')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Try the candidates, print them and write the card; 0 if the result is clear, 1 if not."""
    if arguments.max_images < 0:
        raise ConfigError(f'--max-images: got {arguments.max_images}, expected 0 or more')
    source = picture_source(arguments.images, arguments.image_topic)
    if source.is_live:
        raise ConfigError('--images: got a camera, expected pictures or a video that all candidates see alike')
    file, values = read_sources(arguments.model, arguments.card or None)
    maker = CandidateMaker(file, values)
    need_boxes(maker.current, 'calibrate-card: judges by the boxes that are found')
    sample = Sample(source, arguments.max_images)
    labels = LabelFolder(arguments.labels, maker.current.labels) if arguments.labels else None
    screen = console(stderr=arguments.json == '-')
    with (
        engine_choice(arguments).engine(maker.current, screen) as engine,
        progress(screen, maker.current.name, _PASSES * len(sample) or None) as advance,
    ):
        ranking = choose_card(maker, engine, sample, labels, advance)
    print_ranking(screen, ranking, maker.current.name)
    if sample.damaged:
        screen.print(f'{len(sample.damaged)} pictures cannot be read: {", ".join(sorted(sample.damaged)[:5])}')
    for lines, reason in maker.refused.items():
        screen.print(f'not tried: {lines}: {reason}')
    if arguments.sheet:
        screen.print(f'sheet: {write_sheet(arguments.sheet, ranking, sample)}')
    screen.print(verdict(ranking))
    write_json(arguments.json, summary(ranking))
    if ranking.doubt and not arguments.force:
        print('error: the result is not clear, no card was written (--force writes it anyway)', file=sys.stderr)
        return 1
    _write(arguments, ranking, screen)
    return 1 if ranking.doubt else 0


def _write(arguments: argparse.Namespace, ranking: Ranking, screen: Console) -> None:
    """The chosen lines into the card file.

    Raises:
        ConfigError: the card says it already, or cannot be edited.
    """
    chosen = ranking.chosen.candidate
    model = chosen.card.path
    target = _target(arguments, model)
    text = _text_of(target)
    new = chosen.yaml_lines()
    present = [section for section in new if section in sections_of(text)]
    if present and chosen.is_current:
        screen.print(f'{target} says so already; nothing was written')
        return
    shown = '\n  '.join(new.values())
    if present and not arguments.force:
        raise ConfigError(
            f'{target}: has a section {", ".join(present)} already, nothing was written. --force replaces it by:\n  '
            f'{shown}'
        )
    if set(present) - {PREPROCESS}:
        raise ConfigError(
            f'{target}: its section {", ".join(sorted(set(present) - {PREPROCESS}))} is not replaced, because it may '
            f'say more; write these lines by hand:\n  {shown}'
        )
    count = len(ranking.chosen.results)
    text = with_lines(text, new, f'by isaac-inference calibrate-card on {count} pictures')
    _check(arguments, text, target, chosen)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding='utf-8')
    screen.print(f'written to {target}:\n  {shown}')


def _target(arguments: argparse.Namespace, model: Path) -> Path:
    """The card file to write: --out, --card, the one beside the model, or a new one there."""
    if arguments.out:
        return Path(arguments.out).expanduser()
    if arguments.card:
        return find_card(arguments.card)
    return card_beside(model) or model.with_suffix('.yaml')


def _text_of(path: Path) -> str:
    """The card's text; '' where there is none yet."""
    try:
        return path.read_text(encoding='utf-8') if path.is_file() else ''
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path}: cannot be read as text ({error})') from error


def _check(arguments: argparse.Namespace, text: str, target: Path, chosen: Candidate) -> None:
    """Raise ConfigError unless the model, read with the new text, is prepared and decoded as chosen."""
    file, values = read_sources(arguments.model, arguments.card or None)
    used = [card_beside(file.path), find_card(arguments.card) if arguments.card else None]
    if any(item is not None and item.resolve() == target.resolve() for item in used):
        values = {key: item for key, item in values.items() if item.source != f'card {target.name}'}
    try:
        card = build_card(file, {**values, **parse_card(text, target.name, target.parent)})
    except ModelError as error:
        raise ConfigError(f'{target}: cannot be edited safely, nothing was written: {error}') from error
    if card.spec != chosen.card.spec or not same_input(card.image.preprocess, chosen.card.image.preprocess):
        other = {item.source for key, item in values.items() if key.startswith(f'{PREPROCESS}.')}
        raise ConfigError(
            f'{target}: another card says more about the preparation ({", ".join(sorted(other))}), so that these lines '
            f'alone would not do what was tried; remove its section {PREPROCESS} first. Nothing was written'
        )
