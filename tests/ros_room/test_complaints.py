# SPDX-License-Identifier: Apache-2.0
from mtl_split_ros.complaints import KINDS_KEPT, Complaints


def test_one_line_per_kind_and_a_count_of_the_rest() -> None:
    lines: list[str] = []
    complaints = Complaints(lines.append, every_s=5)
    for i in range(10):
        complaints.add('size', f'image data has {i} bytes', now=i * 0.1)
    complaints.add('crc', 'crc32 is wrong', now=1)
    complaints.add('size', 'image data has 99 bytes', now=6)
    assert lines == [
        'image data has 0 bytes',
        'crc32 is wrong',
        'image data has 99 bytes (9 more like it before this)',
    ]
    assert complaints.counts == {'size': 11, 'crc': 1}
    assert complaints.total == 12


def test_latest_is_forgotten_after_a_while() -> None:
    complaints = Complaints(lambda _: None)
    complaints.add('crc', 'crc32 is wrong', now=10)
    assert complaints.latest(5, now=14) == 'crc32 is wrong'
    assert complaints.latest(5, now=16) == ''


def test_endless_kinds_do_not_take_endless_memory() -> None:
    complaints = Complaints(lambda _: None)
    for i in range(10 * KINDS_KEPT):
        complaints.add('codec', 'x' * i, now=0)
    assert len(complaints._said) <= KINDS_KEPT
