# SPDX-License-Identifier: Apache-2.0
"""Arguments on the line of `ros2 launch`: launch itself ignores those that the launch file does not declare."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence

from isaac_inference.errors import ConfigError
from isaac_inference.ros.bringup.launch_plan import LaunchArgument
from isaac_inference.ros.bringup.node_list import PACKAGE

_OF_LAUNCH = ('launch-prefix', 'launch-prefix-filter')  # options that it makes into arguments


def given_on_the_line(argv: Sequence[str], launch_file: str) -> list[str]:
    """Names of the arguments that `ros2 launch` gives to the launch file.

    Args:
        argv: the process's command line.
        launch_file: path of the launch file that is being run.

    Returns:
        None of them where the line is for another launch file, which includes this one: they are that one's.
    """
    words = list(argv[1:])
    if 'launch' not in words or not any(word == PACKAGE or _is_same(word, launch_file) for word in words):
        return []
    return [word.partition(':=')[0] for word in words if ':=' in word]


def refuse_unknown(names: Iterable[str], arguments: Iterable[LaunchArgument]) -> None:
    """Refuse arguments that there are not.

    Raises:
        ConfigError: names each, and the argument that was meant.
    """
    known = [argument.name for argument in arguments]
    problems = []
    for name in names:
        if name not in (*known, *_OF_LAUNCH):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {close[0]}?' if close else f'there are: {", ".join(known)}'
            problems.append(f'launch argument {name}: no such argument, {hint}')
    if problems:
        raise ConfigError('; '.join(problems))


def _is_same(word: str, path: str) -> bool:
    return os.path.isfile(word) and os.path.isfile(path) and os.path.samefile(word, path)
