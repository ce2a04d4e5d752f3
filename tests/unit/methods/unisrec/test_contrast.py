"""The losses against plain loops over their definition; what augmentation keeps and how often."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from methods.unisrec import contrast  # noqa: E402

# ---- losses --------------------------------------------------------------------------------------


def by_definition(states, others, targets, temperature) -> float:
    """One exponential after another; another row with the same next item adds exp(0)."""
    total = 0.0
    for row, state in enumerate(states):
        below = 0.0
        for column, other in enumerate(others):
            norms = math.sqrt(sum(state**2)) * math.sqrt(sum(other**2))
            logit = float(sum(state * other)) / norms / temperature
            if row == column:
                own = math.exp(logit)
            elif targets[row] == targets[column]:
                logit = 0.0
            below += math.exp(logit)
        total += -math.log(own / below)
    return total / len(states)


def loss_of(states, others, targets, temperature):
    equal = contrast.equal_others(torch.tensor(targets))
    similar = contrast.cosines(torch.as_tensor(states), torch.as_tensor(others))
    return contrast.contrastive_loss(similar, equal, temperature)


@pytest.mark.parametrize(
    "targets", [[1, 2, 3, 4, 5], [1, 1, 3, 1, 5], [7, 7, 7, 7, 7], [2, 1, 2, 1, 1]]
)
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_the_loss_is_its_definition(targets, temperature) -> None:
    generator = np.random.default_rng(0)
    states, others = generator.normal(size=(2, 5, 4))
    found = loss_of(states, others, targets, temperature).item()
    assert found == pytest.approx(by_definition(states, others, targets, temperature), rel=1e-9)


def test_rows_with_one_next_item_add_one_each_and_teach_nothing() -> None:
    states = torch.randn(3, 4, dtype=torch.float64)
    others = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    similar = contrast.cosines(states, others)
    equal = contrast.equal_others(torch.tensor([5, 5, 5]))
    own = (similar.diagonal() / 0.07).exp()
    expected = -(own / (own + 2)).log().mean()
    found = contrast.contrastive_loss(similar, equal, 0.07)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    (gradient,) = torch.autograd.grad(found, similar)
    assert (gradient[equal] == 0).all()


def test_the_loss_stays_finite_where_the_exponential_does_not() -> None:
    similar = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], requires_grad=True)
    loss = contrast.contrastive_loss(similar, torch.zeros(2, 2, dtype=torch.bool), 1e-3)
    assert loss.item() == pytest.approx(2000.0)
    loss.backward()
    assert similar.grad.isfinite().all()


def test_a_single_row_has_nothing_to_learn() -> None:
    assert loss_of(torch.ones(1, 3), torch.ones(1, 3), [4], 0.07).item() == 0


def test_equal_others_are_not_the_rows_themselves() -> None:
    found = contrast.equal_others(torch.tensor([3, 1, 3]))
    assert found.tolist() == [[False, False, True], [False, False, False], [True, False, False]]


def test_accuracy_counts_rows_that_beat_every_different_one() -> None:
    similar = torch.tensor([[0.5, 0.9, 0.1], [0.2, 0.2, 0.1], [0.1, 0.1, 0.3]])
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    assert contrast.accuracy(similar, nothing) == pytest.approx(1 / 3)  # a tie is no success
    equal = contrast.equal_others(torch.tensor([1, 1, 2]))
    assert contrast.accuracy(similar, equal) == 1.0


# ---- second views --------------------------------------------------------------------------------


def histories(n: int = 4000, longest: int = 12, seed: int = 0):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, size=n)
    items = np.arange(1, longest + 1) + 100 * np.arange(n)[:, None]
    return np.where(np.arange(longest) < lengths[:, None], items, 0), lengths


def test_dropping_keeps_the_first_item_and_the_order() -> None:
    items, lengths = histories()
    before = items.copy()
    found, n_kept = contrast.with_items_dropped(items, lengths, 0.2, np.random.default_rng(1))
    assert (items == before).all()
    assert found.shape[1] == n_kept.max()
    assert (n_kept >= 1).all()
    for row in range(len(items)):
        left = found[row, : n_kept[row]]
        assert left[0] == items[row, 0]
        assert (np.diff(left) > 0).all()
        assert set(left) <= set(items[row, : lengths[row]])
        assert (found[row, n_kept[row] :] == 0).all()
    later = lengths.sum() - len(items)
    assert (n_kept.sum() - len(items)) / later == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_nothing_or_all_but_the_first_is_dropped(chance) -> None:
    items, lengths = histories(50)
    found, n_kept = contrast.with_items_dropped(items, lengths, chance, np.random.default_rng(1))
    if chance:
        assert (found == items[:, :1]).all()
        assert (n_kept == 1).all()
    else:
        assert (found == items).all()
        assert (n_kept == lengths).all()


def test_positions_are_swapped_one_by_one_and_never_at_padding() -> None:
    items, lengths = histories()
    found = contrast.swapped_positions(items, 0.2, np.random.default_rng(1))
    assert not found[items == 0].any()
    assert found.sum() / lengths.sum() == pytest.approx(0.2, abs=0.01)
    assert found[:, 0].mean() == pytest.approx(0.2, abs=0.03)  # the first is no exception


def test_draws_depend_on_the_generator_alone() -> None:
    items, lengths = histories(100)
    one, again, other = (
        contrast.with_items_dropped(items, lengths, 0.2, np.random.default_rng(seed))[0].tolist()
        for seed in (3, 3, 4)
    )
    assert one == again
    assert one != other
