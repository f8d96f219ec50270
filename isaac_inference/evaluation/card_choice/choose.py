# SPDX-License-Identifier: Apache-2.0
"""From a model and pictures to the card that the pictures speak for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from isaac_inference.engines import Engine
from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.accuracy.yolo_labels import LabelFolder
from isaac_inference.evaluation.card_choice.candidates import MOST, Candidate, CandidateMaker
from isaac_inference.evaluation.card_choice.ranking import Ranking, rank
from isaac_inference.evaluation.card_choice.trial import PictureResult, run_trials
from isaac_inference.pictures import DamagedPictureError, FrameSource, SourceFrame


@dataclass
class Sample:
    """Some pictures of a source, evenly spread over it, which may be gone through several times.

    Attributes:
        source: a folder, a picture or a video.
        most: number of pictures; 0 for all.
        damaged: names of those that cannot be read.
    """

    source: FrameSource
    most: int = 0
    damaged: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """Pictures in one pass; 0 where a video does not say."""
        return min(len(self.source), self.most or len(self.source))

    def __iter__(self) -> Iterator[SourceFrame]:
        total = len(self.source)
        wanted = {place * total // len(self) for place in range(len(self))} if total else None
        for place, frame in enumerate(self.source):
            if wanted is None and self.most and place >= self.most:
                return
            if wanted is not None and place not in wanted:
                continue
            if isinstance(frame, DamagedPictureError):
                self.damaged.add(str(frame.name))
            else:
                yield frame


def choose_card(
    maker: CandidateMaker,
    engine: Engine,
    pictures: Iterable[SourceFrame],
    labels: LabelFolder | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Ranking:
    """Tries the candidates of a model on pictures: all conventions with all that is assumed besides; then what
    differs from the best in one property.

    Args:
        maker: of the model's candidates.
        engine: open, of `maker.current`.
        pictures: gone through several times.
        labels: true boxes of some of the pictures; the others are then left out.
        advance: called after each picture of each pass.

    Raises:
        ConfigError: no picture, none with labels, or a malformed label file.
        EngineError: the engine failed.
    """
    trial = _Trial(engine, pictures, labels, advance)
    conventions, others = maker.conventions(), maker.others()
    is_product = len(conventions) * len(others) <= MOST
    trial.add(maker.with_others(conventions, others) if is_product else conventions)
    if not is_product:
        trial.add(maker.with_others([trial.ranking().chosen.candidate], others)[1:])
    trial.add(maker.variants(trial.ranking().chosen.candidate, trial.candidates))
    return trial.ranking()


@dataclass
class _Trial:
    """What has been tried so far."""

    engine: Engine
    pictures: Iterable[SourceFrame]
    labels: LabelFolder | None
    advance: Callable[[], None]
    candidates: list[Candidate] = field(default_factory=list)
    results: list[list[PictureResult]] = field(default_factory=list)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Try further candidates."""
        results = run_trials(self.engine, candidates, self.pictures, self.labels, self.advance)
        if candidates and not results[0]:
            which = 'no picture can be read' if self.labels is None else 'no picture has a label file'
            raise ConfigError(f'images: {which}; expected pictures to try the cards on')
        self.candidates += candidates
        self.results += results

    def ranking(self) -> Ranking:
        """The judgement on all that was tried."""
        return rank(self.candidates, self.results, self.labels is not None)
