# SPDX-License-Identifier: Apache-2.0
"""The command: a viewer that this machine serves, filled from the graph or from recordings."""

import argparse
import socket
import time
from pathlib import Path
from urllib.parse import quote

import rerun as rr

from mtl_split_core.errors import DataError
from mtl_split_tools.console import console
from mtl_split_tools.shipped import bag_path
from mtl_split_tools.view.layout import ARRIVAL, STAMP, layout
from mtl_split_tools.view.live import follow
from mtl_split_tools.view.recorded import show_recording
from mtl_split_tools.view.scene import Scene

DESCRIPTION = """Open a page in the browser with pictures, boxes, mask and classes, curves of bytes,
latency and rate, and mode changes as events: of the running graph, or of a recording. The page is
the viewer of Rerun, served by this machine; it needs no Internet. Ctrl-C ends it."""
EPILOG = """examples:
  mtl-split view                                          what runs now
  mtl-split view --namespace /front --image-topic /front/camera/image_raw
  mtl-split view out/demo/results.mcap
  mtl-split view out/annotate/results.mcap --beside my_bag
  mtl-split view out/demo/results.mcap --save demo.rrd    for `rerun demo.rrd`, or to send
"""
NAME = 'mtl_split'
MEMORY_LIVE, MEMORY_RECORDING = '512MB', '75%'
WAIT_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        'bag',
        type=bag_path,
        nargs='?',
        metavar='BAG',
        help='recording (default: the running graph)',
    )
    parser.add_argument(
        '--beside', type=bag_path, metavar='BAG', help='recording with the pictures of BAG'
    )
    parser.add_argument(
        '--namespace', metavar='NS', help='of the camera (default: the root; of BAG: the only one)'
    )
    parser.add_argument(
        '--image-topic',
        metavar='TOPIC',
        help="pictures (default: the edge's; of a recording: the only ones)",
    )
    parser.add_argument('--port', type=int, default=9090, help='of the page (default: %(default)s)')
    parser.add_argument(
        '--data-port', type=int, default=9876, help='of its data (default: %(default)s)'
    )
    parser.add_argument('--no-browser', action='store_true', help='print the address, open nothing')
    parser.add_argument(
        '--save', type=Path, metavar='RRD', help='write BAG to a file of the viewer, serve nothing'
    )


def run(options: argparse.Namespace) -> int:
    """Show until Ctrl-C."""
    _check(options)
    stream = rr.RecordingStream(NAME)
    if options.save:
        _save(options, stream)
        return 0
    for port in (options.port, options.data_port):
        _check_port(port)
    recorded = options.bag is not None
    data = stream.serve_grpc(
        grpc_port=options.data_port,
        default_blueprint=layout(STAMP if recorded else ARRIVAL),
        server_memory_limit=MEMORY_RECORDING if recorded else MEMORY_LIVE,
    )
    rr.serve_web_viewer(web_port=options.port, open_browser=not options.no_browser, connect_to=data)
    address = f'http://localhost:{options.port}/?url={quote(data, safe="")}'
    console.print(f'view: {address}', highlight=False, soft_wrap=True)
    try:
        _fill(options, stream)
        while recorded:
            time.sleep(WAIT_S)
    except KeyboardInterrupt:
        # Ctrl-C is how a viewer is ended, and ros2 launch calls any other status an error.
        console.print('stopped')
    return 0


def _fill(options: argparse.Namespace, stream: rr.RecordingStream) -> None:
    scene = Scene(stream)
    namespace = options.namespace
    if namespace is not None:
        namespace = '/' + namespace.strip('/') if namespace.strip('/') else ''
    if options.bag is None:
        follow(namespace or '', options.image_topic, scene.show)
        return
    count = show_recording(options.bag, options.beside, namespace, options.image_topic, scene.show)
    stream.flush()
    console.print(f'{options.bag}: {count} messages')


def _save(options: argparse.Namespace, stream: rr.RecordingStream) -> None:
    path: Path = options.save
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.part')
    try:
        stream.save(scratch, layout(STAMP))
        _fill(options, stream)
        stream.disconnect()
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    console.print(f'next: rerun {path}')


def _check(options: argparse.Namespace) -> None:
    if options.bag is None and (options.beside or options.save):
        msg = '--beside and --save go with a recording'
        raise DataError(msg)
    if options.save and options.save.suffix != '.rrd':
        msg = f'--save {options.save} does not end with .rrd, by which the viewer knows its files'
        raise DataError(msg)


def _check_port(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(('', port))
    except (OSError, OverflowError) as error:
        msg = f'port {port} cannot be used ({error}); choose others by --port and --data-port'
        raise DataError(msg) from None
