"""The toys of the whole harness, for this folder."""

from tests.toys import plugin, quick_disk, shell

__all__ = ["plugin", "quick_disk", "shell"]
