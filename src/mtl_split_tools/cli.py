# SPDX-License-Identifier: Apache-2.0
"""The command `mtl-split`: loads the one subcommand that runs, turns errors into one line."""

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from types import FrameType, ModuleType
from typing import NoReturn

from mtl_split_core.errors import MtlSplitError

USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT

# Name: (module with add_arguments and run or main, line in the help).
COMMANDS = {
    'demo': ('mtl_split_tools.demo.command', 'run camera and server side on a clip'),
    'replay': ('mtl_split_tools.replay', 'publish a recording, as `ros2 bag play` does'),
    'annotate': (
        'mtl_split_tools.annotate.command',
        'run both halves over a recording, as fast as it can',
    ),
    'view': ('mtl_split_tools.view.command', 'show pictures, results and figures in a browser'),
    'record': ('mtl_split_tools.record', 'make a recording of pictures or a video'),
    'inspect': ('mtl_split_tools.inspect', 'describe a model bundle or a recording'),
    'doctor': ('mtl_split_tools.doctor.command', 'say why nothing comes, and what helps'),
    'eval': ('mtl_split_tools.eval', 'measure accuracy and bytes on labelled pictures'),
    'bench-codec': ('mtl_split_tools.bench_codec', 'measure the codec and its rates, for the docs'),
    'profile': ('mtl_split_tools.profile', 'measure on this machine what each mode and rate costs'),
    'plan': ('mtl_split_tools.plan.command', 'say where to run what, from profiles and a link'),
    'simulate': (
        'mtl_split_tools.simulate',
        'play bandwidth traces through the policy of the edge',
    ),
    'bench-link': (
        'mtl_split_tools.link_bench.command',
        'measure what arrives in time over which link',
    ),
    'bench': (
        'mtl_split_tools.bench.command',
        'measure the split beside raw images, JPEG, WebP, video and floats',
    ),
    'bench-limits': (
        'mtl_split_tools.bench.limits',
        'measure how soon, how often and how large',
    ),
    'bench-cameras': (
        'mtl_split_tools.bench.cameras',
        'measure how many cameras one server answers, and how fairly',
    ),
    'bench-profile': (
        'mtl_split_tools.bench.profiled',
        'tell what both nodes spend their processor time on',
    ),
    'bench-report': (
        'mtl_split_tools.bench_report.command',
        'draw what bench measured, fill docs/performance.md',
    ),
    'bench-quick': (
        'mtl_split_tools.bench_report.quick',
        'compare ratios with those that ship, in three minutes',
    ),
    'soak': ('mtl_split_tools.soak.command', 'run for long, with a fault every 20 seconds'),
    'fuzz': ('mtl_split_tools.fuzz.command', 'throw damaged messages at all that reads the wire'),
    'experiment': (
        'mtl_split_tools.experiments.command',
        'repeat what the papers claim (needs the train extra)',
    ),
    'train': ('mtl_split_train.cli_train', 'train a network (needs the train extra)'),
    'export': ('mtl_split_train.cli_export', 'make a bundle of a trained network (train extra)'),
}
EPILOG = """examples:
  mtl-split demo
  mtl-split inspect camvid
  mtl-split replay camvid_val --loop
  mtl-split COMMAND --help
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all other errors are."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to read on, and leave with 2."""
        self.exit(USAGE_ERROR, f'mtl-split: {message} (see `{self.prog} --help`)\n')


class ShowVersion(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print it and leave with 0."""
        print(f'mtl-split {version("mtl-split")}')
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows `mtl-split`; that of this process if None.

    Returns:
        The exit status: 0, 2 for bad input, 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print('mtl-split: interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `mtl-split inspect ... | head`
        sys.stderr.close()
        return 0
    except (MtlSplitError, OSError) as error:
        print(f'mtl-split: {" ".join(str(error).split())}', file=sys.stderr)
        return USAGE_ERROR


def _run(argv: list[str]) -> int:
    parser = Parser(
        prog='mtl-split',
        description='One perception network on two machines of a ROS 2 graph: the tools.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action=ShowVersion, nargs=0, help='print the version and exit')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    run = None
    for name, (module_name, text) in COMMANDS.items():
        if argv[:1] != [name]:
            subparsers.add_parser(name, help=text)
            continue
        # Only the command that runs is imported: `inspect` needs no ROS, `replay` no network.
        module = load_command(name, module_name)
        subparser = subparsers.add_parser(
            name,
            help=text,
            description=getattr(module, 'DESCRIPTION', text),
            epilog=getattr(module, 'EPILOG', None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        run = getattr(module, 'run', None) or module.main
    options = parser.parse_args(argv)
    return int(run(options) or 0) if run else 0


def load_command(name: str, module_name: str) -> ModuleType:
    """Import the module of a command.

    Args:
        name: What a person typed, for the error.
        module_name: The module.

    Raises:
        MtlSplitError: It needs something that is not installed; says what to do.
    """
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or '').split('.')[0]
        if missing in ('torch', 'torchvision', 'lightning', 'onnx'):
            remedy = 'install the train extra: pip install -r requirements/train.txt'
        elif missing == 'rerun':
            remedy = 'install the view group: scripts/setup view'
        elif missing == 'rclpy' or missing.endswith('_msgs') or missing == 'mtl_split':
            remedy = 'source ros2_ws/env.sh first (scripts/setup builds it)'
        else:
            raise
        msg = f'`mtl-split {name}` needs {missing}; {remedy}'
        raise MtlSplitError(msg) from error


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
