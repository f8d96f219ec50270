# SPDX-License-Identifier: Apache-2.0
"""Weights that a model keeps in files beside itself: which they are, whether they may be read, and how to get them.

A cache of downloads, such as Hugging Face's, has links where the model and its weights are expected. The onnx package
reads no weights through links, and ONNX Runtime none that lie in another folder than the model, so both are given what
was checked here.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.store.trusted_link import RefusedLinkError, follow_links


@dataclass(frozen=True)
class ExternalFile:
    """One file of weights.

    Attributes:
        location: how the model names it, relative to its folder.
        path: the file itself, behind all links.
    """

    location: str
    path: Path


def external_files(path: Path, model: Any) -> tuple[ExternalFile, ...]:
    """The weight files of a model, sorted by their names, each checked to be there and to be trusted.

    Args:
        path: absolute path of the model; the names start at its folder, also where the model itself is a link.
        model: the `onnx.ModelProto`.

    Raises:
        ModelError: a file is missing or too short, its name leads out of the model's folder, or it is behind a link
            that others can redirect.
    """
    files: dict[str, Path] = {}
    for tensor in _external_tensors(model):
        entries = _entries(tensor)
        name = entries.get('location', '')
        if name not in files:
            files[name] = _find(path, name)
        _span(path, tensor.name, entries, files[name])
    return tuple(ExternalFile(name, files[name]) for name in sorted(files))


def load_weights(path: Path, model: Any) -> None:
    """Put the weights that are in other files into the model, in place.

    Args:
        path: absolute path of the model.
        model: the `onnx.ModelProto`, read without them.

    Raises:
        ModelError: as `external_files`.
    """
    files = {item.location: item.path for item in external_files(path, model)}
    for tensor in _external_tensors(model):
        entries = _entries(tensor)
        file = files[entries['location']]
        offset, length = _span(path, tensor.name, entries, file)
        with file.open('rb') as data:
            data.seek(offset)
            tensor.raw_data = data.read(length)
        tensor.ClearField('external_data')
        tensor.ClearField('data_location')


def give_weights(path: Path, options: Any) -> list[Any]:
    """Check a model's weight files, and give ONNX Runtime those that it would not read itself: from 1.24 on, the ones
    that a link leads to out of the model's folder. It follows links wherever they lead before that.

    Args:
        path: absolute path of the model.
        options: its `SessionOptions`.

    Returns:
        What must be kept until the session is made.

    Raises:
        ModelError: as `external_files`, or the model cannot be read.
    """
    folders = {path.parent.resolve(), path.resolve().parent}
    far = [
        item
        for item in external_files(path, read_proto(path))
        if not any(item.path.is_relative_to(folder) for folder in folders)
    ]
    give = getattr(options, 'add_external_initializers_from_files_in_memory', None)
    if not far or give is None:
        return []
    contents = [_content(item.path) for item in far]
    give([item.location for item in far], contents, [len(content) for content in contents])
    return contents


def read_proto(path: Path) -> Any:
    """The `onnx.ModelProto` of a file, without weights that are in other files; raises ModelError."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise ModelError(f'{path}: cannot be read as an ONNX model ({error}); export it again') from error


def _content(path: Path) -> Any:
    """A file's bytes, in memory as far as they are used."""
    with path.open('rb') as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b''


def _find(path: Path, name: str) -> Path:
    """The checked real path of a weight file."""
    given = Path(name)
    if given.is_absolute() or '..' in given.parts:
        raise ModelError(
            f"{path}: its weights are in {name!r}, outside the model's folder, which is refused; "
            'save the model with its weights beside it'
        )
    try:
        found = follow_links(path.parent, name)
    except FileNotFoundError:
        found = None
    except RefusedLinkError as error:
        raise ModelError(
            f"{path}: its weights {name!r} cannot be used: {error}. Or copy the model's folder, files instead of "
            f'links, to one of your own: cp -rL {path.parent} FOLDER'
        ) from error
    if found is not None and found.is_file():
        return found
    real = path.resolve()
    if real.parent != path.parent.resolve() and (real.parent / name).is_file():
        raise ModelError(
            f'{path}: its weights are in the file {name!r}, which is missing in {path.parent}; it is beside the file '
            f'that the model is a link to, so give that one: {real}'
        )
    raise ModelError(
        f'{path}: its weights are in the file {name!r}, which is missing in {path.parent}; '
        'copy it there, under that name'
    )


def _span(path: Path, tensor: str, entries: dict[str, str], file: Path) -> tuple[int, int]:
    """Offset and length in bytes of a tensor in its file; raises ModelError if the file ends before."""
    size = file.stat().st_size
    try:
        offset = int(entries.get('offset', 0))
        length = int(entries.get('length', size - offset))
    except ValueError as error:
        raise ModelError(f'{path}: where the weights {tensor!r} are is damaged ({error}); export it again') from error
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f'{path}: the weights {tensor!r} are bytes {offset} to {offset + length} of {entries["location"]!r}, which '
            f'has {size}; download or copy it again'
        )
    return offset, length


def _entries(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _external_tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model whose values are in another file, wherever the model may hold one."""
    import onnx

    nodes = [node for function in model.functions for node in function.node]
    for tensor in (*_graph_tensors(model.graph), *_node_tensors(nodes)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Any) -> Iterator[Any]:
    """The tensors in the attributes of nodes, those of subgraphs (If, Loop) too."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField('t'):
                yield attribute.t
            yield from attribute.tensors
            sparse = [
                *attribute.sparse_tensors,
                *([attribute.sparse_tensor] if attribute.HasField('sparse_tensor') else []),
            ]
            for item in sparse:
                yield from (item.values, item.indices)
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField('g') else [])):
                yield from _graph_tensors(graph)
