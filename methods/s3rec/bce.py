"""Binary cross-entropy over all attributes, by index: no table of all targets is ever made.

Imports torch at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

CHUNK = 4_000_000
"""Products at once (16 MB in float32); bounds memory, not the result."""


class SummedSoftplus(torch.autograd.Function):
    """The sum of softplus(state . attribute) over all states and all attributes.

    Gradients are summed up chunk by chunk while the value is, so that no chunk is kept: memory is
    that of the inputs, whatever the number of attributes.
    """

    @staticmethod
    def forward(context: Any, states: Any, attributes: Any) -> Any:
        """Return a scalar for float [n, hidden] and float [n_attributes, hidden]."""
        total = states.new_zeros(())
        state_gradient = torch.empty_like(states)
        attribute_gradient = torch.zeros_like(attributes)
        step = max(1, CHUNK // max(1, len(attributes)))
        for first in range(0, len(states), step):
            part = states[first : first + step]
            products = part @ attributes.T
            total += functional.softplus(products).sum()
            slope = products.sigmoid_()
            state_gradient[first : first + step] = slope @ attributes
            attribute_gradient += slope.T @ part
        context.save_for_backward(state_gradient, attribute_gradient)
        return total

    @staticmethod
    def backward(context: Any, gradient: Any) -> tuple[Any, Any]:
        """Return the gradients for both inputs."""
        states, attributes = context.saved_tensors
        return gradient * states, gradient * attributes


def summed_bce(states: Any, attributes: Any, tokens: Any) -> Any:
    """Return the sum over states and attributes of the binary cross-entropy of their product.

    Written with logits, it is softplus of every product, less the products of the attributes that
    a state should tell.

    Args:
        states: float [n, hidden].
        attributes: float [n_attributes, hidden].
        tokens: int64 [n, most]: the attributes of each state, from 1; 0 fills up. None twice.
    """
    rows, slots = torch.nonzero(tokens, as_tuple=True)
    told = (states[rows] * attributes[tokens[rows, slots] - 1]).sum()
    return SummedSoftplus.apply(states, attributes) - told
