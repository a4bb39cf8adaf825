"""What a command says instead of a traceback."""

from __future__ import annotations


class Refused(Exception):
    """Something cannot be done; the text is a sentence for the person at the terminal and holds no secret."""
