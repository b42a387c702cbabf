# SPDX-License-Identifier: Apache-2.0
"""Which test runs which command of the documents.

`runner` gives the test file that runs a command as it stands there; it takes its commands from
here. ELSEWHERE has what another test runs with other words, IN_CI what each push runs. A command in
none of them fails in test_every_command.py.
"""

from pathlib import Path

from tests.docs.test_commands import PAGES, ROOT, blocks, commands

IN_PROCESS = 'tests/docs/test_run_commands.py'
SHELL = 'tests/docs/test_shell_commands.py'
TRAINING = 'tests/docs/test_training_commands.py'
OWN_DATA = 'tests/docs/test_own_data_session.py'
SERVICES = 'tests/ros/test_documented_commands.py'
LAUNCH = 'tests/launch/test_documented_commands.py'
"""The real `ros2`, where there is one: the workflow has it in its container of Jazzy."""

BAGS = 'tests/launch/test_bags.py'
"""The real `ros2 bag`, where there is one."""

DOCKER = 'tests/docs/test_docker_commands.py'
"""The real `docker compose`, where it is asked for: a job of the workflow does."""

ZENOH = 'tests/launch/test_zenoh.py'
"""The real rmw_zenoh_cpp, where there is one: the workflow installs it."""

SYSTEM = 'tests/docs/test_system_commands.py'
VIEW = 'tests/ros/test_view.py'
VIEW_BAG = 'tests/tools/test_view.py'
DOCTOR = 'tests/ros/test_doctor.py'
SECURITY = 'tests/ros/secured.py'
DISCOVERY = 'tests/two_machines/test_discovery.py'
ELSEWHERE = {
    'mtl-split view': VIEW,
    'mtl-split view --namespace /front': VIEW,
    'mtl-split view out/demo/results.mcap': VIEW_BAG,
    'mtl-split view out/annotate/results.mcap --beside BAG': VIEW_BAG,
    'mtl-split doctor': DOCTOR,
    'mtl-split export --checkpoint out/train/mtl_split_shapes/checkpoints/best.ckpt '
    '--out models/mtl_split_shapes': 'tests/train/test_published.py',
    'mtl-split export --checkpoint out/train/ladon/beta-1.28/4-segmentation/checkpoints/last.ckpt '
    '--data data/camvid --out models/ladon-beta-1.28': 'tests/train/test_ladon_run.py',
    'mtl-split profile': OWN_DATA,
    'mtl-split profile --bundle camvid': OWN_DATA,
    'fastdds discovery -i 0 -l 10.0.0.2 -p 11811': DISCOVERY,
    'ros2 security create_keystore ~/keys': SECURITY,
    'ros2 security create_enclave ~/keys $enclave': SECURITY,
    'ros2 security create_permission ~/keys $enclave policy.xml': SECURITY,
    'ros2 security create_permission ~/keys $enclave tools.xml': SECURITY,
    'ros2 security create_enclave ~/keys /operator': SECURITY,
    'ros2 security create_permission ~/keys /operator operator.xml': SECURITY,
    'for enclave in /edge /server': SECURITY,
    'for enclave in /mtl_split_replay /mtl_split_view /mtl_split_doctor': SECURITY,
    'umask 077': SECURITY,
    'do': SECURITY,
    'done': SECURITY,
    'cd security': SECURITY,
}
"""Views go on until Ctrl-C, the doctor listens for five seconds, a profile takes 101 pictures by
each way, these exports are long, the discovery server needs the address of another machine and
`ros2 security` an installed ROS 2: the tests give them other words."""
EXPERIMENTS = {
    'ablation': 'tests/tools/test_experiment_training.py',
    'comparisons': 'tests/tools/test_experiment_training.py',
    'continued': 'tests/tools/test_experiment_training.py',
    'loc-roc-sc': 'tests/tools/test_placement_experiments.py',
    'mtl-vs-stl': 'tests/tools/test_mtl_vs_stl.py',
    'one-vs-three': 'tests/tools/test_placement_experiments.py',
    'rate-accuracy': 'tests/tools/test_experiment_rate_accuracy.py',
    'where-to-split': 'tests/tools/test_where_to_split.py',
}
"""Minutes to days; these tests take `--size smoke` or a few pictures."""
IN_CI = {
    'make test': '.ci/run',
    'source /opt/ros/jazzy/setup.bash': '.github/workflows/ci.yml',
    'rosdep install --from-paths src --ignore-src -y': '.github/workflows/ci.yml',
    'cd ros2_ws': '.github/workflows/ci.yml',
    'cd ..': '.github/workflows/ci.yml',
}
"""What cannot be a test of itself, or changes the system: each push does it on a fresh machine."""


def runner(page: str, words: list[str]) -> str | None:
    """Return the test file that runs a command as written, None where there is none."""
    text = ' '.join(words)
    if page == 'docs/own-data.md' and words[0] not in ('scripts/setup', 'source'):
        return OWN_DATA
    if text in ELSEWHERE or text in IN_CI:
        return None
    match words:
        case ['mtl-split', 'COMMAND' | 'experiment', *_]:
            return None
        case ['mtl-split', 'train', *_]:
            return TRAINING
        case ['mtl-split', *_]:
            return IN_PROCESS
        case ['ros2', 'param' | 'service', *_]:
            return SERVICES
        case ['ros2', 'launch', 'mtl_split', *_]:
            return LAUNCH
        case ['ros2', 'bag', 'record' | 'play', *_]:
            return BAGS
        case ['ros2', 'run', 'rmw_zenoh_cpp', *_] | ['export', 'RMW_IMPLEMENTATION=rmw_zenoh_cpp']:
            return ZENOH
        case ['docker', 'compose', *_]:
            return DOCKER
        case ['sudo', 'useradd' | 'cp' | 'systemctl' | 'ufw' | 'sysctl', *_]:
            return SYSTEM
        case ['git' | 'cd' | 'make' | 'source' | 'export' | 'sed' | 'openssl', *_]:
            return SHELL
        case ['scripts/setup', *_]:
            return SHELL
    return None


def elsewhere(words: list[str]) -> str | None:
    """Return the file that runs a command with other words, None where there is none."""
    if words[:2] == ['mtl-split', 'experiment']:
        return EXPERIMENTS.get(words[2])
    text = ' '.join(words)
    return ELSEWHERE.get(text) or IN_CI.get(text)


COMMANDS = [
    (str(page.relative_to(ROOT)), words)
    for page in PAGES
    for block in blocks(page)
    for words in commands(block)
]
"""Each command with its page, in their order."""


def of(test: str | Path) -> dict[str, list[list[str]]]:
    """Return the commands that a test file runs, by page."""
    name = str(Path(test).relative_to(ROOT)) if Path(test).is_absolute() else str(test)
    found: dict[str, list[list[str]]] = {}
    for page, words in COMMANDS:
        if runner(page, words) == name:
            found.setdefault(page, []).append(words)
    return found
