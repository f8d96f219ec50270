# SPDX-License-Identifier: Apache-2.0
"""Train the network that completes depth within a wall-clock budget, on nothing but the project's simulator.

    PYTHONPATH=. python training/completion/train.py --out run --minutes 15

The learning rate follows the time that has passed. Progress goes to OUT/log.jsonl, weights to OUT/final.pt.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from frames import Producers, Ring, packed
from model import CompletionNet, ModelSettings, parameter_count
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from isaac_inference.sim.completion import completion_sample

VALIDATION_SEEDS = range(100, 164)
EMA_DECAY = 0.999
HOLE_WEIGHT = 4.0
"""Of a pixel that nothing was read of, beside one that was."""
SURE = 0.01
"""Relative spread below which the validation takes an answer."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--batch', type=int, default=48)
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--warm-up', type=int, default=300, help='steps until the full learning rate')
    parser.add_argument('--weight-decay', type=float, default=0.02)
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument('--ring', type=int, default=20_000, help='frames kept, 3.4 MB each')
    parser.add_argument('--first', type=int, default=1500, help='frames to have before the first step')
    parser.add_argument('--validate-s', type=float, default=60)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    options = parser.parse_args()
    if not cv2.__version__.startswith('4.'):
        raise SystemExit(f'OpenCV: got {cv2.__version__}, expected 4.x, whose letters the objects are painted with')
    options.out.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context('fork').Pool(options.workers) as pool:  # before anything touches CUDA
        frames = pool.map(_validation_frame, VALIDATION_SEEDS)
    producers = Producers(options.workers, options.seed)
    device = torch.device(options.device)
    stacked = [torch.stack([torch.from_numpy(part.copy()) for part in parts]) for parts in zip(*frames, strict=True)]
    validation = (stacked[0].permute(0, 3, 1, 2).float() / 255, stacked[1][:, None], stacked[2][:, None])
    train(options, producers, device, validation)


def _validation_frame(seed: int) -> tuple[Any, ...]:
    return packed(completion_sample(seed))


def train(
    options: argparse.Namespace, producers: Producers, device: torch.device, validation: tuple[Tensor, ...]
) -> None:
    """The run itself."""
    log = (options.out / 'log.jsonl').open('a', buffering=1)

    def say(**values: Any) -> None:
        line = json.dumps(
            {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()}
        )
        log.write(line + '\n')
        print(line, flush=True)

    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    generator = torch.Generator().manual_seed(options.seed)
    model = CompletionNet(ModelSettings()).to(device, memory_format=torch.channels_last)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    ring = Ring(options.ring, device)
    ring.fill_from(producers)
    while ring.produced < options.first:
        time.sleep(0.2)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    say(kind='start', parameters=parameter_count(model), device=str(device), frames=ring.produced)
    begin = last_log = last_check = time.monotonic()
    step, progress = 0, 0.0
    while progress < 1.0 and not stop:
        progress = (time.monotonic() - begin) / (60 * options.minutes)
        rate = options.lr * min(1.0, (step + 1) / options.warm_up) * (0.01 + 0.495 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group['lr'] = rate
        parts = _step(model, optimizer, ring.drawn(options.batch, generator))
        averaged.update_parameters(model)
        step += 1
        now = time.monotonic()
        if now - last_log > 10.0:
            last_log = now
            say(kind='step', step=step, minutes=(now - begin) / 60, frames=ring.produced, lr=rate,
                **{name: float(value) for name, value in parts.items()})  # fmt: skip
        if now - last_check > options.validate_s or progress >= 1.0:
            last_check = now
            say(kind='validation', step=step, **validate(averaged.module, validation, device))
            _save(options.out / 'final.pt', averaged.module, step, options.seed)
    _save(options.out / 'final.pt', averaged.module, step, options.seed)
    say(kind='end', step=step, **validate(averaged.module, validation, device))


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor, Tensor]
) -> dict[str, Tensor]:
    color, measured, truth = batch
    color = color.contiguous(memory_format=torch.channels_last)
    with torch.autocast(color.device.type, torch.bfloat16, enabled=color.device.type == 'cuda'):
        answer, spread, unit = model(color, measured)
    loss, parts = loss_of(answer, spread, unit, measured, truth)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    if torch.isfinite(norm):
        optimizer.step()
    return {**parts, 'grad_norm': norm}


def loss_of(
    answer: Tensor, spread: Tensor, unit: Tensor, measured: Tensor, truth: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Likelihood of the truth under Laplace's distribution, in relative inverse depth.

    Each pixel's is weighed by the root of its spread, or what is nearly exact would be all that counts. Where there is
    no truth, nothing is in the camera's range, and the network shall not be sure.
    """
    there, hole = truth > 0, measured <= 0
    target = torch.where(there, 1.0 / (truth.clamp(min=1e-3) * unit), answer.detach())
    error = ((answer - target).abs() / target).clamp(max=1.0)
    own = spread.exp().detach()
    likelihood = (error / spread.exp() + spread) * own.sqrt() * 4.0 + error
    weights = there * torch.where(hole, HOLE_WEIGHT, 1.0)
    loss = (likelihood * weights).sum() / weights.sum().clamp(min=1.0)
    nothing = (~there).float()
    unsure = (nothing * (-1.0 - spread).clamp(min=0.0)).sum() / spread.numel()
    filled = there & hole
    in_holes = (error * filled).sum() / filled.sum().clamp(min=1)
    return loss + 0.3 * unsure, {'loss': loss.detach(), 'unsure': unsure.detach(), 'holes': in_holes.detach()}


@torch.no_grad()
def validate(model: nn.Module, validation: tuple[Tensor, ...], device: torch.device) -> dict[str, float]:
    """Mean over frames, in holes: relative error of all answers, of the sure ones, and how many of them are sure; and
    the relative error of sure answers where something was read, beside that of the reading.
    """
    model.eval()
    rows = []
    for color, measured, truth in zip(*(part.split(4) for part in validation), strict=True):
        color, measured, truth = (part.to(device) for part in (color, measured, truth))
        answer, spread, unit = model(color, measured)
        depth = 1.0 / (answer * unit)
        for index in range(len(color)):
            there, hole = truth[index] > 0, measured[index] <= 0
            error, sure = (depth[index] - truth[index]).abs() / truth[index], spread[index] < math.log(SURE)
            filled, read = there & hole, there & ~hole
            off = ((measured[index] - truth[index]).abs() / truth[index])[read].mean()
            rows.append(
                (
                    error[filled].mean(), error[filled & sure].mean(), sure[filled].float().mean(),
                    error[read & sure].mean(), sure[read].float().mean(), off, sure[~there].float().mean(),
                )
            )  # fmt: skip
    names = ('holes', 'holes_sure', 'holes_answered', 'read_sure', 'read_answered', 'as_read', 'invented')
    return {name: float(torch.stack(part).nanmean()) for name, part in zip(names, zip(*rows, strict=True), strict=True)}


def _save(path: Path, model: nn.Module, step: int, seed: int) -> None:
    part = path.with_suffix('.part')
    torch.save({'settings': model.settings.to_dict(), 'ema': model.state_dict(), 'step': step, 'seed': seed}, part)
    part.replace(path)


if __name__ == '__main__':
    main()
