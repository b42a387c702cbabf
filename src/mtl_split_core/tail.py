# SPDX-License-Identifier: Apache-2.0
"""The server side of a frame: check, decode, tail network, results."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import Network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.codecs import make_codecs
from mtl_split_core.encode import Encoder, check_network
from mtl_split_core.errors import BundleError, PacketError, RefusalReason
from mtl_split_core.geometry import Letterbox
from mtl_split_core.packet import FeaturePacket, check_packet
from mtl_split_core.pictures import PICTURE_QUALITY, decode_picture, encode_picture
from mtl_split_core.postprocess import Outputs, Threshold, output_names, postprocess
from mtl_split_core.results import FrameResults
from mtl_split_core.timing import StageClock


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A packet that was checked and decoded.

    Args:
        letterbox: Where the source image lies in the network input.
        z: Z_b, float32 [C, h, w]; None for a picture.
        picture: RGB, uint8 [H, W, 3]; None for features.
        clock: Has timed the decoding.
    """

    letterbox: Letterbox
    z: NDArray[np.float32] | None
    picture: NDArray[np.uint8] | None
    clock: StageClock


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Features of a frame, as the network takes them.

    Args:
        letterbox: Where the source image lies in the network input.
        z: Z_b, float32 [C, h, w].
        clock: Has timed what came before.
    """

    letterbox: Letterbox
    z: NDArray[np.float32]
    clock: StageClock


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the network says of a frame.

    Args:
        letterbox: Where the source image lies in the network input.
        outputs: Array by output name, of this frame alone.
        clock: Has timed what came before, the run of the network included.
    """

    letterbox: Letterbox
    outputs: Outputs
    clock: StageClock


class TailStage:
    """Turns packets into results. Not for several threads at once.

    A tail whose `z_b` has an open first dimension answers several frames in one run, and each of
    its outputs has that dimension in front. One of older bundles has 1 there, outputs without it,
    and runs once for each frame.

    Args:
        bundle: Bundle in use.
        network: Its tail, loaded.
        encoder: Its encoder, loaded; needed for packets that carry a picture.
        score_threshold: Smallest score of a box; the bundle's when None. May be set live, as
            `mask_smoothing` may, see postprocess().
        now: Monotonic clock, nanoseconds.

    Raises:
        BundleError: A network is not what the bundle says.
    """

    def __init__(
        self,
        bundle: Bundle,
        network: Network,
        *,
        encoder: Network | None = None,
        score_threshold: Threshold | None = None,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        check_network(network, 'tail', {'z_b': (1, *bundle.feature_shape)}, output_names(bundle))
        self.score_threshold = score_threshold
        self.mask_smoothing = 0
        self._bundle = bundle
        self._network = network
        self._encoder = Encoder(bundle, encoder) if encoder else None
        self._codecs = make_codecs(bundle)
        self._now = now
        self.batched = network.input_shapes['z_b'][0] is None
        """Whether one run of the network may answer several frames."""

    def warm_up(self, batch: int = 1) -> None:
        """Run everything once, so that the first frame takes no longer than the others.

        Args:
            batch: Most frames that will be given to infer() at once.
        """
        size, shape = self._bundle.input, self._bundle.feature_shape
        z = np.zeros(shape, np.float32)
        codec = self._codecs[CodecId.ENTROPY]
        for rate in range(len(self._bundle.rates)):
            codec.decode(codec.encode(z, rate), rate, shape)
        if self._encoder:
            black = np.zeros((size.height, size.width, 3), np.uint8)
            for kind in PICTURE_FORMATS.values():
                payload = encode_picture(black, kind, PICTURE_QUALITY[0])
                self._encoder.normalise(decode_picture(payload, kind, size.width, size.height))
            self._encoder.run()
        letterbox = Letterbox.fit(size.width, size.height, size.width, size.height)
        self.run_features(z, letterbox)
        # The largest first: what it allocates serves the others.
        for count in range(batch if self.batched else 1, 1, -1):
            self.infer([Encoded(letterbox, z, StageClock(self._now))] * count)

    def run(self, packet: FeaturePacket) -> FrameResults:
        """Answer a packet.

        Args:
            packet: Packet from the wire, not yet checked.

        Returns:
            Results in source pixels; times: decode, tail, postprocess, and encode for a picture.

        Raises:
            PacketError: The packet is refused; the text names field, value and what is expected.
        """
        return self.finish(self.prepare(packet))

    def prepare(self, packet: FeaturePacket) -> Prepared:
        """Check and decode a packet; may run in one other thread beside finish().

        Args:
            packet: Packet from the wire, not yet checked.

        Returns:
            What finish() takes.

        Raises:
            PacketError: The packet is refused; the text names field, value and what is expected.
        """
        clock = StageClock(self._now)
        with clock.stage('decode'):
            check_packet(packet, self._bundle)
            codec = CodecId(packet.codec)
            z, picture = None, None
            if codec in PICTURE_FORMATS:
                self._picture_encoder(codec)
                size = self._bundle.input
                kind = PICTURE_FORMATS[codec]
                picture = decode_picture(packet.payload, kind, size.width, size.height)
            else:
                shape = self._bundle.feature_shape
                z = self._codecs[codec].decode(packet.payload, packet.rate, shape)
        return Prepared(packet.letterbox, z, picture, clock)

    def finish(self, prepared: Prepared, wanted: Collection[str] | None = None) -> FrameResults:
        """Answer what was decoded; arguments and errors as of run().

        Args:
            prepared: From prepare().
            wanted: Names of the tasks whose results somebody reads; None for all.

        Returns:
            Results in source pixels; times: decode, tail, postprocess, and encode for a picture.

        Raises:
            PacketError: PAYLOAD, when the features drive the network out of its range.
        """
        return self._answer(self.encoded(prepared), wanted)

    def run_features(
        self,
        z: NDArray[np.float32],
        letterbox: Letterbox,
        wanted: Collection[str] | None = None,
    ) -> FrameResults:
        """Answer features that never were a packet.

        Args:
            z: Z_b, float32 [C, h, w].
            letterbox: Where the source image lies in the network input.
            wanted: Names of the tasks whose results somebody reads; None for all.

        Returns:
            Results in source pixels; times: tail, postprocess.
        """
        return self._answer(Encoded(letterbox, z, StageClock(self._now)), wanted)

    def encoded(self, prepared: Prepared) -> Encoded:
        """Run the encoder where a packet carried a picture: the first step of finish().

        Args:
            prepared: From prepare().

        Returns:
            What infer() takes.
        """
        z = prepared.z
        if z is None:
            assert self._encoder is not None
            assert prepared.picture is not None
            with prepared.clock.stage('encode'):
                self._encoder.normalise(prepared.picture)
                z = self._encoder.run()
        return Encoded(prepared.letterbox, z, prepared.clock)

    def infer(self, frames: Sequence[Encoded]) -> list[Inferred]:
        """Run the network on frames, all at once where it takes that: the second step of finish().

        Args:
            frames: From encoded(), at least one.

        Returns:
            One for each, in their order; its time of the stage `tail` is that of the whole run.

        Raises:
            BundleError: The network does not answer as many frames as it was given.
        """
        if not self.batched or len(frames) == 1:
            return [one for frame in frames for one in self._infer([frame])]
        return self._infer(frames)

    def results(self, inferred: Inferred, wanted: Collection[str] | None = None) -> FrameResults:
        """Make results of what the network says: the last step of finish().

        Args:
            inferred: From infer().
            wanted: Names of the tasks whose results somebody reads; None for all.

        Returns:
            Results as of finish().

        Raises:
            PacketError: PAYLOAD, when the features drive the network out of its range.
        """
        clock = inferred.clock
        with clock.stage('postprocess'):
            results = postprocess(
                inferred.outputs,
                inferred.letterbox,
                self._bundle,
                self.score_threshold,
                mask_smoothing=self.mask_smoothing,
                wanted=wanted,
            )
        return replace(results, times=clock.times)

    def _answer(self, frame: Encoded, wanted: Collection[str] | None) -> FrameResults:
        (inferred,) = self.infer([frame])
        return self.results(inferred, wanted)

    def _infer(self, frames: Sequence[Encoded]) -> list[Inferred]:
        run = StageClock(self._now)
        with run.stage('tail'):
            z = frames[0].z[np.newaxis] if len(frames) == 1 else np.stack([f.z for f in frames])
            outputs = self._network.run({'z_b': z})
        for frame in frames:
            frame.clock.times.update(run.times)
        if not self.batched:
            (frame,) = frames
            return [Inferred(frame.letterbox, outputs, frame.clock)]
        for name, array in outputs.items():
            if array.shape[:1] != (len(frames),):
                msg = (
                    f'tail output {name} is {list(array.shape)} for {len(frames)} frames, expected '
                    'them along the first dimension: export the bundle again'
                )
                raise BundleError(msg)
        return [
            Inferred(f.letterbox, {name: a[i] for name, a in outputs.items()}, f.clock)
            for i, f in enumerate(frames)
        ]

    def _picture_encoder(self, codec: CodecId) -> Encoder:
        if self._encoder is None:
            msg = (
                f'codec is {codec.value} ({codec.name.lower()}), a picture, and this end runs the '
                'tail alone: load the encoder here too or send features'
            )
            raise PacketError(RefusalReason.CODEC, msg)
        return self._encoder
