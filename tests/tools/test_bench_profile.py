# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-profile`: stacks as py-spy writes them, and what is made of them."""

import inspect
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bench import profiled
from mtl_split_tools.bench_report.flame_plot import draw_flame
from mtl_split_tools.bench_report.stacks import (
    DDS,
    NATIVE,
    NETWORK,
    PARTS,
    make_tree,
    part_of,
    read_stacks,
    shares_of,
)
from mtl_split_tools.cli import main
from mtl_split_tools.marked import fill

ROOT = Path(__file__).parents[2]
CODING = 'quantising and entropy coding'
WORKER = (
    'thread (7): worker;Thread.run (threading.py:982);Worker._run (mtl_split_ros/worker.py:110)'
)
WORK = f'{WORKER};EdgeNode._work (mtl_split_edge/node.py:1)'
SPUN = (
    'thread (5): MainThread;run (mtl_split_ros/spin.py:62);SingleThreadedExecutor.spin_once (x:1)'
)


def line_of_a_wait() -> int:
    lines, first = inspect.getsourcelines(threading.Condition.wait)
    return first + next(n for n, line in enumerate(lines) if 'waiter.acquire()' in line)


STACKS = f"""\
{WORK};run (mtl_split_core/ort_backend.py:49);Session.run (onnxruntime/capi/x.py:395) 60
{WORK};EntropyCodec.encode (mtl_split_core/codecs.py:160);learn (mtl_split_core/context.py:9) 15
{WORK};EntropyCodec.encode (mtl_split_core/codecs.py:160);learn (mtl_split_core/context.py:8) 5
{WORK};Publisher.publish (rclpy/publisher.py:70) 20
{WORKER};take (mtl_split_ros/worker.py:48);Condition.wait (threading.py:{line_of_a_wait()}) 900
{SPUN};Executor._take_subscription (rclpy/executors.py:396) 10
{SPUN};Executor.can_execute (rclpy/executors.py:544) 30
py-spy said something else
"""
CPU_MS = {5: 4.0, 7: 20.0, 8: 6.0, 9: 1.0}
NAMES = {5: 'python3', 7: 'python3', 8: 'python3', 9: 'dds.shm.1'}


def test_waits_do_not_count_and_threads_weigh_what_the_kernel_says() -> None:
    found = profiled.sums(list(shares_of(read_stacks(STACKS), CPU_MS, NAMES)))
    assert found[NETWORK] == pytest.approx(12)
    assert found[CODING] == pytest.approx(4)
    assert found['messages and publishing'] == pytest.approx(4)
    assert found['taking messages (rclpy)'] == pytest.approx(1)
    assert found['waiting for messages (rclpy)'] == pytest.approx(3)
    assert (found[NATIVE], found[DDS]) == (6, 1)
    assert sum(found.values()) == pytest.approx(sum(CPU_MS.values()))
    assert tuple(found) == PARTS


def test_a_part_is_told_by_what_is_called_not_by_the_root() -> None:
    assert part_of(('run (mtl_split_ros/spin.py:62)', 'wait (rclpy/executors.py:1)')) == PARTS[-3]
    assert part_of(('run (mtl_split_ros/spin.py:62)', 'on (mtl_split_edge/x.py:1)')) == PARTS[5]


def test_tree_joins_lines_of_a_function_and_is_drawn() -> None:
    shares = list(shares_of(read_stacks(STACKS), CPU_MS, NAMES))
    tree = make_tree(shares)
    work = tree.calls['EdgeNode._work (mtl_split_edge/node.py)']
    assert (work.part, round(work.ms, 6)) == ('', 20)
    codec = work.calls['EntropyCodec.encode (mtl_split_core/codecs.py)']
    assert (codec.part, list(codec.calls)) == (CODING, ['learn (mtl_split_core/context.py)'])
    data = draw_flame('edge', tree, profiled.sums(shares))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] > 900


def test_document_has_the_parts() -> None:
    sums = profiled.sums(list(shares_of(read_stacks(STACKS), CPU_MS, NAMES)))
    summary = {
        'machine': {'processor': 'A', 'cores': 2},
        'settings': {'bundle': 'b', 'fingerprint': 'f'},
        'parts_ms': {'edge': sums, 'server': sums},
    }
    parts = profiled.blocks(summary)
    assert '| network | 12.00 | 38.7% | 12.00 | 38.7% |' in parts['parts']
    assert '| **all but the network** | 13.00 | 41.9% |' in parts['parts']
    text = (ROOT / 'docs/performance.md').read_text()
    assert parts['parts'] in fill(text, profiled.COMMAND, parts)


def test_clocks_of_threads_run() -> None:
    before = profiled.clocks(os.getpid())
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    spent = profiled.spent_ms(before, profiled.clocks(os.getpid()), 2)
    assert spent[threading.get_native_id()] > 10
    assert before.names[threading.get_native_id()]


def test_bad_calls_fail_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert '--seconds 0 is not from 1' in fails(capsys, 'bench-profile', '--seconds', '0')
    document = tmp_path / 'doc.md'
    document.write_text('# nothing\n')
    assert 'it must have measured, parts' in fails(capsys, 'bench-profile', '--doc', document)
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python3'))
    assert 'py-spy is not installed' in fails(capsys, 'bench-profile')


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('py-spy') or os.geteuid(), reason='no py-spy, or no root')
def test_real_nodes_are_looked_into(tiny_bundle: Bundle, tmp_path: Path) -> None:
    words = ['--bundle', str(tiny_bundle.path), '--out', str(tmp_path), '--seconds', '2']
    assert main(['bench-profile', *words]) == 0
    assert (tmp_path / 'flame_edge.png').stat().st_size > 1000
    assert (tmp_path / 'flame_server.png').stat().st_size > 1000
