# SPDX-License-Identifier: Apache-2.0
"""Who is on the graph, and do they meet: names, namespaces, types, QoS, one server each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import takewhile

from mtl_split_ros.shared_memory import REMEDY
from mtl_split_ros.status import Level
from mtl_split_tools.doctor.finding import Finding
from mtl_split_tools.doctor.scan import (
    COMPRESSED,
    FEATURES,
    IMAGE,
    REPORT,
    SUFFIX,
    Mismatch,
    Scan,
    Topic,
)

AREA, QOS = 'graph', 'QoS'
SPLIT, LOCAL, AUTO = 'split', 'local', 'auto'
_PLAYED = 'of a recording that is played beside nodes, play the images alone (--topics)'
UNHEARD = f'on this machine {REMEDY}; on another one let UDP through, both ways'
PLAIN = ('/parameter_events', '/rosout', '/diagnostics', '/clock')


def check_graph(scan: Scan) -> Iterator[Finding]:
    """Judge nodes and topics.

    Args:
        scan: What was found.

    Yields:
        The findings.
    """
    yield from _check_presence(scan)
    for name in scan.denied:
        what = f'the doctor may not listen to {name}, and says nothing of it'
        if name.endswith('/get_parameters'):
            what = f'the doctor may not call {name}, and takes mode and parameters for the defaults'
        remedy = 'grant it in the policy of its enclave /mtl_split_doctor (security/README.md)'
        yield Finding(Level.WARN, AREA, what, remedy)
    for name, number in Counter(scan.nodes).items():
        if number > 1:
            what = f'{number} nodes are called {name}: parameters go to any of them'
            yield Finding(Level.WARN, AREA, what, 'end all but one, or give each its namespace')
    for topic in own_topics(scan):
        yield from _check_types(topic)
        for mismatch in topic.mismatches:
            yield _describe(topic, mismatch, scan)
    for edge in scan.edges:
        for name in scan.images_of(edge):
            yield from _check_image_name(scan, edge, name)
    yield from _check_meeting(scan)
    yield from _check_numbers(scan)


def own_topics(scan: Scan) -> list[Topic]:
    """Return the topics on which an edge or a server is, by name."""
    nodes = {*scan.edges, *scan.servers}
    return [
        topic
        for name, topic in sorted(scan.topics.items())
        if name not in PLAIN
        and nodes & {end.node for end in (*topic.publishers, *topic.subscribers)}
    ]


def nearest(name: str, others: Iterable[str]) -> str:
    """Return the name that is most like another, '' if there is none.

    Args:
        name: Resolved topic name.
        others: Those to choose from.
    """

    def likeness(other: str) -> tuple[int, bool, float]:
        parts, theirs = name.split('/'), other.split('/')
        same = (part == other_part for part, other_part in zip(parts, theirs, strict=False))
        shared = sum(1 for _ in takewhile(bool, same))
        return shared, parts[-1] == theirs[-1], SequenceMatcher(None, name, other).ratio()

    return max(sorted(others), key=likeness, default='')


def namespace_of(name: str) -> str:
    """Return the namespace of a topic, '' for the root."""
    return name.rpartition('/')[0].lstrip('/')


def mode_of(scan: Scan, edge: str) -> str:
    """Return the mode of an edge, its default if it did not tell."""
    return str(scan.parameters.get(edge, {}).get('mode') or SPLIT)


def _check_presence(scan: Scan) -> Iterator[Finding]:
    edges, servers = scan.edges, scan.servers
    if scan.unnamed:
        what = f'{", ".join(dict.fromkeys(scan.unnamed))}: nothing arrives of nodes that are there'
        yield Finding(Level.ERROR, AREA, what, UNHEARD)
        if not edges and not servers:
            return
    if not edges and not servers:
        others = f'; other nodes: {len(scan.nodes)}' if scan.nodes else ', nor any other node'
        yield Finding(
            Level.ERROR,
            AREA,
            f'no edge and no server found in {scan.seconds:g} s ({scan.reach}){others}',
            'start them; give all machines the same ROS_DOMAIN_ID and RMW_IMPLEMENTATION, and '
            'ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET where they are more than one',
        )
        return
    for edge in edges:
        images = ', '.join(scan.images_of(edge)) or 'nowhere'
        features = ', '.join(scan.published_by(edge, FEATURES)) or 'nowhere'
        mode = mode_of(scan, edge)
        what = f'edge {edge}: mode {mode}, images from {images}, features to {features}'
        yield Finding(Level.OK, AREA, what)
    for server in servers:
        features = ', '.join(scan.subscribed_by(server, FEATURES)) or 'nowhere'
        yield Finding(Level.OK, AREA, f'server {server}: features from {features}')
    remedy = (
        f'start it in the same domain ({scan.reach} was looked through); on another machine set '
        'ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET'
    )
    if not edges:
        yield Finding(Level.ERROR, AREA, 'no edge found, there is only a server', remedy)
    modes = {mode_of(scan, edge) for edge in edges} - {LOCAL}
    if modes and not servers:
        level = Level.ERROR if modes - {AUTO} else Level.WARN
        yield Finding(level, AREA, 'no server found, there is only an edge', remedy)


def _check_types(topic: Topic) -> Iterator[Finding]:
    if len(topic.kinds) > 1:
        sides = [
            f'{end.node} {verb} {end.kind}'
            for verb, ends in (('publishes', topic.publishers), ('wants', topic.subscribers))
            for end in ends
        ]
        images = {IMAGE, COMPRESSED} & set(topic.kinds)
        remedy = 'set image_transport of the edge to match' if images else 'remap one of them'
        if images and topic.name.endswith(SUFFIX):
            base = topic.name.removesuffix(SUFFIX)
            remedy = f'give the edge image_topic:={base} image_transport:=compressed'
        what = f'{topic.name} has {len(topic.kinds)} types: {"; ".join(sides)}'
        yield Finding(Level.ERROR, AREA, what, remedy)


def _describe(topic: Topic, mismatch: Mismatch, scan: Scan) -> Finding:
    reason = mismatch.reason.lower()
    policies = [name for name in ('reliability', 'durability') if name in reason]
    if 'reliable' in reason or 'best effort' in reason:
        policies.append('reliability')
    if 'transient' in reason or 'volatile' in reason:
        policies.append('durability')
    ours = {*scan.edges, *scan.servers}
    side = 'subscription' if mismatch.subscriber in ours else 'publisher'
    node = mismatch.subscriber if mismatch.subscriber in ours else mismatch.publisher
    values = {
        ('reliability', 'subscription'): 'best_effort',
        ('reliability', 'publisher'): 'reliable',
        ('durability', 'subscription'): 'volatile',
        ('durability', 'publisher'): 'transient_local',
    }
    settings = [
        f'-p qos_overrides.{topic.name}.{side}.{policy}:={values[policy, side]}'
        for policy in dict.fromkeys(policies)
    ]
    remedy = f'start {node} with {" ".join(settings)}' if settings else 'make their QoS alike'
    what = (
        f'{topic.name}: {mismatch.subscriber} hears nothing of {mismatch.publisher} '
        f'({mismatch.reason})'
    )
    return Finding(Level.ERROR, QOS, what, remedy)


def _check_image_name(scan: Scan, edge: str, name: str) -> Iterator[Finding]:
    if scan.topic(name).publishers:
        return
    ours = {*scan.edges, *scan.servers}
    wanted = COMPRESSED if name in scan.subscribed_by(edge, COMPRESSED) else IMAGE
    taken = {topic for other in ours for topic in scan.images_of(other)}
    # by the name to which image_transport appends its own
    there: dict[str, dict[str, str]] = {}
    for topic in scan.topics.values():
        for end in topic.publishers:
            if end.kind in (IMAGE, COMPRESSED) and end.node not in ours and topic.name not in taken:
                packed = end.kind == COMPRESSED
                base = topic.name.removesuffix(SUFFIX) if packed else topic.name
                there.setdefault(base, {})[end.kind] = topic.name
    what = f'nobody publishes {name}, from which {edge} wants images'
    base = nearest(name.removesuffix(SUFFIX) if wanted == COMPRESSED else name, there)
    if not base:
        remedy = 'start the camera, or mtl-split replay BAG: no other image is published'
        yield Finding(Level.ERROR, AREA, what, remedy)
        return
    kind = wanted if wanted in there[base] else next(iter(there[base]))
    transport = 'compressed' if kind == COMPRESSED else 'raw'
    yield Finding(
        Level.ERROR,
        AREA,
        f'{what}; the nearest image topic is {there[base][kind]}',
        f'ros2 launch mtl_split edge.launch.py image_topic:={base} image_transport:={transport} '
        f'(or -r image:={base} -p image_transport:={transport})',
    )


def _check_meeting(scan: Scan) -> Iterator[Finding]:
    """Whether features and link reports have the same names on both sides."""
    sent = {topic: edge for edge in scan.edges for topic in scan.published_by(edge, FEATURES)}
    wanted = {
        topic: server for server in scan.servers for topic in scan.subscribed_by(server, FEATURES)
    }
    waiting = [topic for topic in wanted if not scan.topic(topic).publishers]
    alone = [
        topic
        for topic, edge in sent.items()
        if topic not in wanted and mode_of(scan, edge) != LOCAL
    ]
    for topic in alone if scan.servers else ():
        what = f'{sent[topic]} publishes {topic}, which no server wants'
        remedy = 'start a server in its namespace'
        if other := nearest(topic, waiting):
            what += f'; {wanted[other]} wants {other}, which nobody publishes'
            namespace = namespace_of(topic)
            argument = f'namespace:={namespace}' if namespace else 'without namespace'
            remedy = (
                f'give both the same namespace: ros2 launch mtl_split server.launch.py {argument}'
            )
        yield Finding(Level.ERROR, AREA, what, remedy)
    for topic in waiting if scan.edges and not alone else ():
        what = f'{wanted[topic]} wants {topic}, which nobody publishes'
        yield Finding(Level.ERROR, AREA, what, 'start an edge in its namespace')
    for topic, edge in sent.items():
        for report in scan.subscribed_by(edge, REPORT) if topic in wanted else ():
            if not any(end.kind == REPORT for end in scan.topic(report).publishers):
                what = f'nobody publishes {report}, from which {edge} wants link reports'
                remedy = f'remap link_report of {wanted[topic]} to {report}'
                yield Finding(Level.ERROR, AREA, what, remedy)


def _check_numbers(scan: Scan) -> Iterator[Finding]:
    for topic in scan.topics.values():
        servers = [end.node for end in topic.publishers if end.kind == REPORT]
        if len(servers) > 1:
            what = f'{len(servers)} servers share {topic.name}: {", ".join(sorted(servers))}'
            remedy = (
                f'stop all but one, or give each pair of edge and server its namespace; {_PLAYED}'
            )
            yield Finding(Level.ERROR, AREA, what, remedy)
        edges = [end.node for end in topic.publishers if end.kind == FEATURES]
        if len(edges) > 1:
            what = f'{len(edges)} edges share {topic.name}: {", ".join(sorted(edges))}'
            remedy = f'give each camera its namespace, or at least its own frame_id; {_PLAYED}'
            yield Finding(Level.WARN, AREA, what, remedy)
