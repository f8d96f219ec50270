# SPDX-License-Identifier: Apache-2.0
"""Train the demo model within a wall-clock budget, on nothing but the project's simulator.

    PYTHONPATH=. python training/train.py --out run --minutes 20

The learning rate follows the time that has passed, so the run always ends well trained, however fast the machine.
Started again with the same --out it goes on where its last checkpoint was. Progress goes to OUT/log.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from assign import Targets
from data import Producers, Ring, augment, collect_validation
from evaluate import evaluate
from loss import LossWeights, total_loss
from model import ExportModel, ModelSettings, PoseDetector, parameter_count
from torch import Tensor, nn

FINE_PHASE = 0.7
"""From this part of the time on: little augmentation, and refined corners count double."""
EMA_DECAY = 0.9995
GUESSES = 128
"""Validation pictures on which the unrefined corners are measured too."""
EAGER_STEPS = 4
"""Steps before the capture: cuDNN tries its algorithms, the optimiser makes its state."""
LOG_S = 5.0
CHECKPOINT_S = 45.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoint, log and final weights')
    parser.add_argument('--minutes', type=float, default=20, help='length of the whole training, over all starts')
    parser.add_argument('--stop-after', type=float, default=math.inf, help='minutes after which this start ends')
    parser.add_argument('--max-steps', type=int, default=0, help='end after so many steps (for trying it out)')
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--warm-up', type=int, default=500, help='steps until the full learning rate')
    parser.add_argument('--weight-decay', type=float, default=0.02)
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument('--ring', type=int, default=150_000, help='pictures kept; less where memory is short')
    parser.add_argument('--first', type=int, default=4096, help='pictures to have before the first step')
    parser.add_argument('--validation', type=int, default=512, help='pictures in the fixed validation set')
    parser.add_argument('--validate-s', type=float, default=120, help='seconds between two validations')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--sampler', default='isaac_inference.sim:training_sample', help='module:function')
    parser.add_argument('--augment', type=float, default=1.0, help='strength, 0..1')
    parser.add_argument('--pose-weight', type=float, default=LossWeights.pose, help='of the loss of the pose')
    parser.add_argument('--no-graph', action='store_true', help='launch every kernel of a step from Python')
    parser.add_argument('--no-compile', action='store_true', help='do not torch.compile the convolutions on a GPU')
    parser.add_argument('--any-opencv', action='store_true', help='train with an OpenCV other than 4, too')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


class Log:
    """One JSON object a line in a file, and a short form of it on the screen."""

    def __init__(self, path: Path) -> None:
        self._file = path.open('a', buffering=1)

    def write(self, kind: str, **values: Any) -> None:
        """Add one line."""
        values = {key: round(value, 5) if isinstance(value, float) else value for key, value in values.items()}
        self._file.write(json.dumps({'kind': kind, **values}) + '\n')
        print(kind, ' '.join(f'{key}={value}' for key, value in values.items()), flush=True)


class Ema:
    """A running mean of the weights, which is what gets validated and exported."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @staticmethod
    def rate(step: int) -> float:
        """How far the mean moves in a step; faster in the beginning."""
        return 1 - min(EMA_DECAY, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, model: nn.Module, rate: Tensor) -> None:
        """Move a little towards the weights of now."""
        pairs = [
            (mine, other.detach())
            for mine, other in zip(_tensors(self.model), _tensors(model), strict=True)
            if mine.is_floating_point()
        ]
        mine = [pair[0] for pair in pairs]
        steps = torch._foreach_sub([pair[1] for pair in pairs], mine)
        torch._foreach_mul_(steps, rate)
        torch._foreach_add_(mine, steps)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


class Training:
    """The state of a run and its steps.

    Everything that a step depends on lies in tensors that stay where they are, so that on a GPU a whole step is
    captured once as a CUDA graph and only replayed: launched from Python, its thousand small kernels would leave the
    GPU waiting half of the time.
    """

    def __init__(self, options: argparse.Namespace, log: Log) -> None:
        self.options, self.log = options, log
        self.device = torch.device(options.device)
        self.settings = ModelSettings()
        torch.manual_seed(options.seed)
        self.model = PoseDetector(self.settings).to(self.device, memory_format=torch.channels_last)
        self.ema = Ema(self.model)
        self.weights = LossWeights(pose=options.pose_weight)
        self._rate, self._strength, self._refined, self._ema_rate = (
            torch.zeros((), device=self.device) for _ in range(4)
        )
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{'params': decayed, 'weight_decay': options.weight_decay}, {'params': others, 'weight_decay': 0.0}],
            lr=self._rate,
            capturable=self.device.type == 'cuda',
        )
        self.generator = torch.Generator(self.device)
        self.step, self.elapsed, self.starts, self.lr_factor = 0, 0.0, 0, 1.0
        self._inputs: tuple[Tensor, Targets] | None = None
        self._parts: dict[str, Tensor] = {}
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager_steps = 0
        self._good = self._state()

    @property
    def progress(self) -> float:
        """Part of the time that is used up, 0..1."""
        steps = self.step / self.options.max_steps if self.options.max_steps else 0.0
        return min(1.0, max(steps, self.elapsed / (60 * self.options.minutes)))

    @property
    def lr(self) -> float:
        """The learning rate of now."""
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress))
        return self.options.lr * self.lr_factor * min(1.0, (self.step + 1) / self.options.warm_up) * cosine

    def train_step(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """One step of the optimiser on images (B, H, W, 3) uint8; the parts of the loss, still on the device and
        overwritten by the next step.
        """
        fine = self.progress > FINE_PHASE
        self._rate.fill_(self.lr)
        self._strength.fill_(self.options.augment * (0.3 if fine else 1.0))
        self._refined.fill_(2.0 if fine else 1.0)
        self._ema_rate.fill_(Ema.rate(self.step + 1))
        if self._inputs is None:
            self._inputs = images, targets
        else:
            self._inputs[0].copy_(images)
            for name, value in vars(targets).items():
                getattr(self._inputs[1], name).copy_(value)
        if self._graph is not None:
            self._graph.replay()
        elif self.device.type != 'cuda' or self.options.no_graph:
            self._step()
        else:
            self._warm_or_capture()
        self.step += 1
        return self._parts

    def _warm_or_capture(self) -> None:
        """The first steps are launched one by one, on a stream of their own; then one is captured and replayed."""
        if self._eager_steps < EAGER_STEPS:
            self._eager_steps += 1
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._step()
            torch.cuda.current_stream().wait_stream(side)
            return
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):  # another thread fills the ring meanwhile
            self._step()
        self._graph = graph
        graph.replay()

    def _step(self) -> None:
        assert self._inputs is not None
        pixels, targets = self._inputs
        kind = torch.float16 if self.device.type == 'cuda' else torch.float32
        images = augment(pixels.permute(0, 3, 1, 2).to(kind) / 255, self._strength, self.generator)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == 'cuda', cache_enabled=False):
            raw = self.model(images)
        loss, parts = total_loss(self.model, raw, targets, self.weights, self._refined)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parts['grad_norm'] = nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.ema.update(self.model, self._ema_rate)
        self._parts = parts

    def validate(self, validation: tuple[Tensor, Any]) -> dict[str, Any]:
        """Figures of the averaged weights, with those of the unrefined guesses beside them."""
        figures = evaluate(ExportModel(self.ema.model), *validation)
        images, truth = validation
        guess = evaluate(ExportModel(self.ema.model, 0), images[:GUESSES], truth.first(GUESSES))
        return figures | {'guess_median_px': guess['median_px']}

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interruption leaves the former one."""
        part = path.with_suffix('.part')
        torch.save(self._state(), part)
        part.replace(path)

    def save_final(self, path: Path) -> None:
        """Write only what is exported."""
        state = {'settings': self.settings.to_dict(), 'ema': self.ema.model.state_dict(), 'step': self.step}
        torch.save(state | {'elapsed': self.elapsed, 'seed': self.options.seed}, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        self._restore(torch.load(path, map_location='cpu', weights_only=True))

    def keep(self) -> None:
        """Remember this state as one to fall back on."""
        self._good = copy.deepcopy(self._state())

    def fall_back(self) -> None:
        """Back to the last good state, from then on with half the learning rate; the time stays used."""
        elapsed, factor = self.elapsed, self.lr_factor / 2
        self._restore(copy.deepcopy(self._good))
        self.elapsed, self.lr_factor = elapsed, factor

    def _state(self) -> dict[str, Any]:
        return {
            'settings': self.settings.to_dict(),
            'model': self.model.state_dict(),
            'ema': self.ema.model.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'step': self.step,
            'elapsed': self.elapsed,
            'starts': self.starts,
            'lr_factor': self.lr_factor,
            'seed': self.options.seed,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state['model'])
        self.ema.model.load_state_dict(state['ema'])
        if self._graph is None:
            self.optimizer.load_state_dict(state['optimizer'])
            for group in self.optimizer.param_groups:
                group['lr'] = self._rate
        else:  # the graph knows these tensors by their place
            mine = self.optimizer.state_dict()['state']
            for key, values in state['optimizer']['state'].items():
                for name, value in values.items():
                    mine[key][name].copy_(value)
        self.step, self.elapsed = state['step'], state['elapsed']
        self.starts, self.lr_factor = state['starts'], state['lr_factor']


def main() -> None:
    """Start or resume a run, and end it at its time."""
    options = arguments()
    if not cv2.__version__.startswith('4.') and not options.any_opencv:
        raise SystemExit(
            f'OpenCV: got {cv2.__version__}, expected 4.x: version 5 draws text in other letters, so the objects would '
            'not look as they do where the model is used; install opencv-python-headless<5, or give --any-opencv'
        )
    options.out.mkdir(parents=True, exist_ok=True)
    log, checkpoint = Log(options.out / 'log.jsonl'), options.out / 'last.pt'
    starts = 0
    if checkpoint.exists():
        starts = int(torch.load(checkpoint, map_location='cpu', weights_only=True)['starts']) + 1
    module, _, function = options.sampler.partition(':')
    make = getattr(importlib.import_module(module), function)
    settings = ModelSettings()
    size = (settings.width, settings.height)
    # forked before CUDA starts; each start of a run draws other pictures
    producers = Producers(make, size, options.workers, options.validation, [options.seed, starts])
    try:
        run(options, log, checkpoint, starts, producers, size)
    finally:
        producers.stop()


def run(
    options: argparse.Namespace,
    log: Log,
    checkpoint: Path,
    starts: int,
    producers: Producers,
    size: tuple[int, int],
) -> None:
    """The training itself."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision('high')
    training = Training(options, log)
    if checkpoint.exists():
        training.load(checkpoint)
    training.starts = starts
    device = training.device
    validation = collect_validation(producers, options.validation)
    ring = Ring(ring_capacity(options.ring, size, device), size, device)
    ring.fill_from(producers)
    while ring.produced < options.first:
        check_producers(producers, ring)
        time.sleep(0.1)
    generator = torch.Generator(device).manual_seed(options.seed * 1000 + starts)
    training.generator.manual_seed(options.seed * 1000 + starts + 500)
    if device.type == 'cuda' and not options.no_compile:
        training.model.features = torch.compile(training.model.features)
    log.write(
        'start',
        parameters=parameter_count(training.model),
        batch=options.batch,
        seed=options.seed,
        start=starts,
        step=training.step,
        elapsed=training.elapsed,
        workers=producers.alive(),
        ring=len(ring._images),
        validation=len(validation[0]),
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu',
        torch=torch.__version__,
        opencv=cv2.__version__,
    )
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    training.keep()
    loop(training, ring, producers, validation, generator, checkpoint, stop)
    figures = training.validate(validation)
    log.write('validation', step=training.step, elapsed=training.elapsed, **figures)
    training.save(checkpoint)
    training.save_final(options.out / 'final.pt')
    log.write('end', step=training.step, elapsed=training.elapsed, done=training.progress >= 1, made=ring.produced)


def loop(
    training: Training,
    ring: Ring,
    producers: Producers,
    validation: tuple[Tensor, Any],
    generator: torch.Generator,
    checkpoint: Path,
    stop: list[int],
) -> None:
    """Steps until the time is over."""
    options, log = training.options, training.log
    begin = last = time.monotonic()
    logged = saved = validated = begin
    logged_step, logged_made = training.step, ring.produced
    while training.progress < 1 and not stop and last - begin < 60 * options.stop_after:
        images, targets = ring.sample(options.batch, generator)
        parts = training.train_step(images, targets)
        now = time.monotonic()
        training.elapsed += now - last
        last = now
        if now - logged > LOG_S or training.step == 1:
            values = {name: float(value) for name, value in parts.items()}  # waits for the device
            log.write(
                'train',
                step=training.step,
                elapsed=training.elapsed,
                **values,
                lr=training.lr,
                steps_per_s=(training.step - logged_step) / (now - logged + 1e-9),
                made_per_s=(ring.produced - logged_made) / (now - logged + 1e-9),
                ring=len(ring),
                workers=producers.alive(),
            )
            logged, logged_step, logged_made = now, training.step, ring.produced
            if not all(math.isfinite(value) for value in values.values()):
                log.write('fall_back', step=training.step)
                training.fall_back()
                logged_step = training.step
                continue
            if ring.failure:
                log.write('ring_failed', error=ring.failure)
                ring.failure = None
            if now - saved > CHECKPOINT_S:
                training.keep()
                training.save(checkpoint)
                saved = now
        if now - validated > options.validate_s:
            figures = training.validate(validation)
            log.write('validation', step=training.step, elapsed=training.elapsed, **figures)
            validated = time.monotonic()


def check_producers(producers: Producers, ring: Ring) -> None:
    """Raise where no picture can be expected any more."""
    if ring.failure:
        raise RuntimeError(f'pictures could not be taken over: {ring.failure}')
    if not producers.alive():
        raise RuntimeError('all producers have ended; the log above says why')


def ring_capacity(wanted: int, size: tuple[int, int], device: torch.device) -> int:
    """As many pictures as asked for, or as fit beside the training."""
    if device.type != 'cuda':
        return wanted
    free = torch.cuda.mem_get_info(device)[0] - 30 * 2**30
    return max(4096, min(wanted, int(free / (size[0] * size[1] * 3 + 1000))))


if __name__ == '__main__':
    main()
