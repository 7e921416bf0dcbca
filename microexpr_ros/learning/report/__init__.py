"""What an evaluation found, as a page with figures and as tables of text."""
