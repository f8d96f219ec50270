# SPDX-License-Identifier: Apache-2.0
"""isaac-inference info: the model card, and where each value came from."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from isaac_inference.cli.shared.console import console
from isaac_inference.models import read_card
from isaac_inference.models.card.describe import card_rows


def add_command(commands: Any) -> None:
    """Add `info` to the command line."""
    command = commands.add_parser('info', help='print a model card and where each value came from')
    command.add_argument('model', help='ONNX file')
    command.add_argument('--card', default='', help='YAML card; default: beside the model')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Print the card."""
    card = read_card(arguments.model, arguments.card or None)
    table = Table('field', 'value', 'from', title=f'{card.name}: what the pipeline knows of it')
    for row in card_rows(card):
        table.add_row(*row)
    console().print(table)
    return 0
