# SPDX-License-Identifier: Apache-2.0
"""isaac-inference: demo, run, pipelines, evaluate, record, replay, info, calibrate-card, convert, validate, build,
bench, budget, doctor, docs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from isaac_inference import __version__
from isaac_inference.cli import build, docs, info, record, replay
from isaac_inference.cli.bench import command as bench
from isaac_inference.cli.budget import command as budget
from isaac_inference.cli.calibrate_card import command as calibrate_card
from isaac_inference.cli.convert import command as convert
from isaac_inference.cli.demo import command as demo
from isaac_inference.cli.doctor import command as doctor
from isaac_inference.cli.evaluate import command as evaluate
from isaac_inference.cli.pipelines import command as pipelines
from isaac_inference.cli.run import command as run
from isaac_inference.cli.validate import command as validate
from isaac_inference.errors import PerceptionError

COMMANDS = (
    demo,
    run,
    pipelines,
    evaluate,
    record,
    replay,
    info,
    calibrate_card,
    convert,
    validate,
    build,
    bench,
    budget,
    doctor,
    docs,
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser('isaac-inference', description='Perception for ROS 2 robots, from one model file.')
    top.add_argument('--version', action='version', version=f'isaac_inference {__version__}')
    commands = top.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for module in COMMANDS:
        module.add_command(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 on success, 1 on failure (one line on stderr says why), 2 for a wrong command line.
    """
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.execute(arguments))
    except PerceptionError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
