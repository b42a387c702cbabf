# SPDX-License-Identifier: Apache-2.0
"""What comes as files: bundles, profiles and recordings, as nodes and commands open them."""

import hashlib
import io
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from rosbags.typesys import Stores, get_typestore

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.bundle_schema import FILES, compute_fingerprint, parse_manifest
from mtl_split_core.bundle_search import MANIFEST
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import MtlSplitError
from mtl_split_core.profile import Mode, Profile, load_profile, save_profile, unmeasured
from mtl_split_core.tail import TailStage
from mtl_split_tools.bags import message_stamp, open_bag, write_mcap
from mtl_split_tools.fuzz.damage import FLOATS, flip, worsen

_VALUES: tuple[object, ...] = (
    *(None, True, '', 'x', -1, 0, 1, 2**31, 2**64, 10**400, [], {}, [[]], {'x': 1}, *FLOATS),
    *([0] * 1000, 'x' * 10_000, {1: 2}, '\0', '2001-01-01'),
)
_BOMB = 'x'
for _name in 'abcdefghi':
    _BOMB = f'[&{_name} {_BOMB}{f", *{_name}" * 8}]'
_YAML = (
    _BOMB,
    *('2001-99-99', '0x' + 'f' * 9000, '9' * 9000, '!!int ""', '!!bool maybe', '!!timestamp no'),
    *('!!float x', '!!python/object/apply:os.getcwd []', '&a [*a]', '*nobody', '!!binary é'),
    *('[' * 3000, '{' * 3000, '1:' * 3000 + '1', '!!set {a, b}', '? [x]\n: y', '<<: 1'),
    *('[[[[[[', '"\\x', '%YAML 9.9', '\t', '---\n---', '\u2028', '!!pairs [a: b]', '=', '<<'),
)


class BundleDoor:
    """A bundle with one file damaged, signed again or not, opened as a node does.

    Args:
        bundle: The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix='mtl-split-fuzz-')
        self._path = Path(self._scratch.name) / bundle.name
        self._path.mkdir()
        self._files = {name: (bundle.path / name).read_bytes() for name in (MANIFEST, *FILES)}
        self._tables = dict(np.load(io.BytesIO(self._files[FILES[2]])))
        for name, data in self._files.items():
            (self._path / name).write_bytes(data)

    def make(self, random: Random) -> bytes:
        """See Target.make(): what the first line says is in the file, whose content follows."""
        # Loading a network takes longest.
        name = random.choices((MANIFEST, FILES[2], *FILES[:2]), (45, 40, 8, 7))[0]
        data = self._files[name]
        if name == MANIFEST:
            data = damaged_yaml(random, data)
        elif name == FILES[2] and random.random() < 0.5:
            data = self._other_tables(random)
        else:
            data = worsen(random, data)
        signed = 'signed' if name != MANIFEST and random.random() < 0.9 else 'as it is'
        return f'{name} {signed}\n'.encode() + data

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        head, _, content = data.partition(b'\n')
        name, _, signed = head.decode().partition(' ')
        try:
            (self._path / name).write_bytes(content)
            if signed == 'signed':
                self._sign(name, content)
            bundle = load_bundle(self._path)
            if name == FILES[2] or name == MANIFEST:
                return 'loaded'
            encoder, tail = load_network(bundle.encoder_path), load_network(bundle.tail_path)
            EncodeStage(bundle, encoder).warm_up()
            TailStage(bundle, tail, encoder=encoder).warm_up()
            return 'loaded, ran'
        finally:
            for known in (name, MANIFEST):
                (self._path / known).write_bytes(self._files[known])

    def _sign(self, name: str, content: bytes) -> None:
        """Make checksum and fingerprint right, as who can change the one file can the other."""
        document = yaml.safe_load(self._files[MANIFEST])
        document['files'][name] = hashlib.sha256(content).hexdigest()
        fingerprint = compute_fingerprint(parse_manifest(document, MANIFEST))
        document['fingerprint'] = f'{fingerprint:016x}'
        (self._path / MANIFEST).write_text(yaml.safe_dump(document))

    def _other_tables(self, random: Random) -> bytes:
        """Well-formed files of other arrays."""
        tables: dict[str, Any] = dict(self._tables)
        name = random.choice(tuple(tables))
        array = tables[name]
        flat = array.copy().reshape(-1)
        extreme = np.array(random.choice((0, 1, 2**24, 2**31 - 1)))
        flat[random.randrange(flat.size)] = extreme.astype(array.dtype)
        tables[name] = random.choice(
            (
                flat.reshape(array.shape),
                array.astype(np.float64),
                array[:0],
                np.zeros((), array.dtype),
                array[..., None],
                np.zeros((1, 1), array.dtype),
                -array,
                np.array('x'),
                np.zeros(2**20, array.dtype),
            )
        )
        if random.random() < 0.1:
            del tables[name]
        stream = io.BytesIO()
        np.savez(stream, **tables)
        data = stream.getvalue()
        # Not compressed, so that a flipped bit reaches what the arrays say of themselves.
        return flip(random, data, random.choice((None, 300))) if random.random() < 0.3 else data


class ProfileDoor:
    """A profile, as a node opens it.

    Args:
        bundle: The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._scratch = tempfile.TemporaryDirectory(prefix='mtl-split-fuzz-')
        self._path = Path(self._scratch.name) / 'profile-fuzz.yaml'
        points = (unmeasured(Mode.LOCAL, None, 0),)
        save_profile(Profile(bundle.name, bundle.fingerprint, 'fuzz', 1, points), self._path)
        text = self._path.read_text()
        self._valid = text.replace('miou: null', 'miou: 0.5').encode()

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        return damaged_yaml(random, self._valid)

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        self._path.write_bytes(data)
        load_profile(self._bundle, self._path)
        return 'loaded'


class BagDoor:
    """A recording of images and points, read as the commands read it, message by message."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix='mtl-split-fuzz-')
        self._path = Path(self._scratch.name) / 'fuzz.mcap'
        store = get_typestore(Stores.ROS2_JAZZY)
        types = store.types
        time = types['builtin_interfaces/msg/Time'](1, 2)
        header = types['std_msgs/msg/Header'](time, 'front')
        picture, point = 'sensor_msgs/msg/CompressedImage', 'geometry_msgs/msg/PointStamped'
        messages = {
            picture: types[picture](header, 'jpeg', np.arange(2000, dtype=np.uint8)),
            point: types[point](header, types['geometry_msgs/msg/Point'](1.0, 2.0, 3.0)),
        }
        with write_mcap(self._path) as writer:
            for kind, message in messages.items():
                connection = writer.add_connection(f'/{kind[-5:]}', kind, typestore=store)
                data = store.serialize_cdr(message, kind)
                for number in range(5):
                    writer.write(connection, number, data)
        self._valid = self._path.read_bytes()

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        return worsen(random, self._valid)

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        self._path.write_bytes(data)
        count = 0
        with open_bag(self._path) as bag:
            try:
                bag.image_connection(None)
            except MtlSplitError:
                count -= 1
            for connection, _, message in bag.messages(bag.connections):
                message_stamp(message)
                bag.deserialize(message, connection.msgtype)
                count += 1
        return 'read' if count == 10 else 'read in part'


def damaged_yaml(random: Random, data: bytes) -> bytes:
    """Return a document with another value or field somewhere, or with its text damaged.

    Args:
        random: Decides.
        data: A whole document.
    """
    way = random.random()
    if way < 0.3:
        return worsen(random, data)
    if way < 0.55:
        lines = data.decode().split('\n')
        at = random.randrange(len(lines))
        key, _, _ = lines[at].partition(':')
        lines[at] = f'{key}: {random.choice(_YAML)}'
        return '\n'.join(lines).encode()
    document = yaml.safe_load(data)
    _change(random, document)
    return yaml.safe_dump(document, sort_keys=False).encode()


def _change(random: Random, document: dict[str, Any]) -> None:
    """Change one value, anywhere."""
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [document]
    while todo:
        container = todo.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in keys:
            places.append((container, key))
            if isinstance(container[key], dict | list):
                todo.append(container[key])
    container, key = random.choice(places)
    way = random.random()
    if way < 0.7:
        container[key] = random.choice(_VALUES)
    elif way < 0.85:
        del container[key]
    elif isinstance(container, dict):
        container[random.choice(('x', 1, None, '\0', 'x' * 5000))] = container[key]
    else:
        container.insert(key, container[key])
