"""Believable comparisons of sequential recommenders.

What a method needs to import stands here; everything else has a module of its own.
"""

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import Input, Method, MethodCard, RunContext, TrainingData
from harness.settings import setting

__all__ = [
    "Histories",
    "Input",
    "Method",
    "MethodCard",
    "MethodError",
    "RunContext",
    "TrainingData",
    "setting",
]
