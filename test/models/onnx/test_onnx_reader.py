# SPDX-License-Identifier: Apache-2.0
"""Reading ONNX files: what is in a good one, and what is said about a bad one."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.onnx_models import build_model, save_model, write_model, write_model_of_links

from isaac_inference.errors import ModelError
from isaac_inference.models.onnx.reader import read_model_file


def test_tensors_metadata_and_exporter_are_read(tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'yolox', metadata={'key': 'value'})
    file = read_model_file(path)
    assert [spec.describe() for spec in file.inputs] == ['images: float32 [1, 3, 64, 96]']
    assert [spec.describe() for spec in file.outputs] == ['output: float32 [1, 126, 8]']
    assert dict(file.metadata) == {'key': 'value'}
    assert (file.opset, file.producer) == (13, 'tiny_models 1')
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not file.tail('output0').is_computed


def test_initializers_are_no_inputs(tmp_path):
    model = build_model('yolox')
    first = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(first.name, first.data_type, list(first.dims)))
    assert [spec.name for spec in read_model_file(save_model(model, tmp_path / 'm.onnx')).inputs] == ['images']


def test_missing_shapes_are_inferred(tmp_path):
    model = build_model('yolov8')
    model.graph.output[0].type.tensor_type.ClearField('shape')
    file = read_model_file(save_model(model, tmp_path / 'm.onnx'))
    assert file.outputs[0].shape[1:] == (7, 126)


def test_external_weights_count_in_the_hash(tmp_path):
    path = write_model(tmp_path / 'm.onnx', external_data=True)
    weights = tmp_path / 'm.onnx.data'
    before = read_model_file(path)
    assert before.external_files == (weights,)
    weights.write_bytes(bytes(weights.stat().st_size))
    assert read_model_file(path).sha256 != before.sha256


def test_missing_external_weights_are_named(tmp_path):
    path = write_model(tmp_path / 'm.onnx', external_data=True)
    (tmp_path / 'm.onnx.data').unlink()
    with pytest.raises(ModelError, match=r"weights are in the file 'm\.onnx\.data', which is missing"):
        read_model_file(path)


@pytest.mark.parametrize('location', ['../secret', '/etc/hostname', 'sub/../m.onnx.data'])
def test_external_weights_outside_of_the_folder_are_refused(tmp_path, location):
    path = write_model(tmp_path / 'm.onnx', external_data=True)
    model = onnx.load(str(path), load_external_data=False)
    move_weights(model.graph.initializer, location)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=f"'{location}', outside the model's folder"):
        read_model_file(path)


def test_external_weights_are_checked_wherever_they_are_used(tmp_path):
    model = build_model('yolov8')
    hidden = onnx.numpy_helper.from_array(np.zeros(64, np.float32), 'hidden')
    inner = helper.make_graph([helper.make_node('Identity', ['hidden'], ['out'])], 'inner', [], [], [hidden])
    constant = helper.make_node('Constant', [], ['k'], value=onnx.numpy_helper.from_array(np.zeros(64, np.float32)))
    branch = helper.make_node('If', ['condition'], ['either'], then_branch=inner, else_branch=inner)
    for node, tensors in ((branch, branch.attribute[0].g.initializer), (constant, [constant.attribute[0].t])):
        for tensor in tensors:
            onnx.external_data_helper.set_external_data(tensor, location='../secret')
        changed = type(model).FromString(model.SerializeToString())
        changed.graph.node.append(node)
        (tmp_path / 'm.onnx').write_bytes(changed.SerializeToString())
        with pytest.raises(ModelError, match="'../secret', outside the model's folder"):
            read_model_file(tmp_path / 'm.onnx')


def move_weights(tensors, location):
    for tensor in tensors:
        for entry in tensor.external_data:
            if entry.key == 'location':
                entry.value = location


def test_a_cache_of_links_reads_as_the_files_themselves(tmp_path):
    path = write_model_of_links(tmp_path)
    plain = write_model(tmp_path / 'model.onnx', external_data=True)
    assert path.is_symlink() and (path.parent / 'model.onnx.data').is_symlink()
    file = read_model_file(path)
    assert (file.path, file.external_files) == (path, (path.parent / 'model.onnx.data',))
    assert file.sha256 == read_model_file(plain).sha256


def test_weights_behind_a_link_that_others_can_redirect(tmp_path):
    path = write_model_of_links(tmp_path)
    blob = (path.parent / 'model.onnx.data').resolve()
    blob.chmod(0o666)
    with pytest.raises(
        ModelError,
        match=rf"model.onnx: its weights 'model.onnx.data' cannot be used: the file {blob} can be written by "
        rf'everybody .* chmod o-w {blob}\. Or .* cp -rL {path.parent} FOLDER',
    ):
        read_model_file(path)


def test_weights_behind_a_link_to_nothing(tmp_path):
    path = write_model_of_links(tmp_path)
    (path.parent / 'model.onnx.data').resolve().unlink()
    with pytest.raises(ModelError, match='the link .*model.onnx.data leads to .*, which does not exist; download'):
        read_model_file(path)


def test_weights_beside_the_file_that_the_model_is_a_link_to(tmp_path):
    (tmp_path / 'v3').mkdir()
    real = write_model(tmp_path / 'v3' / 'm.onnx', external_data=True)
    (tmp_path / 'current.onnx').symlink_to('v3/m.onnx')
    with pytest.raises(ModelError, match=f"'m.onnx.data', which is missing in {tmp_path}; .* so give that one: {real}"):
        read_model_file(tmp_path / 'current.onnx')


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_unreadable_weights(tmp_path):
    path = write_model(tmp_path / 'm.onnx', external_data=True)
    (tmp_path / 'm.onnx.data').chmod(0)
    with pytest.raises(ModelError, match='m.onnx.data: cannot be read .*permissions'):
        read_model_file(path)


@pytest.mark.parametrize(
    'content, says',
    [
        (b'', 'the file is empty'),
        (b'hello, this is text', 'not an ONNX file .it starts with'),
        (b'\x00' * 64, 'not an ONNX file'),
        (b'PK\x03\x04rest', r'zip archive, as PyTorch checkpoints'),
        (b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
        (b'ftrt0000', 'a TensorRT engine; give the ONNX file'),
        (b'\x80\x02rest', 'Python pickle'),
    ],
)
def test_files_that_are_no_onnx(tmp_path, content, says):
    path = tmp_path / 'm.onnx'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says):
        read_model_file(path)


@pytest.mark.parametrize('kept', [0.1, 0.5, 0.9, 0.99])
def test_truncated_files(tmp_path, kept):
    path = write_model(tmp_path / 'm.onnx')
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ModelError, match='truncated or damaged ONNX file'):
        read_model_file(path)


@pytest.mark.parametrize('text', [b'images', b'output', b'MatMul', b'some_key'])
def test_names_that_are_no_text(tmp_path, text):
    path = write_model(tmp_path / 'm.onnx', 'yolox', metadata={'some_key': 'value'})
    path.write_bytes(path.read_bytes().replace(text, b'\xff' * len(text)))
    with pytest.raises(ModelError, match='truncated or damaged ONNX file'):
        read_model_file(path)


def test_a_missing_file_lists_its_neighbours(tmp_path):
    write_model(tmp_path / 'there.onnx')
    with pytest.raises(ModelError, match=r'no file .*nope\.onnx; .*there\.onnx'):
        read_model_file(tmp_path / 'nope.onnx')
    with pytest.raises(ModelError, match='the folder .* does not exist either'):
        read_model_file(tmp_path / 'no_folder' / 'nope.onnx')
    with pytest.raises(ModelError, match='empty path'):
        read_model_file('')


def test_a_folder_lists_its_models(tmp_path):
    write_model(tmp_path / 'there.onnx')
    with pytest.raises(ModelError, match=r'is a folder; give one ONNX file \(in it: there\.onnx\)'):
        read_model_file(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_an_unreadable_file(tmp_path):
    path = write_model(tmp_path / 'm.onnx')
    path.chmod(0)
    with pytest.raises(ModelError, match='cannot be read .*permissions'):
        read_model_file(path)


def test_no_outputs(tmp_path):
    model = build_model('yolox')
    del model.graph.output[:]
    with pytest.raises(ModelError, match='has no outputs'):
        read_model_file(save_model(model, tmp_path / 'm.onnx'))


def test_an_output_that_is_no_tensor(tmp_path):
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    graph = helper.make_graph(
        [helper.make_node('SequenceConstruct', ['x'], ['y'])],
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1])],
        [helper.make_value_info('y', sequence)],
    )
    with pytest.raises(ModelError, match='y is a sequence; expected a tensor'):
        read_model_file(save_model(helper.make_model(graph), tmp_path / 'm.onnx'))


def test_an_unknown_rank(tmp_path):
    model = build_model('yolox')
    model.graph.node.append(helper.make_node('Mystery', ['images'], ['odd'], domain='nobody'))
    model.graph.output.append(helper.make_tensor_value_info('odd', TensorProto.FLOAT, None))
    with pytest.raises(ModelError, match='odd has no shape, not even a rank'):
        read_model_file(save_model(model, tmp_path / 'm.onnx'))


def test_arithmetic_behind_moves_is_seen(tmp_path):
    model = build_model('yolox')
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = 'raw'
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), 'two'))
    model.graph.node.append(helper.make_node('Mul', ['raw', 'two'], ['doubled']))
    model.graph.node.append(helper.make_node('Identity', ['doubled'], [output]))
    assert read_model_file(save_model(model, tmp_path / 'm.onnx')).tail('output').is_computed
