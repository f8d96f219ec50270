# SPDX-License-Identifier: Apache-2.0
"""The YAML model card: what a model file cannot say. Every key is optional, unknown keys are refused.

    name: cup_detector                # for logs; default: the file's stem
    task: detection                   # or keypoints: detection, and keypoints with each box; or
                                      # instance_segmentation: detection, and a mask with each box; or
                                      # semantic_segmentation: a class for each pixel; or mono_depth, stereo_depth,
                                      # depth_completion; or top_down_keypoints: of the one person in the picture
    decoder: yolov8                   # see families.py; default: from metadata, shapes, names, the graph and one run
    decoder_options:                  # each decoder has its own
      box_format: xyxy                # or cxcywh, xywh, yxyx
      normalized: false               # boxes in fractions of the input
      activation: none                # what makes scores from the outputs: or sigmoid, softmax
      background: none                # which column of scores is "no object": or first, last
      first_label: 0                  # the class id of the first label: or 1
      unused: [3]                     # detr: class ids that no object has
      nms: true                       # boxes may overlap
      columns: [x1, y1, x2, y2, score, class]    # end_to_end
      strides: [8, 16, 32]            # yolox, nanodet: px between two grid cells
      cell_offset: 0                  # nanodet, anchor_free_heads: or 0.5, where in its cell a grid point lies
      distances: strides              # anchor_free_heads: or px
      anchors: yolov3                 # anchor_heads: or yolov4, yolov3_tiny, or a list of [w, h] for each level
      formula: v3                     # anchor_heads: or v5
      activated: false                # anchor_heads: the sigmoid is in the graph
    input: images                     # name of the image input, where there are several
    size_input: orig_target_sizes     # name of the input that takes the image size that boxes refer to
    images: {left: imgL, right: imgR} # names of the inputs of a stereo pair
    value_inputs: {scale_factor: s}   # or image_size, image_shape, pixel_mask, text_embeddings, depth: inputs beside
                                      # the image
    layout: NCHW                      # or NHWC
    input_size: [640, 480]            # [width, height] in px, for models of dynamic size
    outputs: {boxes: dets, logits: labels}    # decoder role: tensor name; scores or classes of a segmentation,
                                      # depth, disparity, and their confidence; of a top-down network keypoints, x and
                                      # y, or heatmaps, and presence
    labels: [cup, bottle]             # or a text file with one name per line, or coco80, coco90, coco91, voc21,
                                      # cityscapes19, ade150. A segmentation with one channel has one label
    activation: softmax               # of a semantic segmentation: what makes probabilities of its scores; sigmoid
                                      # where classes do not exclude each other, none where they are probabilities;
                                      # of a top-down network: what makes its confidences
    output_layout: NCHW               # of the scores of a semantic segmentation, and of heatmaps; or NHWC
    vocabulary:                       # of a model that takes its classes as text embeddings: where these come from
      embeddings: classes.npy         # (C, D), one row per label, fed as they are; relative to this card; or
      encoder: text_encoder.onnx      # made from the labels when the card is read, with this text encoder and
      tokenizer: tokenizer.json       # its tokenizer
      prompt: a photo of a {}         # what is encoded for a label; default: the label alone
      normalize: true                 # to length 1
      output: text_embeds             # of the encoder; last_hidden_state is averaged over the tokens
    depth:                            # what the numbers of a depth network mean
      kind: inverse                   # larger is nearer, 1 / depth up to scale and shift; relative: larger is farther,
                                      # up to scale and shift; metric: depth
      scale: 0.001                    # m (of inverse: 1/m) = scale * number + shift; of a relative or inverse network
      shift: 0                        # that is calibrated to one camera, or of one whose depth is not in m
      unit: mm                        # or m, cm: instead of scale, for metric depth and for depth completion
      unknown: 0                      # of depth completion: what stands for "no reading" in its depth input
    disparity: {scale: -1}            # px of the network's input that one unit of the output is; negative where
                                      # disparities are
    keypoints:                        # task keypoints: what each box has in addition; or of a top-down network
      count: 8
      dims: 3                         # x, y, confidence; 2 without the confidence
      model: cuboid8                  # they are the corners of the object's cuboid; left out for other points
      skeleton: coco17                # of people, or blazepose33, halpe26, wholebody133, mpii16, hand21; or
                                      # {names: [nose, ...], edges: [[nose, neck]], left: [], right: []}
      form: points                    # these and the following of a top-down network alone; or simcc, heatmaps
      columns: [y, x, confidence]     # points: what the values of each are; other for one that is not read
      extra: 6                        # points: how many more come after the keypoints and are not read
      unit: px                        # points: of the network's input; or fraction, of its width and height
      split_ratio: 2                  # simcc: bins for a px of the network's input; default: by their number
      grid: scaled                    # heatmaps: cell i is pixel i * stride (HRNet); corners: the outermost cells are
                                      # the outermost pixels (UDP, ViTPose); cells: a cell's centre
      presence_activation: none       # of the output that says whether anybody is there; or sigmoid
      min_presence: 0.5               # below it all confidences are 0
    masks:                            # of a model that gives a mask with each box, with keypoints or without
      form: prototypes                # [N, P, rows, columns], and P coefficients at the end of each row; or
                                      # crops [N, 1, size, size], each over its box; full [1, N, rows, columns], each
                                      # over the whole input. The outputs are named as prototypes or masks
      channels: 32                    # of prototypes: P
      activated: false                # true where the values are 0..1 already
    objects:                          # by class name, for poses; all lengths in metres
      cup:
        size: [0.08, 0.08, 0.12]      # along the axes of the object, whose origin is at the centre
        shape: cylinder               # or cuboid, sphere, mesh
        symmetry: [{axis: z, order: 0}]    # looks the same at any angle about z; order n: after 1/n of a turn; a
                                      # cylinder's and a sphere's are known, and [] says that it has none
        mesh: cup.ply                 # relative to this card, or to the model for an embedded card
        mesh_unit: m                  # or cm, mm, in
        mesh_origin: center           # of its bounding box; or file: poses are of the file's origin, as are keypoints
        keypoints: [[0, 0, 0.06], [0, 0, -0.06]]    # where the model's keypoints are, unless they are cuboid8
        tags: [{family: 36h11, id: 7, size: 0.08}]  # of a card without a model: see docs/tags.md
        tag_grid: {family: 36h11, columns: 6, rows: 6, size: 0.088, gap: 0.0264}
    preprocess:                       # out = (pixel * scale - mean) / std, mean and std in the order of color
      convention: rt_detr             # whose; see conventions.py. The other keys change single values of it
      color: rgb                      # or bgr
      scale: 1/255
      mean: [0.485, 0.456, 0.406]
      std: [0.229, 0.224, 0.225]
      fit: letterbox                  # or stretch, crop
      anchor: center                  # or top_left
      rounding: nearest               # or floor
      pad_value: 114                  # 0..255
      interpolation: linear           # or nearest, area, cubic

The same text may be in the ONNX file itself, as the metadata property `isaac_inference.card` (YAML or JSON).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ModelError
from isaac_inference.models.card import card_values as check
from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.labels import SHIPPED, label_file, labels_from
from isaac_inference.models.card.objects import OBJECT_KEYS
from isaac_inference.models.card.skeletons.read import skeleton
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tasks import (
    DEPTH_UNITS,
    KEYPOINT_MODELS,
    MASK_ROLES,
    SPECS,
    TOP_DOWN_ROLES,
    ClassForm,
    DepthKind,
    KeypointForm,
    MaskForm,
    PointUnit,
)
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Interpolation, Rounding, TensorLayout
from isaac_inference.ops.keypoints.confidence import ACTIVATIONS
from isaac_inference.ops.keypoints.decode_heatmaps import HeatmapGrid

EMBEDDED_KEY = 'isaac_inference.card'
_VOCABULARY_FILES = ('vocabulary.embeddings', 'vocabulary.encoder', 'vocabulary.tokenizer')
NEXT = '\n  and: '  # between two problems of a card
_SHOWN = 200  # characters of a wrong value

KEYS: Mapping[str, check.Check] = {
    'name': check.text,
    'task': check.task(*(task.value for task in SPECS)),
    'decoder': check.one_of(*FAMILIES),
    'input': check.text,
    'size_input': check.text,
    'layout': check.one_of(*TensorLayout),
    'input_size': check.size_wh,
    'activation': check.one_of('none', 'sigmoid', 'softmax'),
    'output_layout': check.one_of(*TensorLayout),
    'labels': check.anything,
    'objects': check.anything,
}
SECTIONS: Mapping[str, Mapping[str, check.Check]] = {
    'preprocess': {
        'color': check.one_of(*ColorOrder),
        'scale': check.factor,
        'mean': check.triple,
        'std': check.positive_triple,
        'fit': check.one_of(*Fit),
        'anchor': check.one_of(*Anchor),
        'rounding': check.one_of(*Rounding),
        'pad_value': check.byte,
        'interpolation': check.one_of(*Interpolation),
        'convention': check.one_of(*CONVENTIONS),
    },
    'keypoints': {
        'count': check.whole(1, 1000),
        'dims': check.whole(2, 3),
        'model': check.one_of(*KEYPOINT_MODELS),
        'skeleton': skeleton,
        'form': check.one_of(*KeypointForm),
        'columns': check.point_columns,
        'extra': check.whole(0, 1000),
        'unit': check.one_of(*PointUnit),
        'split_ratio': check.factor,
        'grid': check.one_of(*HeatmapGrid),
        'presence_activation': check.one_of(*ACTIVATIONS),
        'min_presence': check.number_from(0.0, 1.0),
    },
    'depth': {
        'kind': check.one_of(*DepthKind),
        'scale': check.nonzero,
        'shift': check.number,
        'unit': check.one_of(*DEPTH_UNITS),
        'unknown': check.number,
    },
    'disparity': {'scale': check.nonzero},
    'images': {'left': check.text, 'right': check.text},
    'masks': {
        'form': check.one_of(*MaskForm),
        'channels': check.whole(0, 1024),
        'activated': check.true_or_false,
    },
    'outputs': {
        **{role: check.text for family in FAMILIES.values() for role in family.all_roles},
        **dict.fromkeys((*MASK_ROLES, *ClassForm, 'depth', 'disparity', 'confidence', *TOP_DOWN_ROLES), check.text),
    },
    'value_inputs': dict.fromkeys(
        ('image_size', 'image_shape', 'scale_factor', 'pixel_mask', 'text_embeddings', 'depth'), check.text
    ),
    'vocabulary': {
        **dict.fromkeys(('embeddings', 'encoder', 'tokenizer', 'output'), check.text),
        'prompt': check.prompt,
        'normalize': check.true_or_false,
    },
    'decoder_options': {option: check.anything for family in FAMILIES.values() for option in family.options},
}


def read_card_file(path: Path) -> CardValues:
    """Read one YAML card; raises ModelError for anything in it that can't be used."""
    try:
        content = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f'card {path}: cannot be read as text ({error})') from error
    return parse_card(content, f'card {path.name}', path.parent)


def parse_card(content: str, origin: str, folder: Path | None, mesh_folder: Path | None = None) -> CardValues:
    """The values of a card's text.

    Args:
        content: YAML or JSON.
        origin: what to call the card in messages and sources.
        folder: where label files are looked for; None for an embedded card.
        mesh_folder: where meshes and the files of a vocabulary are looked for; None: in `folder`.
    """
    try:
        data = yaml.load(content, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ModelError(f'{origin}: not valid YAML: {" ".join(str(error).split())}') from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ModelError(f'{origin}: got {type(data).__name__}, expected keys and values such as `decoder: yolox`')
    values: dict[str, Sourced[Any]] = {}
    problems: list[ModelError] = []
    for key, value in data.items():
        try:
            if key in SECTIONS:
                values.update(_section(key, value, SECTIONS[key], origin))
            elif key == 'objects':
                values.update(_objects(value, origin, mesh_folder or folder))
            elif key == 'labels':
                values[key] = Sourced(labels_from(value, origin, folder), origin)
            elif key in KEYS:
                values[key] = Sourced(_checked(key, value, KEYS[key], origin), origin)
            else:
                raise ModelError(f'{origin}: unknown key {key!r}; {suggest(key, (*KEYS, *SECTIONS))}')
        except ModelError as error:
            problems.append(error)
    if problems:
        raise _all(problems, origin)
    for key in _VOCABULARY_FILES:
        if key in values:
            values[key] = Sourced(((mesh_folder or folder or Path()) / Path(values[key].value).expanduser()), origin)
    return values


def _all(problems: list[ModelError], origin: str) -> ModelError:
    """One error that says all of them; the only one as it is."""
    texts = [line for item in problems for line in str(item).removeprefix(f'{origin}: ').split(NEXT)]
    if len(texts) == 1:
        return problems[0]
    return ModelError(f'{origin}: {NEXT.join(texts)}')


def label_file_of(card: Path) -> Path | None:
    """The label file that a YAML card names, if any; used to notice when that file changes."""
    data = yaml.load(card.read_text(encoding='utf-8'), Loader=_StrictLoader)
    labels = data.get('labels') if isinstance(data, dict) else None
    return label_file(labels, card.parent) if isinstance(labels, str) and labels not in SHIPPED else None


def vocabulary_files_of(values: CardValues) -> list[Path]:
    """The files that a card's vocabulary is made from; used to notice when one of them changes."""
    found = [values[key].value for key in _VOCABULARY_FILES if key in values]
    return found + (weights_beside(values['vocabulary.encoder'].value) if 'vocabulary.encoder' in values else [])


def weights_beside(encoder: Path) -> list[Path]:
    """Where a text encoder's weights may be, under the names that exporters give such files."""
    return [encoder.with_name(encoder.name + suffix) for suffix in ('.data', '_data')]


def merge(cards: Iterable[CardValues]) -> CardValues:
    """One set of values from several cards, key by key; an earlier card wins."""
    merged: dict[str, Sourced[Any]] = {}
    for card in cards:
        for key, value in card.items():
            merged.setdefault(key, value)
    return merged


def suggest(key: Any, known: Iterable[str]) -> str:
    """The known name that looks most like `key`, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.6)
    return f'did you mean {close[0]!r}?' if close else f'known here: {", ".join(names)}'


def _objects(data: Any, origin: str, folder: Path | None) -> dict[str, Sourced[Any]]:
    """What the card says of each class's object, under 'objects.<class>.<key>'; a mesh as a path in `folder`."""
    if not isinstance(data, dict):
        raise ModelError(f'{origin}: objects: got {data!r}, expected class names with keys and values below each')
    values: dict[str, Sourced[Any]] = {}
    problems: list[ModelError] = []
    for name, fields in data.items():
        try:
            if not isinstance(name, str):
                raise ModelError(
                    f'{origin}: objects: the class {name!r} is read by YAML as {type(name).__name__}; put it in quotes'
                )
            values.update(_section(f'objects.{name}', fields, OBJECT_KEYS, origin))
        except ModelError as error:
            problems.append(error)
    if problems:
        raise _all(problems, origin)
    for key, sourced in values.items():
        if key.endswith('.mesh'):
            values[key] = Sourced((folder or Path()) / Path(sourced.value).expanduser(), origin)
    return values


def _section(section: str, data: Any, known: Mapping[str, check.Check], origin: str) -> dict[str, Sourced[Any]]:
    """The values of a nested section under flat keys."""
    if not isinstance(data, dict):
        raise ModelError(f'{origin}: {section}: got {data!r}, expected keys and values below it')
    values = {}
    problems: list[ModelError] = []
    for key, value in data.items():
        name = f'{section}.{key}'
        try:
            if key not in known:
                raise ModelError(f'{origin}: {section}: unknown key {key!r}; {suggest(key, known)}')
            values[name] = Sourced(_checked(name, value, known[key], origin), origin)
        except ModelError as error:
            problems.append(error)
    if problems:
        raise _all(problems, origin)
    return values


def _checked(name: str, value: Any, checker: check.Check, origin: str) -> Any:
    """One checked value, or a ModelError that names the key, its value and what is expected."""
    try:
        return checker(value)
    except ValueError as error:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f'{shown[:_SHOWN]}...'
        raise ModelError(f'{origin}: {name}: got {shown}, expected {error}') from error


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader that refuses a key given twice, where YAML itself would let the last one win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key.value!r} is given twice', key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)
