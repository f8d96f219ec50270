# SPDX-License-Identifier: Apache-2.0
"""isaac-inference replay: publish the topics of a recording again."""

from __future__ import annotations

import argparse
import select
import sys
import threading
from typing import Any

from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.validate_full_topic_name import validate_full_topic_name
from rich.table import Table

from isaac_inference.cli.shared.console import console
from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.session import ros_session
from isaac_inference.ros.recording import Player, PlayOptions, Recording

_LATE_S = 0.1  # reported from here on


def add_command(commands: Any) -> None:
    """Add `replay` to the command line."""
    command = commands.add_parser('replay', help='publish the topics of a recording')
    command.add_argument(
        'file',
        help='recording of "isaac-inference record" or "ros2 bag" (MCAP, SQLite), or a ROS 1 bag; file or folder',
    )
    command.add_argument('--topics', nargs='+', default=[], metavar='NAME', help='only these recorded topics')
    command.add_argument('--rate', type=float, default=1.0, metavar='R', help='2: twice as fast; 0: without pauses')
    command.add_argument('--loop', action='store_true', help='start again at the end')
    command.add_argument('--remap', nargs='+', default=[], metavar='FROM:=TO', help='publish under another name')
    command.add_argument(
        '--stamp', choices=('original', 'now'), default='original', help='header stamps: as recorded, or moved to now'
    )
    command.add_argument(
        '--exact', action='store_true', help='lose nothing: every message is confirmed before the next one is sent'
    )
    command.add_argument(
        '--wait', type=float, default=1.0, metavar='S', help='wait this long for subscribers before the first message'
    )
    command.add_argument('--start-paused', action='store_true', help='wait for Enter before the first message')
    command.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Play; 0 at the end of the recording or after Ctrl-C."""
    recording = Recording(arguments.file)
    screen = console(stderr=False)
    if recording.problem:
        screen.print(recording.problem, style='yellow')
    options = PlayOptions(
        topics=tuple(arguments.topics),
        rate=arguments.rate,
        loop=arguments.loop,
        remap=dict(_remapping(item) for item in arguments.remap),
        stamp_now=arguments.stamp == 'now',
        exact=arguments.exact,
        wait_s=arguments.wait,
    )
    with ros_session() as (context, stop):
        node = Node('player', context=context, enable_rosout=False, start_parameter_services=False)
        try:
            player = Player(node, recording, options, lambda line: screen.print(line, style='yellow'))
            screen.print(f'{recording.path}: {recording.duration_s:.1f} s, {len(player.played)} topics; Ctrl-C ends it')
            _wait_for_enter(arguments.start_paused, stop)
            if unheard := player.wait_for_subscribers(stop):
                screen.print(f'no subscribers yet on {", ".join(unheard)}')
            player.play(stop)
            player.close()
        finally:
            node.destroy_node()
    screen.print(_table(player))
    if player.latest_s > _LATE_S:
        screen.print(f'up to {player.latest_s:.2f} s late: this machine is too slow for that rate', style='yellow')
    return 0


def _remapping(item: str) -> tuple[str, str]:
    source, arrow, target = item.partition(':=')
    if not arrow:
        raise ConfigError(f'--remap {item}: expected recorded_name:=published_name')
    names = [name if name.startswith('/') else f'/{name}' for name in (source, target)]
    try:
        for name in names:
            validate_full_topic_name(name)
    except NameValidationException as error:
        raise ConfigError(f'--remap {item}: {str(error).splitlines()[0]}') from error
    return names[0], names[1]


def _wait_for_enter(is_paused: bool, stop: threading.Event) -> None:
    if not is_paused:
        return
    print('paused; press Enter to start', flush=True)
    while not stop.is_set():
        if select.select([sys.stdin], [], [], 0.1)[0]:
            sys.stdin.readline()
            return


def _table(player: Player) -> Table:
    table = Table('topic', 'type', 'messages', 'QoS', title='replayed')
    for item in player.played.values():
        name = item.name if item.name == item.recorded.name else f'{item.recorded.name} as {item.name}'
        table.add_row(name, item.recorded.type_name, str(item.count), item.qos_in_words)
    return table
