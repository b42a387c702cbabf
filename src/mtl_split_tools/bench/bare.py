# SPDX-License-Identifier: Apache-2.0
"""The tail without ROS in the server's place: what the network alone costs beside a working edge.

A network that runs without a pause on a machine that does nothing else is up to twice as fast as
between waits, with cold caches and the other side on the next core. So the server is held against
the same stage, at the camera's rate, while camera and edge work as they do beside the server.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.tail import TailStage
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.lab import Lab
from mtl_split_tools.lab.stations import Station
from mtl_split_tools.link_bench.session import RATE_HZ, SETTLE_S

THREADS = 2
"""The server's default."""
_PICTURES = 16


def beside_an_edge(bundle: Bundle, folder: Path, seconds: float, *, loopback: bool) -> list[float]:
    """Return the processor time of each run of the tail, ms.

    Args:
        bundle: Has the network.
        folder: Gets logs and reports.
        seconds: For how long to measure.
        loopback: Without a link, see Lab.
    """
    with Lab(folder, loopback=loopback) as lab:
        bare = lab.process(
            Station, 'bare', lab.server_host, 'bench.bare', '--bundle', str(bundle.path)
        )
        lab.edge(bundle=bundle.path)
        lab.camera(rate=RATE_HZ)
        time.sleep(SETTLE_S)
        began = time.monotonic()
        time.sleep(seconds)
        return [line['cpu_ms'] for line in bare.lines('run') if line['at'] >= began]


def main() -> int:
    """Run it until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--bundle', required=True)
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    _, pictures = labelled_frames(None, bundle)
    features = [encode.features(picture) for picture in itertools.islice(pictures, _PICTURES)]
    tail = TailStage(bundle, load_network(bundle.tail_path, options=BackendOptions(THREADS)))
    tail.warm_up()
    report: Path = options.report
    with report.open('w', buffering=1) as lines:
        print('ready', flush=True)
        due = time.monotonic()
        for frame in itertools.cycle(features):
            due += 1 / RATE_HZ
            time.sleep(max(0.0, due - time.monotonic()))
            began, spent = time.monotonic(), time.process_time()
            tail.run_features(*frame)
            cpu_ms = 1e3 * (time.process_time() - spent)
            lines.write(json.dumps({'kind': 'run', 'at': began, 'cpu_ms': cpu_ms}) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
