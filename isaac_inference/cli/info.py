# SPDX-License-Identifier: Apache-2.0
"""isaac-inference info: the model card, and where each value came from."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from isaac_inference.cli.shared.console import console
from isaac_inference.cli.shared.model_remarks import probe_on_cpu
from isaac_inference.models import ModelCard, read_card
from isaac_inference.models.card.describe import card_rows


def add_command(commands: Any) -> None:
    """Add `info` to the command line."""
    command = commands.add_parser('info', help='print a model card, where each value came from, and what one run shows')
    command.add_argument('model', help='ONNX file')
    command.add_argument('--card', default='', help='YAML card; default: beside the model')
    command.add_argument('--no-run', action='store_true', help='only read the files: do not run the model on a picture')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Print the card."""
    card = read_card(arguments.model, arguments.card or None)
    table = Table('field', 'value', 'from', title=f'{card.name}: what the pipeline knows of it')
    for row in card_rows(card):
        table.add_row(*row)
    if not arguments.no_run:
        for row in _probe_rows(card):
            table.add_row(*row)
    console().print(table)
    return 0


def _probe_rows(card: ModelCard) -> list[tuple[str, str, str]]:
    """What the model finds on a picture of a street."""
    report, where = probe_on_cpu(card)
    if report is None:
        return [('probe', f'not run: {where}', '')]
    rows = [('probe', report.summary(), f'a picture of a street, {where}')]
    return rows + [(f'probe.{finding.name}', finding.sentence, '') for finding in report.findings]
