"""Links of README, CONTRIBUTING and docs lead to files and headings that exist."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / 'microexpr_ros' / 'perception' / 'weights' / 'README.md'
DOCS = sorted(page for page in (ROOT / 'docs').glob('*.md') if not page.is_symlink())
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', WEIGHTS, *DOCS]


def tokens(page):
    for token in MarkdownIt('commonmark').enable('table').parse(page.read_text()):
        yield token
        yield from token.children or ()


def targets(page):
    """Return where the links and pictures of a page lead."""
    links = (token.attrGet('href') or token.attrGet('src') for token in tokens(page))
    return [link for link in links if link is not None]


def anchors(page):
    """Return the anchors of a page's headings, as code hosts and MyST name them."""
    found, heading = set(), False
    for token in tokens(page):
        if heading and token.type == 'inline':
            words = re.sub(r'[^\w\- ]', '', token.content.lower())
            found.add(words.strip().replace(' ', '-'))
        heading = token.type == 'heading_open'
    return found


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in targets(page):
        if link.startswith(('http://', 'https://')):
            continue
        name, _, anchor = link.partition('#')
        target = page.parent / name if name else page
        assert target.exists(), f'{link}: there is no {target}'
        if anchor:
            assert anchor in anchors(target), f'{link}: no such heading in {target}'


def test_every_page_is_on_the_site():
    index = (ROOT / 'docs' / 'index.rst').read_text()
    assert {page.stem for page in DOCS} <= set(re.findall(r'^   ([\w-]+)$', index, re.MULTILINE))


def test_anchors_are_named_as_code_hosts_name_them(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text("# A person's `neutral` face\n\n## Two machines, one clock\n\ntext\n")
    assert anchors(page) == {'a-persons-neutral-face', 'two-machines-one-clock'}


def test_links_and_pictures_are_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('[a](b.md#c) ![d](e.png)\n\n| [f](g.md) |\n|---|\n\n```\n[h](i.md)\n```\n')
    assert targets(page) == ['b.md#c', 'e.png', 'g.md']
