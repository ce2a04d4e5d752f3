"""Recformer: histories and items as token sequences, one encoder for both (KDD 2023)."""

from methods.recformer.method import Recformer

METHOD = Recformer
