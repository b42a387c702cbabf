# SPDX-License-Identifier: Apache-2.0
"""The files in security/ by the rules of the published schemas, and that they grant the least."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

SECURITY = Path(__file__).parents[1] / 'security'
POLICY, GOVERNANCE = SECURITY / 'policy.xml', SECURITY / 'governance.xml'
TOOLS, OPERATOR = SECURITY / 'tools.xml', SECURITY / 'operator.xml'
POLICIES = (POLICY, TOOLS, OPERATOR)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an element may hold.

    Args:
        children: Their names in order; with `many`, one or more of them in any order.
        text: Allowed texts of an element without children, empty for any.
        attributes: Required ones and their allowed values, empty for any.
        optional: The others.
        many: Whether the children repeat.
    """

    children: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    many: bool = False


QUALIFIER = ('ALLOW', 'DENY')
# As sros2/policy/schemas/policy.xsd of ros2/sros2 has it, without actions, metadata and xml:base.
POLICY_RULES = {
    'policy': Rule(('enclaves',), attributes={'version': ('0.2.0',)}),
    'enclaves': Rule(('enclave',), many=True),
    'enclave': Rule(('profiles',), attributes={'path': ()}, many=True),
    'profiles': Rule(('profile',), many=True),
    'profile': Rule(('topics', 'services'), attributes={'ns': (), 'node': ()}, many=True),
    'topics': Rule(('topic',), optional={'publish': QUALIFIER, 'subscribe': QUALIFIER}, many=True),
    'services': Rule(('service',), optional={'reply': QUALIFIER, 'request': QUALIFIER}, many=True),
    'topic': Rule(),
    'service': Rule(),
}
BASIC_PROTECTION = ('ENCRYPT', 'SIGN', 'NONE')
PROTECTION = (
    *BASIC_PROTECTION,
    'ENCRYPT_WITH_ORIGIN_AUTHENTICATION',
    'SIGN_WITH_ORIGIN_AUTHENTICATION',
)
BOOLEAN = ('true', 'false', '1', '0')
# As the governance schema of DDS Security 1.1 has it.
GOVERNANCE_RULES = {
    'dds': Rule(
        ('domain_access_rules',),
        optional={'{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation': ()},
    ),
    'domain_access_rules': Rule(('domain_rule',), many=True),
    'domain_rule': Rule(
        (
            'domains',
            'allow_unauthenticated_participants',
            'enable_join_access_control',
            'discovery_protection_kind',
            'liveliness_protection_kind',
            'rtps_protection_kind',
            'topic_access_rules',
        )
    ),
    # ranges are allowed, too, but Cyclone DDS 0.10 refuses them
    'domains': Rule(('id',), many=True),
    'id': Rule(text=tuple(map(str, range(233)))),
    'allow_unauthenticated_participants': Rule(text=BOOLEAN),
    'enable_join_access_control': Rule(text=BOOLEAN),
    'discovery_protection_kind': Rule(text=PROTECTION),
    'liveliness_protection_kind': Rule(text=PROTECTION),
    'rtps_protection_kind': Rule(text=PROTECTION),
    'topic_access_rules': Rule(('topic_rule',), many=True),
    'topic_rule': Rule(
        (
            'topic_expression',
            'enable_discovery_protection',
            'enable_liveliness_protection',
            'enable_read_access_control',
            'enable_write_access_control',
            'metadata_protection_kind',
            'data_protection_kind',
        )
    ),
    'topic_expression': Rule(),
    'enable_discovery_protection': Rule(text=BOOLEAN),
    'enable_liveliness_protection': Rule(text=BOOLEAN),
    'enable_read_access_control': Rule(text=BOOLEAN),
    'enable_write_access_control': Rule(text=BOOLEAN),
    'metadata_protection_kind': Rule(text=PROTECTION),
    'data_protection_kind': Rule(text=BASIC_PROTECTION),
}


def faults(element: Element, rules: Mapping[str, Rule]) -> list[str]:
    """Say what in an element and below breaks the rules."""
    name, rule = element.tag, rules.get(element.tag)
    if rule is None:
        return [f'{name} is not known']
    found = []
    children = tuple(child.tag for child in element)
    fits = set(children) <= set(rule.children) and children if rule.many else None
    if children != rule.children and not fits:
        found.append(f'{name} has {children}')
    text = (element.text or '').strip()
    if bool(text) == bool(rule.children) or (rule.text and text not in rule.text):
        found.append(f'{name} is {text!r}')
    found += [f'{name} lacks {key}' for key in rule.attributes if key not in element.attrib]
    for key, value in element.attrib.items():
        allowed = {**rule.attributes, **rule.optional}.get(key)
        if allowed is None or (allowed and value not in allowed):
            found.append(f'{name} has {key}={value!r}')
    return found + [fault for child in element for fault in faults(child, rules)]


def granted(enclave: str, kind: str, right: str, path: Path = POLICY) -> set[str]:
    """The names for which an enclave has a right."""
    lists = ElementTree.parse(path).findall(f"enclaves/enclave[@path='{enclave}']//{kind}")
    return {str(entry.text) for group in lists if group.get(right) == 'ALLOW' for entry in group}


@pytest.mark.parametrize(
    ('path', 'rules'),
    [*((path, POLICY_RULES) for path in POLICIES), (GOVERNANCE, GOVERNANCE_RULES)],
)
def test_rules_of_the_schema(path: Path, rules: Mapping[str, Rule]) -> None:
    assert faults(ElementTree.parse(path).getroot(), rules) == []


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('version="0.2.0"', ''),
        ('version="0.2.0"', 'version="0.1.0"'),
        ('subscribe="ALLOW"', 'subscribe="MAYBE"'),
        ('subscribe="ALLOW"', 'read="ALLOW"'),
        ('node="edge"', ''),
        ('<topic>features</topic>', '<topic/>'),
        ('<topic>features</topic>', '<service>features</service>'),
        ('<topic>features</topic>', '<topic><topic>features</topic></topic>'),
    ],
)
def test_the_rules_find_faults(old: str, new: str) -> None:
    text = POLICY.read_text()
    assert old in text
    assert faults(ElementTree.fromstring(text.replace(old, new, 1)), POLICY_RULES)


def test_published_schemas() -> None:
    """The rules above are an excerpt; sros2 carries the schemas themselves."""
    pytest.importorskip('sros2', reason='the published schemas come with sros2 of a ROS 2')
    from lxml import etree  # noqa: PLC0415
    from sros2.policy import load_policy  # noqa: PLC0415

    for path in POLICIES:
        load_policy(path)
    schema = files('sros2.policy.schemas.dds').joinpath('governance.xsd')
    etree.XMLSchema(etree.parse(str(schema))).assertValid(etree.parse(str(GOVERNANCE)))


def test_nothing_is_open() -> None:
    rule = ElementTree.parse(GOVERNANCE).find('.//domain_rule')
    assert rule is not None
    values = {element.tag: element.text for element in rule.iter()}
    assert values.pop('allow_unauthenticated_participants') == 'false'
    assert 'false' not in values.values()
    assert 'NONE' not in values.values()
    assert values['topic_expression'] == '*'
    assert len(list(rule.iter('topic_rule'))) == 1


def test_no_patterns_no_denials_no_requests() -> None:
    """Each grant is one name; who asks for nothing must not be able to ask."""
    for path in POLICIES:
        assert 'DENY' not in path.read_text()
    for path in (POLICY, TOOLS):
        root = ElementTree.parse(path).getroot()
        names = [str(entry.text) for entry in root.iter() if entry.tag in ('topic', 'service')]
        assert not [name for name in names if set(name) & set('*?[]')]
    for enclave in ('/edge', '/server'):
        assert granted(enclave, 'services', 'request') == set()


def test_each_end_says_what_the_other_hears() -> None:
    """And nobody can play the other's part."""
    own = {'features', 'contract', 'link_report'}
    said = {name: granted(name, 'topics', 'publish') & own for name in ('/edge', '/server')}
    heard = {name: granted(name, 'topics', 'subscribe') & own for name in ('/edge', '/server')}
    assert said == {'/edge': {'features', 'contract'}, '/server': {'link_report'}}
    # a server hears reports, too: that there are two is noticed by that
    assert heard == {'/edge': {'link_report'}, '/server': own}
    assert granted('/edge', 'topics', 'publish') >= granted('/server', 'topics', 'publish') - {
        'link_report',
        'overlay',
    }


def test_a_tool_only_looks_and_only_the_replay_is_a_camera() -> None:
    """None has services, so none needs a pattern for the number in its name."""
    events = '/parameter_events'
    said = {
        tool: granted(f'/mtl_split_{tool}', 'topics', 'publish', TOOLS) - {events}
        for tool in ('replay', 'view', 'doctor')
    }
    camera = {'image', 'image/compressed', 'camera_info', '/clock'}
    assert said == {'replay': camera, 'view': set(), 'doctor': set()}
    for tool in said:
        assert granted(f'/mtl_split_{tool}', 'services', 'reply', TOOLS) == set()
    asked = {tool: granted(f'/mtl_split_{tool}', 'services', 'request', TOOLS) for tool in said}
    own = {'edge/get_parameters', 'server/get_parameters'}
    assert asked == {'replay': set(), 'view': set(), 'doctor': own}


def test_an_operator_asks_for_what_the_nodes_serve_and_says_nothing_in_their_place() -> None:
    served = {
        f'{node}/{name.removeprefix("~/")}'
        for node in ('edge', 'server')
        for name in granted(f'/{node}', 'services', 'reply')
    }
    assert granted('/operator', 'services', 'request', OPERATOR) == served
    own = {'/parameter_events', '/rosout'}
    assert granted('/operator', 'topics', 'publish', OPERATOR) == own
    patterns = granted('/operator', 'services', 'reply', OPERATOR)
    assert {name.split('/')[1] for name in patterns} == {'_ros2cli_*', '_ros2cli_requester_*'}
