# SPDX-License-Identifier: Apache-2.0
"""Tests that the documents name exist, under that name."""

import re
from pathlib import Path

import pytest
from tests.docs.test_commands import PAGES, ROOT

NAMED = re.compile(r'`(tests/[\w/]+\.py)(?:::(\w+))?`')
FOUND = sorted({match for page in PAGES for match in NAMED.findall(page.read_text())})


@pytest.mark.parametrize(('file', 'name'), FOUND, ids=lambda word: Path(word).stem)
def test_it_exists(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    assert not name or re.search(rf'^def {name}\(', text, re.MULTILINE), f'{file} has no {name}'


def test_the_complaints_name_theirs() -> None:
    rows = re.findall(
        r'^\| .* \| (`tests/.*`) \|$', (ROOT / 'docs/troubleshooting.md').read_text(), re.MULTILINE
    )
    assert len(rows) >= 15
