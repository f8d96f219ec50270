# SPDX-License-Identifier: Apache-2.0
"""What a command says of a model beside its own results: what its card takes for granted, what a probe of it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from isaac_inference.errors import PerceptionError
from isaac_inference.models.card.card import ModelCard

if TYPE_CHECKING:
    from isaac_inference.engines import Engine
    from isaac_inference.evaluation.probe import ProbeReport


def print_assumptions(screen: Console, *cards: ModelCard) -> None:
    """The notes and assumptions of each card, each once."""
    for text in dict.fromkeys(text for card in cards for text in _remarks(card)):
        screen.print(text, style='yellow')


def print_probe(screen: Console, card: ModelCard, engine: Engine) -> None:
    """What a probe of a model found, on an open engine."""
    from isaac_inference.evaluation.probe import probe

    report = probe(card, engine)
    screen.print(f'{engine.name}: on a picture of a street: {report.summary()}')
    for finding in report.findings:
        screen.print(f'{engine.name}: {finding.name}: {finding.sentence}', style='yellow')


def probe_on_cpu(card: ModelCard) -> tuple[ProbeReport | None, str]:
    """(what a probe found, the engine that ran it); (None, why not) where nothing can run the model here."""
    from isaac_inference.engines import create_engine
    from isaac_inference.engines.registry import on_cpu
    from isaac_inference.evaluation.probe import probe

    try:
        backend, settings = on_cpu()
        with create_engine(card, backend, settings=settings) as engine:
            return probe(card, engine), f'{engine.backend}, {engine.device}'
    except PerceptionError as error:
        return None, str(error)


def _remarks(card: ModelCard) -> list[str]:
    texts = [*card.notes, *(assumption.text() for assumption in card.assumptions)]
    return [f'model {card.name}: {text}' for text in texts]
