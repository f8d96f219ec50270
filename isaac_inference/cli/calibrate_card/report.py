# SPDX-License-Identifier: Apache-2.0
"""The candidates as a table, and what they come to in words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isaac_inference.evaluation.card_choice.ranking import MIN_SCORE, Entry, Ranking

_SHOWN = 16


def print_ranking(screen: Console, ranking: Ranking, model: str) -> None:
    """The table, the best first, and what it does not tell apart."""
    screen.print(_table(ranking, model))
    chosen = ranking.chosen
    leader = max(ranking.entries, key=lambda item: item.score)
    if chosen.score < MIN_SCORE:
        return
    if leader is not chosen:
        screen.print(
            f'{chosen.candidate.name} comes first although {leader.candidate.name} scores {leader.score:.3f}: the '
            'pictures do not tell them apart'
        )
    if ranking.tied:
        names = ', '.join(item.candidate.name for item in ranking.tied)
        screen.print(
            f'not told apart by these pictures: {chosen.candidate.name} and {names}. They give the network the same '
            'colours and values and only place the image otherwise (letterbox, stretch, padding); the one that is '
            'likelier for this kind of model is taken'
        )


def verdict(ranking: Ranking) -> str:
    """The result in one sentence, with what would make it clear where it is not."""
    chosen = ranking.chosen
    if not ranking.doubt:
        unit = 'F1' if ranking.has_labels else 'confirmed boxes per picture'
        now = ', which is in force now' if chosen.candidate.is_current else ''
        return (
            f'clear: {chosen.candidate.name} ({chosen.candidate.prepares}){now}: {chosen.score:.3f} {unit}; the best '
            f'candidate that means something else scores {ranking.margin:.0%} less than the best score'
        )
    return f'not clear: {ranking.doubt}. What would make it clear: {ranking.remedy}'


def _table(ranking: Ranking, model: str) -> Table:
    count = len(ranking.chosen.results)
    how = 'F1 at IoU 0.5' if ranking.has_labels else 'boxes per picture that the mirrored picture confirms, less others'
    table = Table(
        title=f'{model}: {len(ranking.entries)} candidate cards on {count} pictures',
        caption=f'score: {how}; ahead: how surely the best score is better than this one',
    )
    for name in ('candidate', 'prepares images as', ''):
        table.add_column(name)
    numbers = ['score', 'ahead', 'top score', 'boxes', 'empty'] + ['AP50', 'AP'] * ranking.has_labels
    for name in numbers:
        table.add_column(name, justify='right')
    shown = [item for place, item in enumerate(ranking.entries) if place < _SHOWN or item.candidate.is_current]
    for entry in shown:
        table.add_row(*_row(entry, ranking), style='bold green' if entry is ranking.chosen else None)
    return table


def _row(entry: Entry, ranking: Ranking) -> list[str]:
    marks = ['now'] if entry.candidate.is_current else []
    marks += ['tied'] if any(entry is item for item in (*ranking.tied, *ranking.rivals)) else []
    cells = [
        entry.candidate.name,
        entry.candidate.prepares,
        ', '.join(marks),
        f'{entry.score:.3f}',
        f'{entry.ahead:.0%}' if entry.ahead else '',
        f'{entry.top_score:.2f}',
        f'{entry.boxes:.1f}',
        f'{entry.empty:.0%}',
    ]
    precision = entry.precision
    if ranking.has_labels:
        values = (None, None) if precision is None else (precision.map50, precision.map50_95)
        cells += ['-' if value is None else f'{value:.3f}' for value in values]
    return cells
