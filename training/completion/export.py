# SPDX-License-Identifier: Apache-2.0
"""Write the trained network as one ONNX file that holds its own model card.

PYTHONPATH=. python training/completion/export.py --weights run/final.pt --output depth_completion.onnx
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from model import CompletionNet, ExportModel, ModelSettings
from torch import nn

from isaac_inference.sim.completion import completion_sample

OPSET, IR_VERSION = 17, 8
CARD_KEY = 'isaac_inference.card'
CARD = """\
name: depth_completion
task: depth_completion
preprocess: {color: rgb, scale: 1/255, mean: [0, 0, 0], std: [1, 1, 1], fit: letterbox, pad_value: 0}
depth: {unit: m}
"""
TOLERANCE = 1e-3
"""Relative difference of depth, and difference of confidence, from PyTorch: of the mean."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weights', type=Path, required=True, help='final.pt of a run')
    parser.add_argument('--output', type=Path, required=True)
    options = parser.parse_args()
    state = torch.load(options.weights, map_location='cpu', weights_only=True)
    model = load(state)
    export(ExportModel(model).eval(), options.output)
    finish(options.output, {key: state[key] for key in ('seed', 'step')})
    check(options.output, ExportModel(model).eval())
    print(f'{options.output}: {options.output.stat().st_size / 1e6:.2f} MB')


def load(state: dict[str, Any]) -> CompletionNet:
    """The averaged weights of a run, in eval mode."""
    values = dict(state['settings'])
    values['channels'] = tuple(values['channels'])
    model = CompletionNet(ModelSettings(**values))
    model.load_state_dict(state['ema'])
    return model.eval()


def export(model: nn.Module, path: Path) -> None:
    """The bare ONNX file: `image` (1, 3, H, W) and `depth` (1, 1, H, W) to `dense_depth` and `confidence`, (1, 1, H, W)
    each.
    """
    settings = model.model.settings
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (settings.height, settings.width)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            model,
            (torch.rand(1, 3, *size), torch.ones(1, 1, *size)),
            str(path),
            input_names=['image', 'depth'],
            output_names=['dense_depth', 'confidence'],
            opset_version=OPSET,
            dynamo=False,
        )


def finish(path: Path, notes: dict[str, Any]) -> None:
    """Leave out what only debugging needs, add the card, check the file."""
    proto = onnx.load(str(path))
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    proto.doc_string = proto.graph.doc_string = ''
    proto.graph.name = 'completion'
    del proto.graph.value_info[:], proto.metadata_props[:]
    kept = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    names: dict[str, str] = {name: name for name in kept}
    for node in proto.graph.node:
        node.doc_string = node.name = ''
        for field in (node.input, node.output):
            field[:] = [_short(name, names) for name in field]
        if hasattr(node, 'metadata_props'):
            del node.metadata_props[:]
    for tensor in proto.graph.initializer:
        tensor.name = _short(tensor.name, names)
    training = json.dumps({'data': 'isaac_inference.sim', **notes})
    onnx.helper.set_model_props(proto, {CARD_KEY: CARD, 'training': training})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def _short(name: str, names: dict[str, str]) -> str:
    """The name of a tensor inside of the file: exporters' own take a tenth of a megabyte."""
    return names.setdefault(name, f't{len(names)}') if name else name


def check(path: Path, model: nn.Module) -> None:
    """Compare with PyTorch where ONNX Runtime is installed; SystemExit for a difference that matters."""
    try:
        import onnxruntime
    except ImportError:
        print('onnxruntime is not installed: the file was checked, but not run')
        return
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    sample = completion_sample(1)
    image = np.ascontiguousarray(sample.color[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
    depth = np.nan_to_num(sample.measured)[None, None]
    with torch.no_grad():
        expected = [output.numpy() for output in model(torch.from_numpy(image), torch.from_numpy(depth))]
    got = session.run(None, {'image': image, 'depth': depth})
    off = (
        float(np.mean(np.abs(got[0] - expected[0]) / expected[0])),
        float(np.mean(np.abs(got[1] - expected[1]))),
    )
    print(f'mean difference from PyTorch: {off[0]:.2e} of depth, {off[1]:.2e} of confidence')
    if max(off) > TOLERANCE:
        raise SystemExit(f'{path}: differs from PyTorch by {off}, allowed {TOLERANCE}')


if __name__ == '__main__':
    main()
