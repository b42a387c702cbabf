# SPDX-License-Identifier: Apache-2.0
"""The camera side of a frame: letterbox, encoder network, codec."""

import time
import zlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import Network, fits
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.codecs import codec_version, make_codecs, payload_shape
from mtl_split_core.errors import BackendError, BundleError, ImageError
from mtl_split_core.geometry import Letterbox
from mtl_split_core.packet import EdgeTimes, FeaturePacket
from mtl_split_core.pictures import PICTURE_QUALITY, encode_picture
from mtl_split_core.timing import StageClock

_MAX_MICROSECONDS = 2**32 - 1

Features = tuple[NDArray[np.float32], Letterbox]
"""Z_b, float32 [C, h, w], and where its image lies in the network's input."""


class Encoder:
    """The encoder network with its normalisation. Not for several threads at once.

    Args:
        bundle: Bundle of the network.
        network: Its encoder, loaded.

    Raises:
        BundleError: The network is not what the bundle says.
    """

    def __init__(self, bundle: Bundle, network: Network) -> None:
        shape = (1, 3, bundle.input.height, bundle.input.width)
        check_network(network, 'encoder', {'image': shape}, ('z_b',))
        self._network = network
        self._shape = bundle.feature_shape
        self._image = np.empty(shape, np.float32)
        # 256 values per channel: a table look-up is the fastest way through uint8 to float32.
        levels = np.arange(256) / 255
        self._tables = [
            ((levels - mean) / std).astype(np.float32)
            for mean, std in zip(bundle.input.mean, bundle.input.std, strict=True)
        ]

    def normalise(self, picture: NDArray[np.uint8]) -> None:
        """Fill the input of the network.

        Args:
            picture: RGB, uint8 [input_height, input_width, 3].
        """
        for channel, table in enumerate(self._tables):
            cv2.LUT(cv2.extractChannel(picture, channel), table, self._image[0, channel])

    def run(self) -> NDArray[np.float32]:
        """Run the network on the filled input.

        Returns:
            Z_b, float32 [C, h, w], finite.

        Raises:
            BackendError: The network fails or gives values that are not finite.
            BundleError: Z_b has another shape than the bundle says.
        """
        z: NDArray[np.float32] = self._network.run({'image': self._image})['z_b']
        if z.dtype != np.float32 or z.shape != (1, *self._shape):
            msg = (
                f'encoder output z_b is {z.dtype} {list(z.shape)}, expected float32 '
                f'{[1, *self._shape]}: export the bundle again'
            )
            raise BundleError(msg)
        if not np.isfinite(z).all():
            msg = 'encoder output z_b is not finite: check the provider, export the bundle again'
            raise BackendError(msg)
        return z.reshape(self._shape)


class EncodeStage:
    """Turns images into packets. Not for several threads at once.

    Args:
        bundle: Bundle in use.
        network: Its encoder, loaded.
        now: Monotonic clock, nanoseconds.

    Raises:
        BundleError: The network is not what the bundle says.
    """

    def __init__(
        self, bundle: Bundle, network: Network, *, now: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._bundle = bundle
        self._encoder = Encoder(bundle, network)
        self._codecs = make_codecs(bundle)
        self._now = now

    def warm_up(self) -> None:
        """Run everything once, so that the first frame takes no longer than the others."""
        size = self._bundle.input
        image = np.zeros((size.height, size.width, 3), np.uint8)
        for rate in range(len(self._bundle.rates)):
            self.encode(image, rate, CodecId.ENTROPY, 0)
        for codec in PICTURE_FORMATS:
            self.encode(image, 0, codec, 0)

    def features(self, image: NDArray[np.uint8]) -> Features:
        """Run the encoder without a codec.

        Args:
            image: RGB, uint8 [H, W, 3].

        Returns:
            Z_b, float32 [C, h, w], and where the image lies in the input.

        Raises:
            ImageError: The image has another shape or type, or no pixels.
        """
        return self._features(image, StageClock(self._now))

    def encode(
        self,
        image: NDArray[np.uint8],
        rate: int,
        codec: CodecId,
        sequence: int,
        wait_us: int = 0,
        convert_us: int = 0,
        features: Features | None = None,
    ) -> FeaturePacket:
        """Make the packet of a frame.

        Args:
            image: RGB, uint8 [H, W, 3].
            rate: Rate index; of the bundle, or of PICTURE_QUALITY for a picture codec.
            codec: Codec to use.
            sequence: uint32 of this frame.
            wait_us: From arrival to now, microseconds.
            convert_us: Message to RGB, microseconds.
            features: Of this image, from features(), where it is there; the network is not run
                again then.

        Returns:
            The packet.

        Raises:
            ImageError: The image has another shape or type, or no pixels.
            BundleError: No such rate.
        """
        kind = PICTURE_FORMATS.get(codec)
        rates = len(PICTURE_QUALITY) if kind else len(self._bundle.rates)
        if not 0 <= rate < rates:
            msg = (
                f'rate is {rate}, bundle {self._bundle.name} has 0 to {rates - 1} for codec '
                f'{codec.name.lower()}'
            )
            raise BundleError(msg)
        clock = StageClock(self._now)
        if kind:
            with clock.stage('letterbox'):
                letterbox = self._letterbox(image)
                picture = letterbox.apply(image)
            with clock.stage('entropy'):
                data = encode_picture(picture, kind, PICTURE_QUALITY[rate])
        else:
            z, letterbox = features or self._features(image, clock)
            with clock.stage('entropy'):
                data = self._codecs[codec].encode(z, rate)
        times = (
            wait_us,
            convert_us,
            *(clock.microseconds(name) for name in ('letterbox', 'encode', 'entropy')),
        )
        return FeaturePacket(
            fingerprint=self._bundle.fingerprint,
            sequence=sequence,
            codec=codec,
            codec_version=codec_version(codec, self._bundle),
            rate=rate,
            shape=payload_shape(codec, self._bundle),
            letterbox=letterbox,
            edge_times_us=EdgeTimes(*(min(max(0, t), _MAX_MICROSECONDS) for t in times)),
            crc32=zlib.crc32(data),
            data=data,
        )

    def _features(self, image: NDArray[np.uint8], clock: StageClock) -> Features:
        with clock.stage('letterbox'):
            letterbox = self._letterbox(image)
            self._encoder.normalise(letterbox.apply(image))
        with clock.stage('encode'):
            return self._encoder.run(), letterbox

    def _letterbox(self, image: NDArray[np.uint8]) -> Letterbox:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            msg = f'image is {image.dtype} {list(image.shape)}, expected uint8 [H, W, 3], RGB'
            raise ImageError(msg)
        size = self._bundle.input
        return Letterbox.fit(image.shape[1], image.shape[0], size.width, size.height)


def check_network(
    network: Network,
    name: str,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: tuple[str, ...],
) -> None:
    """Check that a network is the one the bundle describes.

    Args:
        network: Loaded network.
        name: What to call it in the error.
        inputs: Shape by input name; a network may leave sizes open.
        outputs: Outputs that it must have.

    Raises:
        BundleError: It is another one.
    """
    found = network.input_shapes
    same = found.keys() == inputs.keys() and all(
        fits(shape, found[key]) for key, shape in inputs.items()
    )
    if not same or not set(outputs) <= set(network.output_names):
        msg = (
            f'{name} network takes {dict(found)} and gives {list(network.output_names)}, '
            f'expected {dict(inputs)} and {list(outputs)}: export the bundle again'
        )
        raise BundleError(msg)
