# SPDX-License-Identifier: Apache-2.0
"""Links and pictures of the documents lead somewhere, in the repository and on the site."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ('*.md', 'docs/**/*.md', 'models/*/*.md', 'security/*.md', 'samples/**/*.md')
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r'\]\(([^)\s]+)\)')


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and MkDocs make them."""
    heads = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', head.lower()).strip().replace(' ', '-') for head in heads}


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding='utf-8')):
        if link.startswith(('http://', 'https://')):
            continue
        name, _, anchor = link.partition('#')
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f'{link} leads nowhere'
        if anchor:
            assert anchor in anchors(target), f'{link}: no such heading'


def test_every_page_is_in_the_navigation() -> None:
    content = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8'))
    shown = set(re.findall(r'[\w/-]+\.md', str(content['nav'])))
    pages = {str(path.relative_to(ROOT / 'docs')) for path in (ROOT / 'docs').glob('**/*.md')}
    assert shown == pages
