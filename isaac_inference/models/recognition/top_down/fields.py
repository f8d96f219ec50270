# SPDX-License-Identifier: Apache-2.0
"""How a top-down network's keypoints are read: from a card, the known networks, the shapes, and one run's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.assumption import Assumption
from isaac_inference.models.card.skeletons.published import skeleton_of
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.card.sourced import CardValues, Sourced, values_of
from isaac_inference.models.card.tasks import (
    PRESENCE,
    TOP_DOWN_ROLES,
    KeypointForm,
    KeypointSpec,
    PointUnit,
    TopDownKeypointsSpec,
)
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import UnclearModelError
from isaac_inference.models.recognition.layouts import values as numbers
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.maps import known_shape
from isaac_inference.models.recognition.top_down.layouts import (
    TopDownLayout,
    find_top_down,
    heatmap_layouts,
    numbers_each,
)
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.keypoints.decode_heatmaps import HeatmapGrid

OF_FORM: Mapping[str, tuple[KeypointForm, ...]] = {
    **dict.fromkeys(('columns', 'extra', 'unit'), (KeypointForm.POINTS,)),
    'split_ratio': (KeypointForm.SIMCC,),
    'grid': (KeypointForm.HEATMAPS,),
}
"""Keys of a card's `keypoints` that only some forms have."""

_NOT_HERE = ('dims', 'model')  # of keypoints that come with boxes
_MOST_FRACTION = 2.0
_UDP_WORDS = ('vitpose', 'patch_embed')
_GRIDS = {
    HeatmapGrid.SCALED: 'SimpleBaseline, HRNet and others that are trained without UDP',
    HeatmapGrid.CORNERS: 'networks trained with UDP: ViTPose, HRNet-UDP',
    HeatmapGrid.CELLS: 'networks whose heatmaps are resized with the centres of cells at half units',
}
_ORDERS = {
    2: (('x', 'y'), ('y', 'x')),
    3: (('x', 'y', 'confidence'), ('y', 'x', 'confidence'), ('x', 'y', 'other')),
    4: (('x', 'y', 'other', 'confidence'),),
    5: (('x', 'y', 'other', 'confidence', 'confidence'),),
}


@dataclass
class Fields:
    """What is found of a spec, each with where it came from."""

    roles: dict[str, Sourced[TensorSpec]]
    form: Sourced[KeypointForm]
    values: dict[str, Sourced[Any]] = field(default_factory=dict)
    skeleton: Sourced[SkeletonSpec] | None = None
    count: Sourced[int] | None = None
    assumptions: list[Assumption] = field(default_factory=list)
    convention: str = ''

    def spec(self) -> TopDownKeypointsSpec:
        """The spec of these values."""
        values = values_of(self.values)
        columns = values.get('columns', ('confidence',))
        dims = 3 if self.form.value is not KeypointForm.POINTS or 'confidence' in columns else 2
        points = KeypointSpec(
            0 if self.count is None else self.count.value,
            dims,
            skeleton=None if self.skeleton is None else self.skeleton.value,
        )
        roles = {role: item.value.name for role, item in self.roles.items()}
        return TopDownKeypointsSpec(roles, form=self.form.value, keypoints=points, **values)

    def sources(self) -> dict[str, str]:
        """Where each part came from, under the names that a card has for them."""
        named = {'layout': 'output_layout', 'activation': 'activation'}
        found = {named.get(name, f'keypoints.{name}'): item.source for name, item in self.values.items()}
        found |= {f'roles.{role}': item.source for role, item in self.roles.items()}
        points = self.skeleton or self.count
        return {**found, 'keypoints.form': self.form.source, 'keypoints': '' if points is None else points.source}


def find_fields(evidence: Evidence, values: CardValues) -> Fields:
    """All of a spec.

    Raises:
        ModelError: the card contradicts the file or itself, or the outputs leave a choice.
    """
    given = _given_roles(evidence, values)
    layout = None if set(given) - {PRESENCE} else find_top_down(evidence)
    found = _start(evidence, values, given, layout)
    _check_keys(values, found.form)
    said = {} if layout is None or layout.form is not found.form.value else dict(layout.fields)
    why = '' if layout is None else layout.why
    if found.form.value is KeypointForm.POINTS:
        _points(evidence, values, found, said, why)
    else:
        _bins_or_maps(evidence, values, found, said, why)
    _skeleton(values, found, layout)
    _activations(evidence, values, found, said, why)
    return found


def _given_roles(evidence: Evidence, values: CardValues) -> dict[str, Sourced[TensorSpec]]:
    """The outputs that a card gives roles to."""
    by_name = {spec.name: spec for spec in evidence.file.outputs}
    found, wrong = {}, []
    for role in TOP_DOWN_ROLES:
        item = values.get(f'outputs.{role}')
        if item is not None and item.value in by_name:
            found[role] = Sourced(by_name[item.value], item.source)
        elif item is not None:
            wrong.append(f'{item.source}: outputs.{role}: {evidence.file.path.name} has no output {item.value!r}')
    if wrong:
        raise ModelError(f'{"; ".join(wrong)}; its outputs are: {", ".join(by_name)}')
    return found


def _start(
    evidence: Evidence,
    values: CardValues,
    given: Mapping[str, Sourced[TensorSpec]],
    layout: TopDownLayout | None,
) -> Fields:
    """The form, and which output plays which role."""
    form = _form(evidence, values, given, layout)
    strange = [role for role in given if role != PRESENCE and role not in form.value.roles]
    if strange:
        raise ModelError(
            f'{given[strange[0]].source}: outputs: {form.value.value} keypoints ({form.source}) have no role '
            f'{", ".join(strange)}; theirs are {", ".join((*form.value.roles, PRESENCE))}'
        )
    if layout is not None and layout.form is form.value:
        known = {role: Sourced(spec, layout.why) for role, spec in layout.roles.items()}
        return Fields({**known, **given}, form, convention=layout.convention)
    roles = dict(given)
    missing = [role for role in form.value.roles if role not in roles]
    if missing:
        roles |= _likely_roles(evidence, form.value, missing, roles)
    return Fields(roles, form)


def _form(
    evidence: Evidence,
    values: CardValues,
    given: Mapping[str, Sourced[TensorSpec]],
    layout: TopDownLayout | None,
) -> Sourced[KeypointForm]:
    """How the keypoints are put out: as the card says, as its other keys or roles say, or as the outputs show."""
    if 'keypoints.form' in values:
        item = values['keypoints.form']
        return Sourced(KeypointForm(item.value), item.source)
    for role, spec in given.items():
        form = next((form for form in KeypointForm if role in form.roles), None)
        if form is not None:
            return Sourced(form, f'outputs.{role} of {spec.source}')
    if layout is not None:
        return Sourced(layout.form, layout.why)
    for key, forms in OF_FORM.items():
        if f'keypoints.{key}' in values:
            return Sourced(forms[0], f'keypoints.{key} of {values[f"keypoints.{key}"].source}')
    ways = [form for form in KeypointForm if _outputs_for(evidence, form)]
    if len(ways) == 1:
        return Sourced(ways[0], 'shapes of the outputs')
    raise evidence.file.unclear(
        'the outputs do not show how the keypoints of a person are put out: as points [N, keypoints, 2 or more], as '
        'histograms over x and over y [N, keypoints, bins], or as heatmaps [N, keypoints, rows, columns]',
        *(f'keypoints: {{form: {form.value}}}' for form in ways or KeypointForm),
    )


def _outputs_for(evidence: Evidence, form: KeypointForm) -> list[TensorSpec]:
    """The outputs that may have keypoints of a form."""
    floats = [spec for spec in evidence.outputs if spec.dtype.startswith('float')]
    if form is KeypointForm.HEATMAPS:
        return [spec for spec in floats if heatmap_layouts(evidence, spec)]
    if form is KeypointForm.SIMCC:
        pair = [spec for spec in floats if len(spec.shape) == 3 and (spec.shape[2] or 0) > max(_ORDERS)]
        return pair if len(pair) == 2 else []
    rows = [spec for spec in floats if len(spec.shape) in (3, 4) and spec.shape[-1] in _ORDERS]
    return rows or [spec for spec in floats if len(spec.shape) == 2 and (numbers_each(evidence, spec) or 0) > 1]


def _likely_roles(
    evidence: Evidence, form: KeypointForm, missing: list[str], given: Mapping[str, Sourced[TensorSpec]]
) -> dict[str, Sourced[TensorSpec]]:
    """The outputs for the roles that a card does not give, where the shapes leave no choice."""
    taken = {item.value.name for item in given.values()}
    free = [spec for spec in _outputs_for(evidence, form) if spec.name not in taken]
    if len(missing) == 1 and len(free) == 1:
        return {missing[0]: Sourced(free[0], 'shapes of the outputs')}
    names = free or [spec for spec in evidence.outputs if spec.name not in taken]
    orders = [names, names[::-1]] if len(missing) == 2 and len(names) == 2 else [[spec] for spec in names]
    lines = [
        f'outputs: {{{", ".join(f"{role}: {spec.name}" for role, spec in zip(missing, order, strict=False))}}}'
        for order in orders
        if len(order) == len(missing)
    ]
    raise UnclearModelError(
        evidence.file,
        f'which output has the {" and ".join(missing)} of the keypoints ({form.value}) is not clear',
        tuple(lines),
        instead=f'Name them in the card: `outputs: {{{", ".join(f"{role}: <name>" for role in missing)}}}`',
    )


def _check_keys(values: CardValues, form: Sourced[KeypointForm]) -> None:
    """Raise ModelError for keys that have no effect: all of them at once."""
    idle = [f'keypoints.{key}' for key, forms in OF_FORM.items() if form.value not in forms]
    idle += [f'keypoints.{key}' for key in _NOT_HERE]
    idle += ['output_layout'] if form.value is not KeypointForm.HEATMAPS else []
    wrong = [key for key in idle if key in values]
    if wrong:
        sources = ', '.join(dict.fromkeys(values[key].source for key in wrong))
        raise ModelError(
            f'{sources}: {", ".join(wrong)}: no effect on {form.value.value} keypoints of a top-down network '
            f'({form.source}); remove that, or correct keypoints.form'
        )


def _count(values: CardValues) -> Sourced[int] | None:
    """How many keypoints the card says there are, by itself or by its skeleton.

    Raises:
        ModelError: these differ.
    """
    count, skeleton = values.get('keypoints.count'), values.get('keypoints.skeleton')
    if skeleton is None:
        return count
    names = len(skeleton.value.names)
    if count is not None and count.value != names:
        raise ModelError(
            f'{skeleton.source}: keypoints.skeleton: got {names} names, but keypoints.count is {count.value} '
            f'({count.source}); give one name for each keypoint'
        )
    return Sourced(names, f'skeleton of {skeleton.source}')


def _points(evidence: Evidence, values: CardValues, found: Fields, said: dict[str, Any], why: str) -> None:
    """Columns, unit and number of points."""
    spec = found.roles['keypoints'].value
    for name in ('columns', 'unit', 'extra'):
        if f'keypoints.{name}' in values:
            found.values[name] = values[f'keypoints.{name}']
        elif name in said:
            found.values[name] = Sourced(said[name], why)
    if 'unit' in found.values:
        found.values['unit'] = Sourced(PointUnit(found.values['unit'].value), found.values['unit'].source)
    extra = found.values['extra'].value if 'extra' in found.values else 0
    total, count = numbers_each(evidence, spec), _count(values)
    if 'columns' not in found.values:
        found.values['columns'] = _columns(evidence, spec, total, count, extra)
    each = len(found.values['columns'].value)
    if count is None and total is not None:
        if total % each or total // each <= extra:
            raise ModelError(
                f'{evidence.file.path}: {spec.describe()} has {total} numbers for each image, which are no points of '
                f'{each} ({", ".join(found.values["columns"].value)}) and {extra} further ones; correct '
                'keypoints.columns and extra in the card'
            )
        count = Sourced(total // each - extra, f'shape of {spec.name}')
    if count is None:
        raise evidence.file.unclear(
            f'nothing says how many keypoints {spec.describe()} has', 'keypoints: {skeleton: coco17}'
        )
    found.count = count
    if 'unit' not in found.values:
        found.values['unit'] = _unit(evidence, spec, found, extra)


def _columns(
    evidence: Evidence, spec: TensorSpec, total: int | None, count: Sourced[int] | None, extra: int
) -> Sourced[tuple[str, ...]]:
    """What the values of a point are, where its shape leaves no choice."""
    each = None
    if count is not None and total is not None and total % (count.value + extra) == 0:
        each = total // (count.value + extra)
    elif len(spec.shape) > 2:
        each = spec.shape[-1]
    if each == 2:
        return Sourced(('x', 'y'), f'shape of {spec.name}')
    widths = [each] if each in _ORDERS else [width for width in (2, 3) if total is not None and total % width == 0]
    orders = [order for width in widths for order in _ORDERS[width] if each is not None or order[0] == 'x']
    raise evidence.file.unclear(
        f'what the values of the keypoints in {spec.describe()} are is not clear',
        *(f'keypoints: {{columns: [{", ".join(order)}]}}' for order in orders),
    )


def _unit(evidence: Evidence, spec: TensorSpec, found: Fields, extra: int) -> Sourced[PointUnit]:
    """px or 0..1, by the numbers of one run."""
    places = points_of(evidence.values().get(spec.name), found.values['columns'].value, found.count, extra)
    if places is None:
        raise evidence.file.unclear(
            f'nothing says whether the keypoints in {spec.describe()} are in px of the input or in 0..1',
            *(f'keypoints: {{unit: {unit.value}}}' for unit in PointUnit),
        )
    most = float(np.quantile(np.abs(places), 0.9))
    unit = PointUnit.FRACTION if most <= _MOST_FRACTION else PointUnit.PIXELS
    return Sourced(unit, f'the numbers of one run reach {most:.4g}')


def points_of(
    array: np.ndarray | None, columns: tuple[str, ...], count: Sourced[int] | None, extra: int
) -> np.ndarray | None:
    """(K, 2) x and y of one run's first image; None where there was no run or its output has another size."""
    if array is None or count is None or array.size < (count.value + extra) * len(columns):
        return None
    rows = np.asarray(array, np.float64).ravel()[: count.value * len(columns)].reshape(count.value, len(columns))
    places = rows[:, [columns.index('x'), columns.index('y')]]
    return places if np.isfinite(places).all() else None


def _bins_or_maps(evidence: Evidence, values: CardValues, found: Fields, said: dict[str, Any], why: str) -> None:
    """What SimCC and heatmaps need beside their outputs."""
    spec = found.roles[found.form.value.roles[0]].value
    if found.form.value is KeypointForm.SIMCC:
        if 'keypoints.split_ratio' in values:
            found.values['split_ratio'] = values['keypoints.split_ratio']
        found.count = _count_by_axis(evidence, values, spec, 1)
        return
    found.values['layout'] = _map_layout(evidence, values, spec, said, why)
    grid = values.get('keypoints.grid')
    if grid is None:
        word = evidence.file.mentions(*_UDP_WORDS)
        likely = HeatmapGrid.CORNERS if word else HeatmapGrid.SCALED
        reason = f'names in the graph ({word}), as of ViTPose' if word else 'as SimpleBaseline and HRNet are trained'
        found.values['grid'] = Sourced(likely, 'assumed')
        found.assumptions.append(
            Assumption(
                'keypoints.grid',
                likely.value,
                f'{reason}; the file does not state where in the image the cells lie',
                tuple(
                    (f'keypoints: {{grid: {item.value}}}', _GRIDS[item]) for item in HeatmapGrid if item is not likely
                ),
            )
        )
    else:
        found.values['grid'] = Sourced(HeatmapGrid(grid.value), grid.source)
    is_last = found.values['layout'].value is TensorLayout.NHWC
    found.count = _count_by_axis(evidence, values, spec, 3 if is_last else 1)


def _map_layout(
    evidence: Evidence, values: CardValues, spec: TensorSpec, said: dict[str, Any], why: str
) -> Sourced[TensorLayout]:
    """Which axis of heatmaps has the keypoints."""
    if 'output_layout' in values:
        return Sourced(TensorLayout(values['output_layout'].value), values['output_layout'].source)
    if 'layout' in said:
        return Sourced(TensorLayout(said['layout']), why)
    ways = list(dict.fromkeys(layout for layout, _ in heatmap_layouts(evidence, spec)))
    if len(ways) > 1:
        raise evidence.file.unclear(
            f'which axis of {spec.describe()} has the keypoints is not clear',
            *(f'output_layout: {layout}' for layout in ways),
        )
    return Sourced(TensorLayout(ways[0] if ways else 'NCHW'), f'shape of {spec.name}')


def _count_by_axis(evidence: Evidence, values: CardValues, spec: TensorSpec, axis: int) -> Sourced[int]:
    """How many keypoints there are: as a card says, else as long as an axis is."""
    given = _count(values)
    if given is not None:
        return given
    shape = known_shape(evidence, spec)
    size = shape[axis] if len(shape) > axis else None
    if size is None:
        raise evidence.file.unclear(
            f'nothing says how many keypoints {spec.describe()} has', 'keypoints: {skeleton: coco17}'
        )
    return Sourced(size, f'shape of {spec.name}')


def _skeleton(values: CardValues, found: Fields, layout: TopDownLayout | None) -> None:
    """What the keypoints are called: as a card says, as that network's are, or, assumed, by their number alone."""
    given = values.get('keypoints.skeleton')
    if given is not None or found.count is None:
        found.skeleton = given
        return
    count = found.count.value
    if layout is not None and layout.skeleton is not None:
        if len(layout.skeleton.names) == count:
            found.skeleton = Sourced(layout.skeleton, layout.why)
        return
    likely = skeleton_of(count)
    if likely is None:
        return
    name, skeleton = likely
    found.skeleton = Sourced(skeleton, f'assumed: {name}, since there are {count} keypoints')
    found.assumptions.append(
        Assumption(
            'keypoints.skeleton',
            name,
            f'there are {count} keypoints, as {name} has; nothing names them',
            (('keypoints: {skeleton: {names: [first name, ...], edges: [...]}}', 'any other points'),),
        )
    )


def _activations(evidence: Evidence, values: CardValues, found: Fields, said: dict[str, Any], why: str) -> None:
    """What makes 0..1 of the confidences, and of the presence where there is one."""
    given = values.get('activation')
    is_simcc = found.form.value is KeypointForm.SIMCC
    if given is not None and given.value == 'softmax' and not is_simcc:
        raise ModelError(
            f'{given.source}: activation: got softmax, but {found.form.value.value} keypoints have none or sigmoid'
        )
    if given is not None or 'activation' in said:
        found.values['activation'] = given or Sourced(said['activation'], why)
    elif found.form.value is KeypointForm.POINTS:
        found.values['activation'] = _of_points(evidence, found)
    else:
        found.values['activation'] = _of_peaks(evidence, found)
    presence = found.roles.get(PRESENCE)
    idle = [key for key in ('presence_activation', 'min_presence') if f'keypoints.{key}' in values]
    if presence is None and idle:
        key = f'keypoints.{idle[0]}'
        raise ModelError(
            f'{values[key].source}: {key}: no output says whether anybody is there; name it: `outputs: {{presence: '
            '<name>}`, or remove the line'
        )
    if presence is None:
        return
    default = TopDownKeypointsSpec({}).min_presence
    found.values['min_presence'] = Sourced(default, 'default')
    found.values |= {key: values[f'keypoints.{key}'] for key in idle}
    if 'presence_activation' not in found.values:
        found.values['presence_activation'] = _squashed(
            evidence, presence.value, evidence.values().get(presence.value.name)
        )


def _of_points(evidence: Evidence, found: Fields) -> Sourced[str]:
    """The activation of points' confidences, by the numbers of one run."""
    columns = found.values['columns'].value
    at = [index for index, name in enumerate(columns) if name == 'confidence']
    if not at:
        return Sourced('none', 'they have no confidence of their own')
    spec = found.roles['keypoints'].value
    array = evidence.values().get(spec.name)
    rows = None if array is None or array.size % len(columns) else np.asarray(array).reshape(-1, len(columns))[:, at]
    return _by_numbers(rows)


def _of_peaks(evidence: Evidence, found: Fields) -> Sourced[str]:
    """The activation of the heights of peaks. Those of RTMPose and of heatmaps are confidences, though not strictly."""
    spec = found.roles[found.form.value.roles[0]].value
    if evidence.tail(spec).ops & {'Sigmoid', 'Softmax'}:
        return Sourced('none', f'{spec.name} is squashed in the graph')
    return Sourced('none', f'as networks for {found.form.value.value} have')


def _squashed(evidence: Evidence, spec: TensorSpec, array: np.ndarray | None) -> Sourced[str]:
    """The activation of the presence: by the graph, else by the number of one run."""
    tail = evidence.tail(spec)
    if tail.ops & {'Sigmoid', 'HardSigmoid'}:
        return Sourced('none', f'{spec.name} is a sigmoid')
    if tail.is_known:
        return Sourced('sigmoid', f'{spec.name} has no sigmoid in the graph')
    return _by_numbers(array)


def _by_numbers(array: np.ndarray | None) -> Sourced[str]:
    if array is None or not array.size:
        return Sourced('none', 'assumed; it could not be run here')
    if numbers.are_probabilities(np.asarray(array)):
        return Sourced('none', 'the numbers of one run are in 0..1')
    return Sourced('sigmoid', 'the numbers of one run are not in 0..1')
