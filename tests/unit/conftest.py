"""The toys of the whole harness, for this folder."""

from tests.toys import plugin, shell

__all__ = ["plugin", "shell"]
