# SPDX-License-Identifier: Apache-2.0
"""Who is next: no camera starves, whatever the others send and whatever deadlines they claim."""

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_split_server.schedule import NO_DEADLINE, CameraQueue, Schedule

CAMERAS = 5
DEADLINES = st.one_of(st.floats(0, 100), st.just(NO_DEADLINE))
PUTS = st.tuples(st.integers(0, CAMERAS - 1), DEADLINES)
STEPS = st.lists(st.one_of(PUTS, st.none()), max_size=200)


def test_the_newest_of_each_camera_in_the_order_of_waiting() -> None:
    schedule: Schedule[int] = Schedule()
    assert schedule.put('front', 1) is None
    assert schedule.put('rear', 2) is None
    assert schedule.put('front', 3) == 1
    assert [schedule.take(), schedule.take(), schedule.take()] == [3, 2, None]


def test_the_earliest_deadline_first_and_those_without_one_last() -> None:
    schedule: Schedule[str] = Schedule()
    for name, deadline in {'none': NO_DEADLINE, 'late': 9.0, 'soon': 1.0, 'also': 9.0}.items():
        schedule.put(name, name, deadline)
    assert [schedule.take() for _ in range(4)] == ['soon', 'late', 'also', 'none']


def test_a_newer_frame_brings_its_deadline_and_keeps_the_place() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put('a', 'a1', 5)
    schedule.put('b', 'b1', 6)
    schedule.put('a', 'a2', 7)
    assert schedule.take() == 'b1'
    schedule.put('b', 'b2', 1)
    assert schedule.take() == 'a2'


def test_a_camera_that_is_always_urgent_passes_another_once() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put('calm', 'calm', NO_DEADLINE)
    taken = []
    for number in range(3):
        schedule.put('urgent', 'urgent', float(number))
        taken.append(schedule.take())
    assert taken == ['urgent', 'calm', 'urgent']


def test_who_was_served_before_another_began_to_wait_may_still_be_first() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put('fast', 'fast1', 1)
    assert schedule.take() == 'fast1'
    schedule.put('slow', 'slow1', 50)
    schedule.put('fast', 'fast2', 2)
    assert schedule.take() == 'fast2'


def test_the_number_of_keys_is_bounded() -> None:
    schedule: Schedule[int] = Schedule(limit=2)
    assert [schedule.put(i, i) for i in range(4)] == [None, None, 0, 1]
    assert [schedule.take(), schedule.take(), schedule.take()] == [2, 3, None]


def test_names_that_are_new_each_time_do_not_pass_without_end() -> None:
    limit = 4
    schedule: Schedule[str] = Schedule(limit)
    schedule.put('good', 'good', 1e9)
    taken = []
    for number in range(3 * limit):
        schedule.put(f'new{number}', 'new', float(number))
        taken.append(schedule.take())
    assert taken.index('good') == limit
    assert len(schedule._served) <= limit


@given(STEPS)
def test_each_other_camera_passes_a_waiting_one_at_most_once(
    steps: list[tuple[int, float] | None],
) -> None:
    schedule: Schedule[tuple[int, int]] = Schedule()
    newest: dict[int, tuple[int, int]] = {}
    passed: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        if step is None:
            taken = schedule.take()
            assert (taken is None) == (not newest)
            if taken is not None:
                camera = taken[0]
                assert taken == newest.pop(camera), 'not the newest'
                del passed[camera]
                for others in passed.values():
                    others.append(camera)
                    assert len(set(others)) == len(others), 'passed twice by one camera'
            continue
        camera, deadline = step
        item = (camera, number)
        assert schedule.put(camera, item, deadline) == newest.get(camera)
        newest[camera] = item
        passed.setdefault(camera, [])


@dataclass(frozen=True)
class Sender:
    """A camera of the simulation: seconds between frames, first frame, seconds of patience."""

    period: float
    first: float
    patience: float


def play(senders: list[Sender], service: float, seconds: float) -> list[tuple[int, int]]:
    """Play a server that takes `service` for a frame; sent and answered of each camera."""
    schedule: Schedule[int] = Schedule()
    due = [sender.first for sender in senders]
    sent, answered = [0] * len(senders), [0] * len(senders)
    free = 0.0
    while min(due) < seconds:
        camera = min(range(len(senders)), key=due.__getitem__)
        # what is taken before this frame comes
        while len(schedule) and free <= due[camera]:
            taken = schedule.take()
            assert taken is not None
            answered[taken] += 1
            free += service
        free = max(free, due[camera])
        schedule.put(camera, camera, due[camera] + senders[camera].patience)
        sent[camera] += 1
        due[camera] += senders[camera].period
    return list(zip(sent, answered, strict=True))


PATIENCE = st.floats(0.001, 10)
GREEDY = st.builds(Sender, st.floats(0.002, 0.1), st.floats(0, 0.05), PATIENCE)


@settings(max_examples=60)
@given(
    others=st.lists(GREEDY, min_size=1, max_size=CAMERAS),
    service=st.floats(0.002, 0.05),
    patience=PATIENCE,
)
def test_a_calm_camera_is_answered_in_full_beside_greedy_ones(
    others: list[Sender], service: float, patience: float
) -> None:
    """Its frames come a little slower than one of each camera takes: none may be passed over."""
    period = 1.001 * (len(others) + 1) * service
    calm = Sender(period, 0.001, patience)
    (sent, answered), *_ = play([calm, *others], service, 20 * period)
    assert sent >= 19
    assert answered >= sent - 1  # the last one may still wait


@pytest.mark.parametrize('patience', [0.02, 0.15, 10.0])
def test_ten_hertz_beside_sixty(patience: float) -> None:
    """A server that does 25 a second: the camera at 60 Hz gets what the one at 10 Hz leaves."""
    calm, greedy = play([Sender(0.1, 0, 0.15), Sender(1 / 60, 0, patience)], 0.04, 60)
    assert calm[1] >= calm[0] - 1
    assert 14 <= greedy[1] / 60 <= 15.1


@pytest.mark.parametrize(
    ('cameras', 'rate', 'service'), [(2, 15, 0.04), (4, 15, 0.025), (8, 15, 0.04)]
)
def test_equal_cameras_get_equal_shares(cameras: int, rate: float, service: float) -> None:
    """Whatever lies between their images; who waits when another was just served gets no more."""
    for gap in (0.003, 0.011, 0.029):
        senders = [Sender(1 / rate, gap * number % (1 / rate), 0.15) for number in range(cameras)]
        answered = [found for _, found in play(senders, service, 60)]
        assert max(answered) <= 1.03 * min(answered)
        assert sum(answered) >= 60 / service - cameras


def test_urgent_images_go_first_where_all_can_be_done() -> None:
    """A camera with 60 ms beside two with 200: none of its images waits for both of them."""
    schedule: Schedule[str] = Schedule()
    for second in range(10):
        for name, deadline in {'a': 200.0, 'b': 200.0, 'urgent': 60.0}.items():
            schedule.put(name, name, 1000 * second + deadline)
        assert [schedule.take() for _ in range(3)] == ['urgent', 'a', 'b']
        schedule.put('urgent', 'urgent', 1000 * second + 93)
        assert schedule.take() == 'urgent'


@settings(max_examples=100)
@given(STEPS, st.integers(1, 8))
def test_together_is_the_order_of_one_after_the_other(
    steps: list[tuple[int, float] | None], most: int
) -> None:
    """So nobody is passed twice, and whoever's deadline is the earliest is in the first run."""
    one_by_one: Schedule[int] = Schedule()
    together: Schedule[int] = Schedule()
    for number, step in enumerate(steps):
        if step:
            key, deadline = step
            assert one_by_one.put(key, number, deadline) == together.put(key, number, deadline)
            continue
        items = together.take_together(most, lambda _taken, _next: True)
        assert len(items) == min(most, len(one_by_one))
        assert items == [one_by_one.take() for _ in items]
    assert len(together) == len(one_by_one)


def test_what_cannot_go_together_ends_a_batch() -> None:
    schedule: Schedule[str] = Schedule()
    for name, deadline in {'a': 1.0, 'b': 2.0, 'overlay': 3.0, 'c': 4.0, 'd': 5.0}.items():
        schedule.put(name, name, deadline)

    def take() -> list[str]:
        return schedule.take_together(4, lambda items, item: 'overlay' not in (*items, item))

    assert [take() for _ in range(4)] == [['a', 'b'], ['overlay'], ['c', 'd'], []]


def test_the_queue_gives_what_is_there_and_waits_for_no_more() -> None:
    queue: CameraQueue[str] = CameraQueue(joins=lambda _taken, _next: True)
    queue.most = 3
    for name in 'abcd':
        queue.put(name, name)
    assert queue.take() == ['a', 'b', 'c']
    assert queue.take() == ['d']
    queue.most = 1
    queue.put('e', 'e')
    queue.put('f', 'f')
    assert queue.take() == ['e']


def test_the_queue_waits_and_lets_go_when_it_is_closed() -> None:
    queue: CameraQueue[str] = CameraQueue()
    taken: list[list[str] | None] = []

    def work() -> None:
        taken.append(queue.take())
        taken.append(queue.take())

    thread = threading.Thread(target=work)
    thread.start()
    assert queue.put('front', 'frame') is None
    while not taken:
        thread.join(0.01)
    queue.close()
    thread.join(5)
    assert taken == [['frame'], None]
    queue.put('front', 'after')
    assert queue.take() is None
