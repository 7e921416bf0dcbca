"""Pictures as text: the few elements of SVG that the charts are made of."""

from __future__ import annotations

from html import escape
from typing import Final, Literal

from markupsafe import Markup

INK: Final = '#25313b'
FAINT: Final = '#76828c'
RULE: Final = '#e3e1db'
MAIN: Final = '#2b7a82'
SOFT: Final = '#b9d3d3'
OTHER: Final = '#c9ccca'
WARM: Final = '#c27f38'
SERIES: Final = (MAIN, WARM, '#6d6aa8', '#8a9a3c')

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

Anchor = Literal['start', 'middle', 'end']


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """Return an element; `_` in the names of attributes stands for `-`.

    Args:
        name: of the element.
        children: SVG, as the functions here return it; plain text is escaped.
        attributes: numbers are rounded to a hundredth of a pixel.

    Example:
        >>> print(element('circle', cx=1, cy=2 / 3, fill='none', stroke_width=2))
        <circle cx="1" cy="0.67" fill="none" stroke-width="2"/>
    """
    pairs = ' '.join(
        f'{key.replace("_", "-")}="{escape(_value(value))}"' for key, value in attributes.items()
    )
    if not children:
        return Markup(f'<{name} {pairs}/>')
    return Markup(f'<{name} {pairs}>{Markup().join(children)}</{name}>')


def text(
    x: float,
    y: float,
    content: str,
    anchor: Anchor = 'start',
    fill: str = INK,
    size: float = 12,
    **attributes: str | float,
) -> Markup:
    """Return a line of text, vertically centred on `y`."""
    return element(
        'text',
        content,
        x=x,
        y=y + 0.35 * size,
        text_anchor=anchor,
        fill=fill,
        font_size=size,
        **attributes,
    )


def line(
    x1: float, y1: float, x2: float, y2: float, stroke: str = RULE, width: float = 1
) -> Markup:
    """Return a straight line."""
    return element('line', x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width)


def box(x: float, y: float, width: float, height: float, fill: str, radius: float = 0) -> Markup:
    """Return a filled rectangle."""
    return element('rect', x=x, y=y, width=max(width, 0), height=height, rx=radius, fill=fill)


def picture(width: float, height: float, label: str, *children: Markup) -> Markup:
    """Return a whole picture, which shrinks with the page.

    Args:
        width: in its own pixels.
        height: in its own pixels.
        label: what it shows, for screen readers.
        children: its elements.
    """
    return element(
        'svg',
        *children,
        xmlns='http://www.w3.org/2000/svg',
        viewBox=f'0 0 {_value(width)} {_value(height)}',
        width=width,
        height=height,
        role='img',
        aria_label=label,
        font_family=FONT,
    )


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f'{value:.2f}'.rstrip('0').rstrip('.')
