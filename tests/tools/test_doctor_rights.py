# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: what SROS 2 denies to it is said, and not taken for a fault of the graph."""

import pytest
from tests.tools.made_graph import EDGE, graph, stream
from tests.tools.test_doctor_graph import trouble

from mtl_split_ros.status import Level
from mtl_split_tools.doctor.scan import Stream

DENIED = {
    '/image': {'streams': {'/features': stream(15.0)}},
    '/features': {'streams': {'/image': stream(15.0)}},
    '/contract': {'contracts': {}},
    '/link_report': {'reports': {}},
    '/diagnostics': {'statuses': {}},
    f'{EDGE}/get_parameters': {'parameters': {}},
}


@pytest.mark.parametrize(('name', 'unheard'), DENIED.items())
def test_one_finding_each(name: str, unheard: dict[str, object]) -> None:
    (finding,) = trouble(graph(denied=(name,), **unheard))
    assert finding.level is Level.WARN
    assert f'the doctor may not {"call" if "parameters" in name else "listen to"} {name}' in (
        finding.what
    )
    assert '/mtl_split_doctor (security/README.md)' in finding.remedy


@pytest.mark.parametrize('name', ['/image', '/features', '/contract', '/link_report'])
def test_who_may_listen_and_hears_nothing_has_found_a_fault(name: str) -> None:
    unheard: dict[str, object] = dict(DENIED[name])
    if name == '/features':
        unheard = {'streams': {'/image': stream(15.0), '/features': Stream()}}
    assert trouble(graph(**unheard))[0].level is Level.ERROR
