# SPDX-License-Identifier: Apache-2.0
"""`models:=a.onnx,b.onnx cameras:=front,left`, and files of pipelines: a namespace for each model."""

from __future__ import annotations

import pytest
from support.pipelines import at, topic

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.names import resolve
from isaac_inference.ros.bringup.node_list import plugin
from isaac_inference.ros.bringup.pipelines.topics import outputs
from isaac_inference.ros.nodes.inference.node import InferenceParameters
from isaac_inference.ros.runtime.container.components import load_class
from isaac_inference.ros.runtime.parameters.schema import build, specs

HAS_STREAMS = 'streams' in {spec.name for spec in specs(InferenceParameters)}


def test_each_model_is_a_pipeline(plan, models):
    made = plan(models=f'{models}/cups.onnx,{models}/wide.onnx', cameras='front,left')
    for name in ('cups', 'wide'):
        assert list(at(made, name)) == ['inference']
        assert at(made, name)['inference'].parameters['model'] == f'{models}/{name}.onnx'
        for camera in ('front', 'left'):
            nodes = at(made, f'{name}/{camera}')
            assert list(nodes) == ['preprocess', 'detection', 'annotate']
            assert topic(nodes['preprocess'], 'image') == f'/{camera}/image', "the camera is nobody's own"
            assert topic(nodes['annotate'], 'image') == f'/{camera}/image'
            assert topic(nodes['detection'], 'detections') == f'/{name}/{camera}/detections'


def test_camera_topics_are_the_camera_s_in_any_namespace(plan, models):
    made = plan('/robot', models=f'{models}/cups.onnx,{models}/wide.onnx', cameras='front,left', image='image_raw')
    assert topic(at(made, 'wide/left')['preprocess'], 'image', '/robot') == '/robot/left/image_raw'
    assert topic(at(made, 'wide')['inference'], 'left/input_tensors', '/robot') == '/robot/wide/left/input_tensors'


def test_two_models_where_the_second_is_top_down_stay_a_chain(plan, models):
    made = plan(models=f'{models}/cups.onnx,{models}/pose.onnx', cameras='front')
    assert set(at(made, '')) == {'inference', 'crops_inference'}
    made = plan(models=f'{models}/cups.onnx,{models}/pose.onnx')
    assert 'crops' in at(made, '')


def test_models_of_one_name_are_told_apart_by_their_tasks(plan, models, tmp_path):
    for name in ('cups', 'lanes'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'model.onnx').write_bytes((models / f'{name}.onnx').read_bytes())
        card = models / f'{name}.yaml'
        if card.exists():
            (tmp_path / name / 'model.yaml').write_text(card.read_text())
    made = plan(models=f'{tmp_path}/cups/model.onnx,{tmp_path}/lanes/model.onnx', cameras='front')
    assert 'inference' in at(made, 'detection') and 'inference' in at(made, 'semantic_segmentation')
    with pytest.raises(ConfigError, match=r'two pipelines would be named model; write pipelines:=FILE.yaml'):
        plan(models=f'{tmp_path}/cups/model.onnx,{tmp_path}/cups/model.onnx', cameras='front')


@pytest.mark.parametrize(
    ('names', 'given', 'fault'),
    [
        ('cups,wide,pose', {}, 'pose.onnx finds the keypoints of a person in a box, and of 3 models it is unclear'),
        ('pose,cups', {}, 'pose.onnx finds the keypoints of a person in a box, and of 2 models it is unclear whose'),
        ('cups,gone', {}, "no such file '{}/gone.onnx'"),
        ('cups,wide', {'model_card': 'a.yaml,b.yaml,c.yaml'}, 'expected one for each of 2 models'),
        ('cups,wide', {'completion': 'true'}, 'completion:=true: it is unclear which of the models its depth is for'),
        ('lanes,wide', {'poses': 'true'}, 'lanes.onnx is for semantic_segmentation and finds no objects'),
    ],
)
def test_what_is_unclear_is_an_error_that_says_what_to_write(plan, models, names, given, fault):
    paths = ','.join(f'{models}/{name}.onnx' for name in names.split(','))
    with pytest.raises(ConfigError) as error:
        plan(models=paths, cameras='front', **given)
    assert fault.format(models) in str(error.value)


def test_several_models_without_cameras_say_what_they_need(plan, models):
    with pytest.raises(ConfigError, match=r'expected a person detector and a model of top-down.*give cameras:=front'):
        plan(models=f'{models}/cups.onnx,{models}/wide.onnx')
    with pytest.raises(ConfigError, match=r'got 3 paths.*give cameras:=front, for each of them to run by itself'):
        plan(models=f'{models}/cups.onnx,{models}/wide.onnx,{models}/lanes.onnx')
    with pytest.raises(ConfigError, match=r'give them the other way round$'):
        plan(models=f'{models}/pose.onnx,{models}/cups.onnx')


def test_a_file_says_how_each_model_is_served(of_file, models):
    made = of_file(
        [
            {'name': 'safety', 'model': 'cups.onnx', 'priority': 3, 'threads': 2, 'batch_wait_ms': 2.0},
            {'name': 'rest', 'model': 'lanes.onnx', 'cameras': ['left'], 'namespace': 'slow/lanes', 'max_batch': 1},
        ]
    )
    first, second = at(made, 'safety')['inference'].parameters, at(made, 'slow/lanes')['inference'].parameters
    assert first == {
        'model': str(models / 'cups.onnx'),
        'streams': ['front', 'left'],
        'priority': 3,
        'onnxruntime.threads': 2,
        'batch_wait_ms': 2.0,
    }
    assert second == {'model': str(models / 'lanes.onnx'), 'streams': ['left'], 'max_batch': 1}
    assert not at(made, 'slow/lanes/front') and 'segmentation' in at(made, 'slow/lanes/left')


def test_tasks_say_which_nodes_there_are(of_file):
    def names(**fields):
        made = of_file([{'name': 'a', 'model': 'demo', **fields}], cameras=['front'])
        return [spec.name for spec in made.nodes if spec.namespace == 'a/front']

    assert names() == ['preprocess', 'detection', 'track', 'pose', 'annotate'], 'all that the model gives reason to'
    assert names(tasks=[]) == ['preprocess', 'detection']
    assert names(tasks=['masks', 'poses']) == ['preprocess', 'detection', 'pose']
    assert names(tasks=['track', 'annotate']) == ['preprocess', 'detection', 'track', 'annotate']


def test_skeletons_are_a_task(of_file):
    def names(**fields):
        made = of_file([{'name': 'a', 'model': 'pose.onnx', **fields}], cameras=['front'])
        return [spec.name for spec in made.nodes if spec.namespace == 'a/front']

    assert 'skeletons' in names() and 'skeletons' in names(tasks=['skeletons'])
    assert names(tasks=[]) == ['preprocess', 'keypoints']


def test_the_file_s_parameters_go_before_those_of_a_parameter_file(of_file, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/detection: {ros__parameters: {score_threshold: 0.3, max_detections: 7}}\n')
    made = of_file(
        [{'name': 'a', 'model': 'cups.onnx', 'params': {'detection': {'score_threshold': 0.6}}}], params_file=str(file)
    )
    found = at(made, 'a/left')['detection'].parameters
    assert (found['score_threshold'], found['max_detections']) == (0.6, 7)


def test_a_file_s_cameras_have_their_topics(of_file):
    cameras = {
        'front': {'image': 'image_raw', 'depth': '/other/depth'},
        'left': {'source': '0'},
        'rear': {'simulator': {'seed': 5}},
    }
    made = of_file([{'name': 'a', 'model': 'demo', 'tasks': ['poses']}], cameras=cameras)
    pose = at(made, 'a/front')['pose']
    assert (topic(pose, 'image'), topic(pose, 'camera_info')) == ('/front/image_raw', '/front/camera_info')
    assert topic(pose, 'depth/image') == '/other/depth'
    assert at(made, 'left')['camera'].parameters == {'source': '0', 'frame_id': 'left_optical_frame'}
    assert at(made, 'rear')['sim_camera'].parameters == {'frame_id': 'rear_optical_frame', 'seed': 5}
    for camera in ('left', 'rear'):
        name = 'camera' if camera == 'left' else 'sim_camera'
        assert topic(at(made, camera)[name], 'image') == topic(at(made, f'a/{camera}')['preprocess'], 'image')


def test_cameras_simulated_alike_look_at_one_scene(of_file):
    """Where their parameters differ, so do their scenes; people are seen by one camera."""
    room = {'simulator': {'scene': 'people'}}
    cameras = {
        'front': {'simulator': {'seed': 5}},
        'left': {'simulator': {'seed': 5}, 'image': '/usb/image', 'camera_info': 'info'},
        'top': {'simulator': {'seed': 6}},
        'door': room,
        'gate': room,
        'rear': {'source': '0'},
    }
    made = of_file([{'name': 'a', 'model': 'cups.onnx'}], cameras=cameras)
    nodes = {spec.namespace: spec for spec in made.nodes if spec.plugin in (plugin('sim_camera'), plugin('camera'))}
    assert set(nodes) == {'', 'top', 'door', 'gate', 'rear'}
    both = nodes['']
    assert (both.parameters['cameras'], both.parameters['seed']) == (['front', 'left'], 5)
    assert (topic(both, 'left/image'), topic(both, 'left/camera_info')) == ('/usb/image', '/left/info')
    assert topic(both, 'front/image') == '/front/image'


def test_simulated_cameras_take_the_place_of_a_file_s_and_look_at_one_scene(of_file):
    """But a simulated one of the file stays what it is."""
    cameras = {'front': {}, 'left': {'source': '0'}, 'rear': {'simulator': {'seed': 3}}}
    made = of_file([{'name': 'a', 'model': 'cups.onnx'}], cameras=cameras, simulate='true')
    assert all(spec.plugin != plugin('camera') for spec in made.nodes)
    found = {spec.namespace: spec.parameters for spec in made.nodes if spec.plugin == plugin('sim_camera')}
    assert found['']['cameras'] == ['front', 'left']
    assert found['rear']['seed'] == 3 and found.keys() == {'', 'rear'}


def test_two_scenes_of_several_cameras_have_nodes_of_their_own(of_file):
    cameras = {name: {'simulator': {'seed': seed}} for name, seed in (('a', 1), ('b', 2), ('c', 1), ('d', 2))}
    made = of_file([{'name': 'p', 'model': 'cups.onnx'}], cameras=cameras)
    found = {spec.name: spec.parameters['cameras'] for spec in made.nodes if spec.plugin == plugin('sim_camera')}
    assert found == {'sim_camera_1': ['a', 'c'], 'sim_camera_2': ['b', 'd']}


@pytest.mark.parametrize(
    ('params', 'fault'),
    [
        ({'detecton': {}}, '(a).params.detecton: no such node, did you mean detection?'),
        ({'camera': {'source': '0'}}, '(a).params.camera: no such node'),
        (
            {'detection': {'score_treshold': 0.1}},
            '(a).params.detection: parameter score_treshold: no such parameter',
        ),
        ({'detection': {'score_threshold': 3}}, '(a).params.detection: parameter score_threshold: got 3'),
        ({'inference': {'priority': 3}}, '(a).params.inference.priority: the pipeline has priority: for that'),
        (
            {'inference': {'onnxruntime': {'threads': 3}}},
            'inference.onnxruntime.threads: the pipeline has threads',
        ),
        ({'preprocess': {'rectify': True}}, '(a).params.preprocess.rectify: the pipeline has rectify: for that'),
    ],
)
def test_parameters_that_a_node_does_not_have(of_file, params, fault):
    with pytest.raises(ConfigError) as error:
        of_file([{'name': 'a', 'model': 'cups.onnx', 'params': params}])
    assert fault in str(error.value)


def test_parameters_for_nodes_that_the_pipeline_has_not(of_file):
    """There are such nodes, but none here: what is set for them would be set for nobody, without a word."""
    params = {'segmentation': {}, 'skeletons': {'wait_s': 2.0}, 'detection': {}, 'budget': {'window': 20}}
    with pytest.raises(ConfigError) as error:
        of_file([{'name': 'a', 'model': 'cups.onnx', 'tasks': ['detection'], 'params': params}])
    lines = str(error.value).splitlines()
    assert '(a).params.segmentation: this pipeline has no such node' in lines[0]
    assert '(a).params.skeletons: this pipeline has no such node' in lines[1]
    assert len(lines) == 2, 'a budget may be asked for at the next start'
    assert 'it has: preprocess, inference, detection;' in lines[0]


def test_a_section_of_a_camera_s_own_inference_node_is_named(of_file, tmp_path):
    """There is one for all cameras, elsewhere: a priority that is given to none of them must not go unsaid."""
    path = tmp_path / 'mine.yaml'
    path.write_text(
        '/a/front/inference:\n  ros__parameters: {priority: 3}\n/a/front/detection:\n  ros__parameters: {}\n'
    )
    made = of_file([{'name': 'a', 'model': 'cups.onnx'}], params_file=str(path))
    [remark] = made.remarks
    assert 'section /a/front/inference applies to no node that is started here; nearest is /a/inference' in remark


def test_parameters_that_a_simulated_camera_does_not_have(of_file):
    with pytest.raises(ConfigError, match=r'cameras.front.simulator: parameter sead: no such parameter, did'):
        of_file([{'name': 'a', 'model': 'cups.onnx'}], cameras={'front': {'simulator': {'sead': 1}}})


def test_the_cameras_of_a_simulator_are_those_of_the_file(of_file):
    with pytest.raises(ConfigError, match=r'cameras.front.simulator.cameras: the file has cameras: for that'):
        of_file([{'name': 'a', 'model': 'cups.onnx'}], cameras={'front': {'simulator': {'cameras': ['x', 'y']}}})


def test_what_no_node_takes_of_a_pipeline_s_keys(of_file):
    with pytest.raises(ConfigError, match=r'\(a\).batch_wait_ms: parameter batch_wait_ms: got 1000000.0'):
        of_file([{'name': 'a', 'model': 'cups.onnx', 'batch_wait_ms': 1e6}])


def test_a_source_that_is_not_there(of_file, tmp_path):
    """But where simulated cameras take its place, as on a computer that has none of the robot's files."""
    cameras = {'front': {'source': 'photos'}, 'left': {'source': '0'}, 'top': {'source': 'rtsp://top/video'}}
    pipelines = [{'name': 'a', 'model': 'cups.onnx'}]
    with pytest.raises(ConfigError) as error:
        of_file(pipelines, cameras=cameras)
    [said] = str(error.value).splitlines()
    assert f"cameras.front.source: no such file or folder '{tmp_path}/photos'" in said
    of_file(pipelines, cameras=cameras, simulate='true')
    (tmp_path / 'photos').mkdir()
    of_file(pipelines, cameras=cameras)


def test_a_topic_of_two_cameras_of_one_simulator(of_file):
    camera = {'simulator': {}, 'depth': '/depth'}
    with pytest.raises(
        ConfigError, match='/sim_camera would publish /depth for 2 cameras; give each a topic of its own'
    ):
        of_file([{'name': 'a', 'model': 'cups.onnx'}], cameras={'front': camera, 'left': camera})


def test_a_file_and_arguments_that_say_the_same(of_file):
    with pytest.raises(ConfigError, match=r'pipelines:=.* and poses:=true and track:=true: the file says what runs on'):
        of_file([{'name': 'a', 'model': 'cups.onnx'}], track='true', poses='true')


def test_names_that_come_twice(of_file):
    pipelines = [
        {'name': 'a', 'model': 'cups.onnx', 'namespace': 'x', 'cameras': ['y']},
        {'name': 'b', 'model': 'wide.onnx', 'namespace': 'x/y', 'cameras': ['z']},
    ]
    made = of_file(pipelines, cameras=['y', 'z'])  # x/y has both a camera's nodes and a pipeline's: other names
    assert len({spec.full_name('') for spec in made.nodes}) == len(made.nodes)


def test_priorities_hold_within_a_process(of_file):
    pipelines = [{'name': 'a', 'model': 'cups.onnx', 'priority': 3}, {'name': 'b', 'model': 'wide.onnx'}]
    assert of_file(pipelines).remarks == ()
    [remark] = of_file(pipelines, composed='false').remarks
    assert 'composed:=false: the priorities 1, 3 hold within a process' in remark


@pytest.mark.skipif(not HAS_STREAMS, reason='the inference node has no streams yet')
def test_every_parameter_is_declared(of_file):
    made = of_file(
        [
            {'name': 'a', 'model': 'cups.onnx', 'priority': 3, 'threads': 2, 'batch_wait_ms': 2.0, 'max_batch': 1},
            {'name': 'b', 'model': 'plates.onnx'},
        ],
        simulate='true',
    )
    for spec in made.nodes:
        build(load_class(spec.package, spec.plugin).Parameters, spec.parameters)


def test_every_topic_has_one_publisher(of_file):
    made = of_file([{'name': 'a', 'model': 'demo'}, {'name': 'b', 'model': 'lanes.onnx'}], simulate='true')
    found = [name for spec in made.nodes for name in outputs(spec, '/robot')]
    assert len(found) == len(set(found))
    assert {'/robot/front/image', '/robot/a/front/track/detections_3d', '/robot/b/left/class_mask'} <= set(found)
    assert resolve('/robot', 'a') == '/robot/a'


def test_a_budget_is_watched_for_each_camera_of_each_pipeline(plan, models, tmp_path):
    path = tmp_path / 'pipelines.yaml'
    path.write_text(
        'cameras: {front: {}, left: {camera_info: /usb/camera_info}}\nbudget: manipulation\n'
        f'pipelines:\n- {{name: a, model: {models}/cups.onnx, tasks: [track]}}\n'
        f'- {{name: b, model: {models}/plates.onnx, tasks: [], target_rate_hz: 10, cameras: [left]}}\n'
    )
    made = plan('/robot', pipelines=path)
    first, second = at(made, 'a/left')['budget'], at(made, 'b/left')['budget']
    assert first.parameters == {'budget': 'manipulation', 'nodes': ['preprocess', 'inference', 'detection', 'track']}
    chain = ['preprocess', 'inference', 'detection']
    assert second.parameters == {'budget': 'manipulation', 'nodes': chain, 'target_rate_hz': 10.0}
    assert topic(first, 'inference/timings', '/robot') == '/robot/a/inference/timings', 'which all its cameras share'
    assert topic(first, 'camera_info', '/robot') == '/usb/camera_info'
    assert topic(at(made, 'a/front')['budget'], 'camera_info', '/robot') == '/robot/front/camera_info'
    assert topic(second, 'preprocess/timings', '/robot') == '/robot/a/left/preprocess/timings', 'that is who prepares'
    assert topic(first, 'preprocess/timings', '/robot') == '/robot/a/left/preprocess/timings'
    given = plan(pipelines=path, budget='humanoid')
    assert at(given, 'a/left')['budget'].parameters['budget'] == 'humanoid', 'who starts it says it last'


def test_cameras_of_one_model_have_a_budget_each(plan, models):
    made = plan(model=models / 'cups.onnx', cameras='front,left', budget='manipulation')
    for camera in ('front', 'left'):
        watcher = at(made, camera)['budget']
        assert watcher.parameters['nodes'] == ['preprocess', 'inference', 'detection']
        assert topic(watcher, 'inference/timings') == '/inference/timings'
        assert topic(watcher, 'preprocess/timings') == f'/{camera}/preprocess/timings'


def test_a_budget_that_there_is_not(plan, models, tmp_path):
    path = tmp_path / 'pipelines.yaml'
    path.write_text(
        f'cameras: {{front: {{}}}}\nbudget: manipulater\npipelines:\n- {{name: a, model: {models}/cups.onnx}}\n'
    )
    with pytest.raises(ConfigError, match=r'pipelines .*pipelines.yaml: budget: .*did you mean manipulation'):
        plan(pipelines=path)


def test_a_topic_of_a_camera_that_a_pipeline_publishes(of_file):
    with pytest.raises(ConfigError, match=r'/a/front/detection and /left/camera would both publish /a/front/det'):
        of_file(
            [{'name': 'a', 'model': 'cups.onnx'}],
            cameras={'front': {}, 'left': {'source': '0', 'image': '/a/front/detections'}},
        )


def test_a_quality_of_service_is_for_all_pipelines(of_file):
    made = of_file([{'name': 'a', 'model': 'cups.onnx'}, {'name': 'b', 'model': 'plates.onnx'}], qos='realtime')
    for namespace in ('a', 'b'):
        assert at(made, namespace)['inference'].parameters['tensor_qos.deadline_s'] > 0
    assert at(made, 'a/front')['preprocess'].parameters['also_models'], 'still one for both'
