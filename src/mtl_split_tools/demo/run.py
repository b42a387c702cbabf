# SPDX-License-Identifier: Apache-2.0
"""One run: replay, edge, server and recorder as processes, until every frame is answered."""

import json
import os
import queue
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.result_messages import result_types
from mtl_split_tools.console import console, error_console, progress_bar
from mtl_split_tools.demo.clip import Clip, Stamp
from mtl_split_tools.demo.interruption import Interruption
from mtl_split_tools.demo.processes import Child, Children

READY_TIMEOUT_S = 60.0
QUIET_S = 2.0  # without a new answer after the last picture, none will come
FINISH_S = 10.0  # for the recorder to finish its file, where nobody waits at Ctrl-C
POLL_S = 0.02
RESULTS = 'results.mcap'
PUBLISHED, ARRIVED = 'published.jsonl', 'arrived.jsonl'
LAST_SAFE_DOMAIN = 101  # above, the ports of a domain collide with the system's ephemeral ones


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was measured outside of the recording.

    `published` and `arrived` are in nanoseconds of the machine's monotonic clock, the latter by
    topic and stamp.
    """

    published: dict[Stamp, int]
    arrived: dict[str, dict[Stamp, int]]
    edge_rss_mb: float | None
    server_rss_mb: float | None


def result_topics(bundle: Bundle) -> list[str]:
    """Return the topics that answer a frame, as the server names them."""
    return [f'/{topic}' for topic in result_types(bundle)]


def run_processes(
    clip: Clip, bundle: Bundle, rate: int, out: Path, interruption: Interruption
) -> RunFacts:
    """Run the clip through real nodes.

    Args:
        clip: What to publish.
        bundle: For both nodes.
        rate: Rate of Z_b.
        out: Gets results.mcap and logs/.
        interruption: Asked between steps.

    Returns:
        Times and sizes that the recording does not have.

    Raises:
        MtlSplitError: A process ended or did not become ready; its own line is in the text.
    """
    logs = out / 'logs'
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    image = '/image/compressed' if clip.compressed else '/image'
    transport = 'compressed' if clip.compressed else 'raw'
    environment = _environment(logs)
    console.print(
        f'{clip.path}: {len(clip.stamps)} pictures at {clip.fps:.1f} Hz; bundle {bundle.name}, '
        f'rate {rate}; ROS_DOMAIN_ID {environment["ROS_DOMAIN_ID"]}',
        highlight=False,
        soft_wrap=True,
    )
    children = Children(logs, environment)
    with _stopping(children):
        parameters = {'bundle': bundle.path.resolve(), 'rate': rate, 'image_transport': transport}
        edge = children.start('edge', _node('edge', parameters))
        server = children.start('server', _node('server', {'bundle': bundle.path.resolve()}))
        outputs: list[str | Path] = ['--out', out / RESULTS, '--report', logs / ARRIVED]
        inputs = ['--image', image, '--results', *result_topics(bundle)]
        recording = _python('mtl_split_tools.demo.recorder', *outputs, *inputs)
        recorder = children.start('recorder', recording, piped=True)
        waiting = ['--start-paused', '--wait-for-subscribers', '2']  # edge and recorder
        options: list[str | Path] = [
            *_replay_names(clip, image),
            *waiting,
            '--report',
            logs / PUBLISHED,
        ]
        replaying = _python('mtl_split_tools', 'replay', clip.path, *options)
        replay = children.start('replay', replaying, piped=True)
        events, preflight = _read_lines(recorder), _read_lines(replay)
        _wait_until_ready(children, events, preflight, interruption)
        replay.say('resume')
        _follow(children, events, len(clip.stamps), interruption)
        facts = {'edge_rss_mb': edge.peak_rss_mb, 'server_rss_mb': server.peak_rss_mb}
        children.stop('replay', 'edge', 'server')
        children.stop('recorder', grace_s=FINISH_S)
    published = read_report(logs / PUBLISHED)
    arrived = read_report(logs / ARRIVED)
    return RunFacts(published.get(image, {}), arrived, **facts)


def read_report(path: Path) -> dict[str, dict[Stamp, int]]:
    """Read lines of topic, stamp and monotonic_ns into a mapping by topic and stamp."""
    moments: dict[str, dict[Stamp, int]] = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        entry = json.loads(line)
        if entry['stamp'] is not None:
            seconds, nanoseconds = entry['stamp']
            by_stamp = moments.setdefault(entry['topic'], {})
            by_stamp.setdefault((seconds, nanoseconds), entry['monotonic_ns'])
    return moments


@contextmanager
def _stopping(children: Children) -> Iterator[None]:
    try:
        yield
    finally:
        children.stop()


def _wait_until_ready(
    children: Children,
    events: 'queue.Queue[str]',
    preflight: 'queue.Queue[str]',
    interruption: Interruption,
) -> None:
    waiting = {'edge', 'server', 'replay'}
    deadline = time.monotonic() + READY_TIMEOUT_S
    with error_console.status('starting') as status:
        while waiting:
            interruption.check()
            children.check()
            if time.monotonic() > deadline:
                msg = (
                    f'{", ".join(sorted(waiting))} not ready after {READY_TIMEOUT_S:.0f} s; '
                    'look into the logs folder'
                )
                raise MtlSplitError(msg)
            for line in _drain(events):
                waiting.discard(json.loads(line).get('ready', ''))
            if any(line.startswith('paused') for line in _drain(preflight)):
                waiting.discard('replay')
            status.update(f'waiting for {", ".join(sorted(waiting))}')
            time.sleep(POLL_S)


def _follow(
    children: Children, events: 'queue.Queue[str]', total: int, interruption: Interruption
) -> None:
    """Show answers as they come; return when all have, or when no more will."""
    answered = 0
    quiet_since = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task('answered', total=total)
        while answered < total:
            interruption.check()
            children.check(may_end=['replay'])
            for line in _drain(events):
                answered += 'answered' in json.loads(line)
                quiet_since = time.monotonic()
                progress.update(task, completed=answered)
            if children.ended('replay') and time.monotonic() - quiet_since > QUIET_S:
                return
            time.sleep(POLL_S)


def _replay_names(clip: Clip, image: str) -> list[str]:
    remap = {clip.topic: image}
    if clip.camera_info:
        remap[clip.camera_info] = '/camera_info'
    rules = [f'{source}:={target}' for source, target in remap.items()]
    return ['--topics', *remap, '--remap', *rules]


def _python(module: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, '-m', module, *arguments]


def _node(name: str, parameters: Mapping[str, object]) -> list[str | Path]:
    command: list[str | Path] = [_executable(name), '--ros-args']
    for key, value in parameters.items():
        command += ['-p', f'{key}:={value}']
    return command


def _environment(logs: Path) -> dict[str, str]:
    environment = dict(os.environ)
    # Set by the start-up code of ROS from PyPI; a child that inherits it cannot find its libraries.
    environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    if not environment.get('ROS_DOMAIN_ID'):
        environment['ROS_DOMAIN_ID'] = str(random.randint(1, LAST_SAFE_DOMAIN))
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    environment['ROS_LOG_DIR'] = str(logs.resolve() / 'ros')
    environment['RCUTILS_COLORIZED_OUTPUT'] = '0'
    environment['PYTHONUNBUFFERED'] = '1'
    return environment


def _executable(name: str) -> Path:
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix, 'lib', 'mtl_split', name)
        if path.is_file():
            return path
    msg = (
        f'no lib/mtl_split/{name} in AMENT_PREFIX_PATH; build with scripts/setup and '
        'source ros2_ws/env.sh'
    )
    raise MtlSplitError(msg)


def _read_lines(child: Child) -> 'queue.Queue[str]':
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with suppress(ValueError):  # the pipe was closed under us, at the end
            for line in child.process.stdout or ():
                lines.put(line.decode(errors='replace'))

    threading.Thread(target=read, daemon=True).start()
    return lines


def _drain(lines: 'queue.Queue[str]') -> Iterator[str]:
    while True:
        try:
            yield lines.get_nowait()
        except queue.Empty:
            return
