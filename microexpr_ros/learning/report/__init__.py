"""Reports of evaluations as a page with figures and as tables of text."""

from microexpr_ros.learning.report.card import format_action_units, format_reconstruction
from microexpr_ros.learning.report.page import render_page

__all__ = ['format_action_units', 'format_reconstruction', 'render_page']
