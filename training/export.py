# SPDX-License-Identifier: Apache-2.0
"""Write the trained model as one ONNX file that holds its own model card.

PYTHONPATH=. python training/export.py --weights run/final.pt --output demo_objects.onnx
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
from model import KEYPOINTS, ExportModel, ModelSettings, PoseDetector, fold_batch_norms

from isaac_inference.sim import KINDS, LABELS

OPSET, IR_VERSION = 17, 8
CARD_KEY = 'isaac_inference.card'
TOLERANCE = {'box and corners, px': 0.05, 'scores': 1e-3, 'masks': 1e-3}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weights', type=Path, help='final.pt or last.pt of a run; without it: random weights')
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--name', default='demo_objects', help='name in the model card')
    parser.add_argument('--refine-steps', type=int, help='corner refinements; default: as trained')
    options = parser.parse_args()
    state = torch.load(options.weights, map_location='cpu', weights_only=True) if options.weights else {}
    model = load(state)
    export(ExportModel(fold_batch_norms(model), options.refine_steps).eval(), options.output)
    finish(options.output, card(model.settings, options.name), training_notes(state))
    check(options.output, ExportModel(model, options.refine_steps).eval())
    print(f'{options.output}: {options.output.stat().st_size / 1e6:.2f} MB')


def load(state: dict[str, Any]) -> PoseDetector:
    """The averaged weights of a checkpoint, in eval mode."""
    values = dict(state.get('settings', ModelSettings().to_dict()))
    values['channels'] = tuple(values['channels'])
    model = PoseDetector(ModelSettings(**values))
    if state:
        model.load_state_dict(state['ema'])
    return model.eval()


def export(model: ExportModel, path: Path) -> None:
    """The bare ONNX file: `images` (1, 3, H, W) to `output0` (1, 4 + classes + 24 + P, N) and `output1` (1, P, H / 4,
    W / 4), the prototypes of the masks; fixed shapes.
    """
    settings = model.model.settings
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            model,
            (torch.rand(1, 3, settings.height, settings.width),),
            str(path),
            input_names=['images'],
            output_names=['output0', 'output1'],
            opset_version=OPSET,
            dynamo=False,
        )


def finish(path: Path, card_text: str, notes: str) -> None:
    """Leave out what only debugging needs, add the card, check the file."""
    proto = onnx.load(str(path))
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    proto.doc_string = proto.graph.doc_string = ''
    proto.graph.name = 'demo'
    del proto.graph.value_info[:], proto.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = node.name = ''
        if hasattr(node, 'metadata_props'):
            del node.metadata_props[:]
    onnx.helper.set_model_props(proto, {CARD_KEY: card_text, 'training': notes})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def card(settings: ModelSettings, name: str) -> str:
    """The model card as YAML; every value in YAML's flow style, which is JSON."""
    flow = json.dumps
    lines = [
        f'name: {name}',
        'task: keypoints',
        'decoder: yolov8_pose',
        f'labels: {flow(list(LABELS))}',
        f'keypoints: {flow({"count": KEYPOINTS, "dims": 3, "model": "cuboid8"})}',
        f'masks: {flow({"form": "prototypes", "channels": settings.prototypes})}',
        'preprocess: {color: rgb, scale: 1/255, fit: letterbox, interpolation: linear}',
        'objects:',
    ]
    if len(LABELS) != settings.class_count:
        raise SystemExit(f'{len(LABELS)} labels for {settings.class_count} classes: the model is of another catalog')
    for label in LABELS:
        kind = KINDS[label]
        entry: dict[str, Any] = {'size': [round(float(side), 6) for side in kind.size], 'shape': kind.shape}
        if kind.symmetries:
            entry['symmetry'] = [{'axis': turn.axis, 'order': int(turn.order)} for turn in kind.symmetries]
        lines.append(f'  {label}: {flow(entry)}')
    return '\n'.join(lines) + '\n'


def training_notes(state: dict[str, Any]) -> str:
    """What the weights come from, as JSON."""
    notes = {'data': 'isaac_inference.sim'}
    notes |= {key: state[key] for key in ('seed', 'step', 'elapsed') if key in state}
    return json.dumps(notes)


def check(path: Path, model: ExportModel) -> None:
    """Compare with PyTorch where ONNX Runtime is installed; SystemExit for a difference that matters."""
    try:
        import onnxruntime
    except ImportError:
        print('onnxruntime is not installed: the file was checked, but not run')
        return
    settings = model.model.settings
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    rng = np.random.default_rng(0)
    coarse = rng.random((1, 3, settings.height // 32, settings.width // 32), np.float32)
    images = torch.nn.functional.interpolate(torch.from_numpy(coarse), scale_factor=32, mode='bilinear')
    with torch.no_grad():
        expected, maps = (output.numpy()[0] for output in model(images))
    got, got_maps = (output[0] for output in session.run(None, {'images': images.numpy()}))
    # cells of equal score may come in another order: compare each with the nearest in place
    distance = np.abs(expected[:2, :, None] - got[:2, None]).sum(0)
    got = got[:, distance.argmin(1)]
    count = 4 + settings.class_count
    corners = count + 3 * KEYPOINTS
    scores = np.r_[4:count, count + 2 : corners : 3]
    others = np.arange(corners, len(got))
    pixels = np.setdiff1d(np.arange(corners), scores)
    usable = distance.min(1) < 1.0  # the last cells can differ where their scores are equal
    worst = {
        'box and corners, px': float(np.abs(expected[pixels] - got[pixels])[:, usable].max()),
        'scores': float(np.abs(expected[scores] - got[scores])[:, usable].max()),
        'masks': float(max(np.abs(expected[others] - got[others])[:, usable].max(), np.abs(maps - got_maps).max())),
    }
    print(f'largest difference from PyTorch over {int(usable.sum())} of {len(usable)} rows: {worst}')
    if any(worst[key] > TOLERANCE[key] for key in worst) or usable.mean() < 0.9:
        raise SystemExit(f'{path}: differs from PyTorch by {worst}, allowed {TOLERANCE}')


if __name__ == '__main__':
    main()
