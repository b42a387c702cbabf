# SPDX-License-Identifier: Apache-2.0
"""Messages of the graph as what the viewer draws: pictures, boxes, masks, curves, states."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import rerun as rr
from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle, TaskType, load_bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.errors import BundleError, ImageError
from mtl_split_core.pictures import PICTURE_QUALITY, encode_picture
from mtl_split_core.results import UNLABELLED
from mtl_split_ros.images import JPEG_START, PNG_START, to_rgb
from mtl_split_ros.windows import RateMeter
from mtl_split_tools.view.layout import (
    ARRIVAL,
    BOXES,
    BYTES,
    EVENTS,
    IMAGE,
    LATENCY,
    LEGEND,
    MASK,
    RATE,
    STAMP,
    STATES,
)
from mtl_split_tools.view.legend import Color, any_color, draw_legend
from mtl_split_tools.view.topics import Role

RAW_QUALITY = 80  # as JPEG: raw pictures would fill the memory of the browser in seconds
MASK_OPACITY = 0.45
RATE_WINDOW_S = 2.0
KEPT_ARRIVALS = 256
OUTCOMES = {
    FrameStatus.ANSWERED_BY_EDGE: 'edge',
    FrameStatus.ANSWERED_BY_SERVER: 'server',
    FrameStatus.MISSED: 'missed',
    FrameStatus.DROPPED: 'dropped',
}
STAGES = ('wait', 'convert', 'letterbox', 'encode', 'entropy')
OF_A_PICTURE = frozenset(
    {Role.IMAGE, Role.FEATURES, Role.STATUS, Role.BOXES, Role.MASK, Role.CLASSES}
)  # the stamps of the others are of the clock of who sent them
Stamp = tuple[int, int]


class Scene:
    """Draws messages into a stream of the viewer.

    Args:
        stream: Takes everything.
    """

    def __init__(self, stream: rr.RecordingStream) -> None:
        self._stream = stream
        stream.set_log_time_enabled(False)
        stream.set_log_tick_enabled(False)
        self._bundle: Bundle | None = None
        self._ids: dict[str, int] = {}
        self._labels: dict[Role, LabelInfo] = {}
        self._contexts: dict[str, rr.AnnotationContext] = {}
        self._states: dict[str, str] = {}
        self._arrivals: OrderedDict[Stamp, float] = OrderedDict()
        self._meters: dict[str, RateMeter] = {}
        self._announced = ''
        self._result = ''
        self._topic = ''
        self._now = 0.0
        self._stamp: np.datetime64 | None = None
        self._has_status = False
        self._draw: dict[Role, Any] = {
            Role.IMAGE: self._image,
            Role.CONTRACT: self._contract,
            Role.BOX_LABELS: lambda message: self._labelled(Role.BOX_LABELS, message),
            Role.MASK_LABELS: lambda message: self._labelled(Role.MASK_LABELS, message),
            Role.FEATURES: self._features,
            Role.STATUS: self._status,
            Role.REPORT: self._report,
            Role.BOXES: self._boxes,
            Role.MASK: self._mask,
            Role.CLASSES: self._classes,
        }

    def show(self, topic: str, role: Role, message: Any, arrived: int) -> None:
        """Draw a message.

        Args:
            topic: Where it came from.
            role: What it says.
            message: Of the type that goes with it.
            arrived: Nanoseconds; of the recording, or of this machine.
        """
        self._now = arrived / 1e9
        self._stream.reset_time()
        self._stream.set_time(ARRIVAL, timestamp=np.datetime64(arrived, 'ns'))
        if role in OF_A_PICTURE:
            stamp = message.header.stamp
            self._stamp = np.datetime64(stamp.sec * 10**9 + stamp.nanosec, 'ns')
        if self._stamp is not None:
            self._stream.set_time(STAMP, timestamp=self._stamp)
        self._follow(topic, role, message.header)
        self._draw[role](message)
        if self._announced and self._stamp is not None:
            self._event(f'bundle: {self._announced}')
            self._announced = ''

    def _follow(self, topic: str, role: Role, header: Header) -> None:
        self._topic = topic
        stamp = (header.stamp.sec, header.stamp.nanosec)
        if role is Role.IMAGE:
            self._count('camera')
            self._arrivals[stamp] = self._now
            while len(self._arrivals) > KEPT_ARRIVALS:
                self._arrivals.popitem(last=False)
        elif role in (Role.BOXES, Role.MASK, Role.CLASSES):
            self._result = self._result or topic
            if topic == self._result:
                self._count('answered')
            waited = self._now - self._arrivals.get(stamp, self._now)
            if waited > 0:
                self._plot(f'{LATENCY}/{role.partition("/")[0]}_here', waited * 1e3)

    def _count(self, name: str) -> None:
        meter = self._meters.setdefault(name, RateMeter(RATE_WINDOW_S))
        meter.add(now=self._now)
        if frames := meter.rates(self._now)[0]:
            self._plot(f'{RATE}/{name}', frames)

    def _plot(self, path: str, value: float) -> None:
        self._stream.log(path, rr.Scalars(value))

    def _state(self, name: str, value: str, event: str = '', *, warn: bool = False) -> None:
        """Note a state where it changes, with an event."""
        if self._states.get(name) == value:
            return
        self._states[name] = value
        self._stream.log(f'{STATES}/{name}', rr.StateChange(state=value))
        self._event(event or f'{name}: {value}', warn=warn)

    def _event(self, text: str, *, warn: bool = False) -> None:
        level = rr.TextLogLevel.WARN if warn else rr.TextLogLevel.INFO
        self._stream.log(EVENTS, rr.TextLog(text, level=level))

    def _image(self, message: Image | CompressedImage) -> None:
        if isinstance(message, CompressedImage):
            data = bytes(message.data)
            kind = {JPEG_START: 'jpeg', PNG_START: 'png'}
            found = next((name for start, name in kind.items() if data.startswith(start)), '')
            if not found:
                text = f'pictures of format {message.format!r} are not shown; JPEG and PNG are'
                self._state('pictures', 'refused', text, warn=True)
                return
        else:
            try:
                found, data = 'jpeg', encode_picture(to_rgb(message), 'jpeg', RAW_QUALITY)
            except ImageError as error:
                self._state('pictures', 'refused', str(error), warn=True)
                return
        if 'pictures' in self._states:
            self._state('pictures', 'shown')
        self._stream.log(IMAGE, rr.EncodedImage(contents=data, media_type=f'image/{found}'))

    def _contract(self, message: SplitContract) -> None:
        try:
            found = load_bundle(message.bundle)
        except BundleError:
            found = None
        # of another version the colours might mean other classes
        self._bundle = found if found and found.fingerprint == message.fingerprint else None
        self._announced = f'{message.bundle} {message.version}'
        for role, labels in self._labels.items():
            self._labelled(role, labels)

    def _labelled(self, role: Role, message: LabelInfo) -> None:
        self._labels[role] = message
        boxes = role is Role.BOX_LABELS
        names = {label.class_id: label.class_name for label in message.class_map}
        if boxes:
            self._ids = {name: number for number, name in names.items()}
            self._ids.update({str(number): number for number in names})
        colors = self._colors(TaskType.DETECTION if boxes else TaskType.SEGMENTATION, names)
        context = [(number, name, colors[name]) for number, name in names.items()]
        # The page keeps the first that it gets: the contract may come between this and the results.
        self._contexts[BOXES if boxes else MASK] = _context(context)
        picture = rr.Image(draw_legend([(name, color) for _, name, color in context]))
        self._stream.log(f'{LEGEND}/{"boxes" if boxes else "mask"}', picture, static=True)

    def _colors(self, kind: TaskType, names: Mapping[int, str]) -> dict[str, Color]:
        task = self._bundle.task(kind) if self._bundle else None
        known = {info.name: info.color for info in task.classes} if task else {}
        return {name: known.get(name) or any_color(number) for number, name in names.items()}

    def _features(self, message: FeatureMap) -> None:
        self._plot(BYTES, len(message.data))
        spent = sum(getattr(message, f'{stage}_us') for stage in STAGES)
        self._plot(f'{LATENCY}/edge_until_sent', spent / 1e3)
        if not self._has_status and not message.probe:
            self._state('way', _way(message))

    def _status(self, message: FrameStatus) -> None:
        self._has_status = True
        self._state('mode', message.mode)
        outcome = OUTCOMES.get(message.outcome, f'outcome {message.outcome}')
        if message.way:
            self._state('way', message.way, f'way: {message.way} ({message.reason})')
        failed = message.outcome not in (
            FrameStatus.ANSWERED_BY_EDGE,
            FrameStatus.ANSWERED_BY_SERVER,
        )
        text = f'{outcome}: {message.reason}' if failed else f'answered by: {outcome}'
        self._state('answer', outcome, text, warn=failed)
        if not failed:
            self._plot(f'{LATENCY}/answer', message.elapsed_ms)
        if np.isfinite(message.expected_ms) and message.way:
            self._plot(f'{LATENCY}/expected', message.expected_ms)

    def _report(self, message: LinkReport) -> None:
        if message.refusal:
            self._state('server', 'refused', f'server refused: {message.refusal}', warn=True)
        elif 'server' in self._states:
            self._state('server', 'accepts')

    def _boxes(self, message: Detection2DArray) -> None:
        boxes = [d.bbox for d in message.detections]
        best = [d.results[0].hypothesis for d in message.detections if d.results]
        if len(best) != len(boxes):
            return
        centers = [(box.center.position.x, box.center.position.y) for box in boxes]
        drawn = rr.Boxes2D(
            centers=np.array(centers, np.float32).reshape(-1, 2),
            sizes=np.array([(b.size_x, b.size_y) for b in boxes], np.float32).reshape(-1, 2),
            labels=[f'{found.class_id} {found.score:.2f}' for found in best],
            class_ids=[self._ids.get(found.class_id, 0) for found in best],
            show_labels=True,
        )
        self._log_context(BOXES)
        self._stream.log(BOXES, drawn)

    def _mask(self, message: Image) -> None:
        rows = np.frombuffer(message.data, np.uint8)
        if message.encoding != 'mono8' or rows.size != message.step * message.height:
            return
        mask = rows.reshape(message.height, message.step)[:, : message.width]
        self._log_context(MASK)
        self._stream.log(MASK, rr.SegmentationImage(mask, opacity=MASK_OPACITY))

    def _log_context(self, place: str) -> None:
        if place in self._contexts:
            self._stream.log(place, self._contexts.pop(place), static=True)

    def _classes(self, message: Classification) -> None:
        if message.results:
            best = message.results[0]
            name = self._topic.rpartition('/')[2]
            self._state(name, best.class_id, f'{name}: {best.class_id} {best.score:.2f}')


def _context(classes: Iterable[tuple[int, str, Any]]) -> rr.AnnotationContext:
    # what has no class is not painted over
    nothing = (UNLABELLED, '', (0, 0, 0, 0))
    return rr.AnnotationContext([rr.AnnotationInfo(*info) for info in (*classes, nothing)])


def _way(message: FeatureMap) -> str:
    try:
        kind = PICTURE_FORMATS.get(CodecId(message.codec))
        return f'{kind}:{PICTURE_QUALITY[message.rate]}' if kind else f'split:{message.rate}'
    except (ValueError, IndexError):  # from another version, or hostile
        return f'codec {message.codec}, rate {message.rate}'
