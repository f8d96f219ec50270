# SPDX-License-Identifier: Apache-2.0
"""Reads what an ONNX file says about itself: its tensors and metadata, but not its weights."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.external_weights import external_files
from isaac_inference.models.onnx.graph_head import ImageEntry, image_entry
from isaac_inference.models.onnx.graph_tail import Tail, output_tails

_OTHER_FORMATS = (
    (b'PK\x03\x04', 'a zip archive, as PyTorch checkpoints (.pt) are; export it to ONNX first'),
    (b'\x80\x02', 'a Python pickle, as old PyTorch checkpoints are; export it to ONNX first'),
    (b'version https://git-lfs', 'a Git LFS pointer; fetch the file itself with `git lfs pull`'),
    (b'ftrt', 'a TensorRT engine; give the ONNX file that it was built from'),
    (b'ptrt', 'a TensorRT engine; give the ONNX file that it was built from'),
    (b'\x89HDF', 'an HDF5 file, as Keras writes; export it to ONNX first'),
)


@dataclass(frozen=True)
class ModelFile:
    """What one ONNX file says.

    Attributes:
        path: absolute path.
        sha256: hex digest of the file, followed by each external weight file in the order of their names.
        inputs: the tensors to feed, without initializers.
        outputs: the tensors that come out.
        metadata: the file's `metadata_props`.
        opset: version of the default operator set.
        producer: the exporter's name and version, '' when it is not given.
        external_files: weight files beside the model, links as they are.
        tails: output name -> what the graph does behind its last weights to make it.
        entries: input of rank 3 or 4 -> what the graph does with it before its first layer.
        words: names of the graph's nodes, values and weights, in lower case; what they mention hints at the family.
        probed: what was fed and how -> outputs of that run of the model, so that several cards of one file need one
            run.
    """

    path: Path
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    opset: int = 0
    producer: str = ''
    external_files: tuple[Path, ...] = ()
    tails: Mapping[str, Tail] = field(default_factory=dict)
    entries: Mapping[str, ImageEntry] = field(default_factory=dict)
    words: str = ''
    probed: dict[Any, Mapping[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def tail(self, output: str) -> Tail:
        """What the graph does behind its last weights to make an output."""
        return self.tails.get(output, Tail())

    def entry(self, image: str) -> ImageEntry:
        """What the graph does with an image before its first layer."""
        return self.entries.get(image, ImageEntry())

    def mentions(self, *words: str) -> str:
        """The first of the words that a name in the graph contains, '' if none does; in lower case."""
        return next((word for word in words if word in self.words), '')

    def describe(self) -> str:
        """The tensors and metadata keys as lines for an error message."""
        return (
            f'\n  inputs:   {"; ".join(spec.describe() for spec in self.inputs) or "none"}'
            f'\n  outputs:  {"; ".join(spec.describe() for spec in self.outputs) or "none"}'
            f'\n  metadata: {", ".join(sorted(self.metadata)) or "none"}'
        )

    def unclear(self, what: str, *lines: str) -> UnclearModelError:
        """The error for information missing from the file: its tensors and metadata, then what a card must say.

        Args:
            what: what is unclear, as the start of a sentence.
            lines: YAML for the card; several lines are alternatives.
        """
        return UnclearModelError(self, what, lines)


class UnclearModelError(ModelError):
    """The file leaves open what a line in its card can say.

    Attributes:
        what: what is unclear, as the start of a sentence.
        lines: YAML for the card, each an alternative.
        found: line -> what a trial run with it found; '' for a line that needs no trial.
        instead: what to do where no line helps.
    """

    def __init__(
        self,
        file: ModelFile,
        what: str,
        lines: tuple[str, ...],
        found: Mapping[str, str] = MappingProxyType({}),
        instead: str = '',
    ) -> None:
        self.what, self.lines, self.found, self.instead = what, lines, found, instead
        self._card = file.path.with_suffix('.yaml').name
        super().__init__(f'{file.path}: {what}. Found:{file.describe()}\n  {self._advice()}')

    def what_to_do(self) -> str:
        """What is unclear and the advice, without the file's tensors."""
        return f'{self.what}. {self._advice()}'

    def _advice(self) -> str:
        if not self.lines:
            return self.instead or 'No line in a card can say it'
        choices = '\n  or: '.join(
            f'`{line}`' + (f'  ({self.found[line]})' if self.found.get(line) else '') for line in self.lines
        )
        return f'Add to the card {self._card} beside the model: {choices}'


def find_model(model: str | Path) -> Path:
    """The absolute path of a model file that exists; raises ModelError if it is not a file."""
    if not str(model).strip():
        raise ModelError('model: got an empty path; give the path of an ONNX file')
    path = Path(model).expanduser().absolute()
    if path.is_dir():
        found = sorted(item.name for item in path.glob('*.onnx'))
        raise ModelError(f'model: {path} is a folder; give one ONNX file (in it: {", ".join(found[:8]) or "none"})')
    if not path.is_file():
        where = path.parent
        found = sorted(item.name for item in where.glob('*.onnx')) if where.is_dir() else []
        beside = (
            f'in {where} there are: {", ".join(found[:8]) or "no .onnx files"}'
            if where.is_dir()
            else f'the folder {where} does not exist either'
        )
        raise ModelError(f'model: no file {path}; {beside}')
    return path


def read_model_file(model: str | Path) -> ModelFile:
    """Read tensors and metadata of an ONNX file; raises ModelError for anything that is not a usable ONNX
    model.
    """
    path = find_model(model)
    proto, digest = _parse(path)
    graph = proto.graph
    initializers = {item.name for item in graph.initializer}
    inputs = tuple(_spec(path, item) for item in graph.input if item.name not in initializers)
    outputs = tuple(_spec(path, item) for item in graph.output)
    if not outputs:
        raise ModelError(f'{path}: the model has no outputs; expected at least one, so export it again')
    external = external_files(path, proto)
    for item in external:
        _hash_file(digest, item.path)
    versions = {item.domain: item.version for item in proto.opset_import}
    return ModelFile(
        path=path,
        sha256=digest.hexdigest(),
        inputs=inputs,
        outputs=outputs,
        metadata={item.key: item.value for item in proto.metadata_props},
        opset=versions.get('', versions.get('ai.onnx', 0)),
        producer=f'{proto.producer_name} {proto.producer_version}'.strip(),
        external_files=tuple(path.parent / item.location for item in external),
        tails=output_tails(graph),
        entries={spec.name: image_entry(graph, spec.name) for spec in inputs if len(spec.shape) in (3, 4)},
        words=_words(graph),
    )


def _parse(path: Path) -> tuple[Any, Any]:
    """The parsed model, with the shapes of its outputs inferred where missing, and the file's running
    SHA-256.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ConfigError(f'reading {path} needs the onnx package, which is missing; `pip install onnx`') from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(_unreadable(path, error)) from error
    if not data:
        raise ModelError(f'{path}: the file is empty; export or download it again')
    for magic, what in _OTHER_FORMATS:
        if data.startswith(magic):
            raise ModelError(f'{path}: not an ONNX file, but {what}')
    try:
        proto = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise ModelError(_damaged(path, data)) from error
    if not proto.graph.node or not proto.opset_import or not all(isinstance(item, str) for item in _texts(proto)):
        raise ModelError(_damaged(path, data))
    if any(not _has_shape(item) for item in (*proto.graph.input, *proto.graph.output)):
        with contextlib.suppress(Exception):  # what stays without a shape is reported by name, in _spec
            proto = onnx.shape_inference.infer_shapes(proto)
    return proto, hashlib.sha256(data)


def _texts(proto: Any) -> Iterator[Any]:
    """Every text of a model that is used here; protobuf returns bytes for those that are not UTF-8."""
    graph = proto.graph
    yield from (proto.producer_name, proto.producer_version)
    for item in (*graph.input, *graph.output, *graph.initializer):
        yield item.name
    for item in proto.opset_import:
        yield item.domain
    for tensor in graph.initializer:
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for entry in proto.metadata_props:
        yield from (entry.key, entry.value)
    for node in graph.node:
        yield from (node.op_type, *node.input, *node.output)


def _hash_file(digest: Any, path: Path) -> None:
    """Feed a file of any size to a running hash, a piece at a time; raises ModelError if it can't be read."""
    try:
        with path.open('rb') as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise ModelError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    return f'{path}: cannot be read ({error.strerror}); check its owner and permissions'


def _damaged(path: Path, data: bytes) -> str:
    """Why bytes are not an ONNX model; every ONNX file starts with the tag of its IR version."""
    if data[:1] == b'\x08':
        return f'{path}: truncated or damaged ONNX file ({len(data)} bytes); download or export it again'
    return f'{path}: not an ONNX file (it starts with {data[:12]!r}); give a file that an ONNX exporter wrote'


def _has_shape(item: Any) -> bool:
    """True for anything but a tensor whose rank the file leaves open."""
    return item.type.WhichOneof('value') != 'tensor_type' or item.type.tensor_type.HasField('shape')


def _spec(path: Path, item: Any) -> TensorSpec:
    """The spec of one graph input or output."""
    import onnx

    kind = item.type.WhichOneof('value')
    if kind != 'tensor_type':
        raise ModelError(
            f'{path}: {item.name} is a {str(kind).removesuffix("_type")}; expected a tensor, '
            'so export the model with plain tensors as inputs and outputs'
        )
    tensor = item.type.tensor_type
    if not tensor.HasField('shape'):
        raise ModelError(
            f'{path}: {item.name} has no shape, not even a rank; run onnx.shape_inference on the file '
            'or export it with shapes'
        )
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError as error:
        raise ModelError(f'{path}: {item.name} has the unknown element type {tensor.elem_type}') from error
    shape = tuple(
        dim.dim_value if dim.HasField('dim_value') and dim.dim_value > 0 else None for dim in tensor.shape.dim
    )
    axes = tuple(dim.dim_param for dim in tensor.shape.dim)
    return TensorSpec(item.name, dtype, shape, axes if any(axes) else ())


def _words(graph: Any) -> str:
    """The names in a graph that an exporter took from the source of the network."""
    names = [graph.name, *(item.name for item in graph.initializer)]
    for node in graph.node:
        names += [node.name, *node.output]
    return '\n'.join(names).lower()
