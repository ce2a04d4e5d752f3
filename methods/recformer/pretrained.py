"""How Recformer reads pretrained files: as every method does, see `methods._pretrained`."""

from methods._pretrained import (
    State,
    configuration_of,
    encoder_of,
    enumerated,
    reason_of,
    tokenizer_of,
)

__all__ = [
    "State",
    "configuration_of",
    "encoder_of",
    "enumerated",
    "reason_of",
    "tokenizer_of",
]
