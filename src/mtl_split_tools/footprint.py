# SPDX-License-Identifier: Apache-2.0
"""How much memory the edge needs in a mode, measured in a process that does nothing else."""

import subprocess
import sys
from pathlib import Path

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Mode
from mtl_split_core.tail import TailStage

_LIMIT_S = 600


def measure_memory(bundle: Bundle, mode: Mode, threads: int) -> float:
    """Return the most memory of a process that loads what the edge loads, and runs it once.

    Args:
        bundle: The bundle.
        mode: What the edge does. It keeps the encoder in every mode, as the node does.
        threads: Of the networks.

    Returns:
        MB (10^6 bytes), with Python and its libraries, without ROS.

    Raises:
        DataError: The process fails; its last line is in the message.
    """
    command = [sys.executable, '-m', __name__, str(bundle.path), str(mode), str(threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f'measuring the memory of mode {mode} took over {_LIMIT_S} s: stop what else runs'
        raise DataError(msg) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ['nothing'])[-1]
        msg = f'the memory of mode {mode} cannot be measured; {" ".join(command)} said: {said}'
        raise DataError(msg)
    return round(float(done.stdout), 1)


def main(arguments: list[str]) -> None:
    """Load, run once, and print the most memory that it took, MB."""
    bundle, options = load_bundle(Path(arguments[0])), BackendOptions(int(arguments[2]))
    stages: list[EncodeStage | TailStage] = [
        EncodeStage(bundle, load_network(bundle.encoder_path, options=options))
    ]
    if arguments[1] == Mode.LOCAL:
        stages.append(TailStage(bundle, load_network(bundle.tail_path, options=options)))
    for stage in stages:
        stage.warm_up()
    # Not ru_maxrss, which a child inherits from its parent.
    status = Path('/proc/self/status').read_text()
    print(int(status.split('VmHWM:')[1].split()[0]) * 1024 / 1e6)


if __name__ == '__main__':
    main(sys.argv[1:])
