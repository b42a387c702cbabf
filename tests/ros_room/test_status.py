# SPDX-License-Identifier: Apache-2.0
from mtl_split_ros.status import Level, Status


def test_merge_as_diagnostic_updater_does() -> None:
    status = Status()
    status.merge_summary(Level.OK, '15 Hz')
    assert (status.level, status.message) == (Level.OK, '15 Hz')
    status.merge_summary(Level.WARN, 'slow')
    assert (status.level, status.message) == (Level.WARN, 'slow')
    status.merge_summary(Level.OK, 'fine')
    assert (status.level, status.message) == (Level.WARN, 'slow')
    status.merge_summary(Level.ERROR, 'refused')
    assert (status.level, status.message) == (Level.ERROR, 'slow; refused')


def test_values_are_text() -> None:
    status = Status()
    status.add('sent', 3)
    status.add('rate Hz', 14.987)
    assert status.values == [('sent', '3'), ('rate Hz', '14.99')]
