"""Stages: resuming exactly, keeping the best round, sharing, failing well, several processes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError
from methods.calrec import METHOD

torch = pytest.importorskip("torch")

from methods.calrec import stage as stage_module  # noqa: E402
from methods.calrec import states, training  # noqa: E402
from methods.calrec.stage import Plan, Stage  # noqa: E402
from tests.unit.methods.calrec.stage_toys import (  # noqa: E402
    PAIRS,
    Logged,
    settings_of,
    shared_steps,
    sources,
    tiny_backbone,
)

Make = Callable[..., Any]
LISTS = [[(user + step) % 12 for step in range(6)] for user in range(10)]


def plan_of(backbone: Any, rounds: int = 3, **changes: Any) -> tuple[Any, Plan]:
    settings = settings_of(term_norms=False)
    tuning = training.Tuning(backbone, settings, (0,))
    batches = [PAIRS[:3], PAIRS[2:], PAIRS[1:4]]
    plan = Plan(
        "tried", rounds, lambda number: batches, tuning.accumulate, tuning.summarise, **changes
    )
    return tuning, plan


def run_stage(folder: Path, save_seconds: float = 0.0, **changes: Any) -> tuple[Any, Any, Logged]:
    backbone = tiny_backbone()
    tuning, plan = plan_of(backbone, **changes)
    logged = Logged(folder)
    stage = Stage(
        backbone, plan, tuning.optimisation, logged.context, folder, save_seconds, tuning.halve
    )
    return backbone, stage.run(), logged


def weights_of(backbone: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in states.trained_weights(backbone.model).items()}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


class Killed(BaseException):
    """What a killed process is, to the code that runs in it."""


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4, 7, 8])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Stopped within a round, at its end, or before the first state: bit for bit the same."""
    whole, result, logged = run_stage(tmp_path / "whole")
    steps = 0
    original = stage_module.Stage._step

    def fragile(self: Any, batch: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == killed_at:
            raise Killed
        original(self, batch)

    monkeypatch.setattr(stage_module.Stage, "_step", fragile)
    with pytest.raises(Killed):
        run_stage(tmp_path / "killed")
    again, other, told = run_stage(tmp_path / "killed")
    assert_same(weights_of(whole), weights_of(again))
    assert (other.steps, other.tokens) == (result.steps, result.tokens) == (9, other.tokens)
    drop = ("seconds",)
    lines = [[{k: v for k, v in line.items() if k not in drop} for line in log.lines]
             for log in (logged, told)]  # fmt: skip
    assert lines[0] == lines[1]
    assert len(lines[0]) == 3


def test_states_written_more_or_less_often_change_nothing(tmp_path: Path) -> None:
    often, _, _ = run_stage(tmp_path / "often", save_seconds=0.0)
    seldom, _, _ = run_stage(tmp_path / "seldom", save_seconds=1e9)
    assert_same(weights_of(often), weights_of(seldom))


def test_the_best_round_is_kept_and_patience_ends_the_training(tmp_path: Path) -> None:
    metrics = {0: 0.0, 1: 0.1, 2: 0.3, 3: 0.2, 4: 0.3, 5: 0.9}
    backbone, result, logged = run_stage(
        tmp_path, rounds=5, validate=metrics.__getitem__, patience=1, before=True
    )
    assert (result.kept_round, result.rounds, result.best_metric) == (2, 4, 0.3)
    assert [line["validation_ndcg10"] for line in logged.lines] == [0.0, 0.1, 0.3, 0.2, 0.3]
    two, _, _ = run_stage(tmp_path / "two", rounds=2)
    assert_same(weights_of(backbone), weights_of(two))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        states.RESULT, states.WEIGHTS,
    ]  # fmt: skip


def test_without_validation_the_last_round_counts(tmp_path: Path) -> None:
    _, result, _ = run_stage(tmp_path)
    assert (result.kept_round, result.best_metric) == (3, None)


def test_a_loss_that_is_no_number_stops_and_the_last_state_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, spoilt = training.StepGradient.accumulate, []

    def accumulate(self: Any, pairs: Any, step: int, weights: Any = None) -> Any:
        found = original(self, pairs, step, weights)
        if step == 4 and not spoilt:
            spoilt.append(step)
            return dataclasses.replace(found, nig_sum=float("nan"))
        return found

    monkeypatch.setattr(training.StepGradient, "accumulate", accumulate)
    with pytest.raises(MethodError, match=r"loss became nan during fine-tuning, step 5"):
        run_stage(tmp_path / "spoilt")
    assert (tmp_path / "spoilt" / states.STATE).is_file()
    again, _, _ = run_stage(tmp_path / "spoilt")
    whole, _, _ = run_stage(tmp_path / "whole")
    assert_same(weights_of(whole), weights_of(again))


def test_out_of_memory_halves_the_passes_and_keeps_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = training.StepGradient.accumulate

    def accumulate(self: Any, pairs: Any, step: int, weights: Any = None) -> Any:
        found = original(self, pairs, step, weights)
        if self.tokens_at_once > 5000:
            raise torch.OutOfMemoryError("no more")  # after gradients were added: they must go
        return found

    whole, _, _ = run_stage(tmp_path / "whole")
    monkeypatch.setattr(training.StepGradient, "accumulate", accumulate)
    halved, _, _ = run_stage(tmp_path / "halved")
    assert capfd.readouterr().err.count("passes are halved") == 2  # 16384, 8192, 4096
    assert_same(weights_of(whole), weights_of(halved))


def test_memory_that_does_not_suffice_for_anything_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accumulate(*_: Any) -> Any:
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(training.StepGradient, "accumulate", accumulate)
    with pytest.raises(MethodError, match="ran out of memory"):
        run_stage(tmp_path)


@pytest.mark.parametrize("name", [states.STATE, states.RESULT])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    tmp_path.joinpath(name).write_bytes(b"{damaged")
    with pytest.raises(MethodError, match=r"damaged|cannot read"):
        if name == states.RESULT:
            states.finished(tmp_path)
        else:
            run_stage(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    states.save_weights(tmp_path / states.WEIGHTS, tiny_backbone().model)
    with pytest.raises(MethodError, match="trained weights"):
        states.load_weights(tmp_path / states.WEIGHTS, tiny_backbone(tiny_width=16).model)


# ---- stage I -------------------------------------------------------------------------------------


def staged(folder: Path, data: Any, **values: Any) -> tuple[Any, Logged]:
    settings = settings_of(
        stage1="local-stage-one", stage1_steps=6, stage1_check_every=2, batch_size=4,
        validation_users=5, tiny_pretraining_epochs=1, **values,
    )  # fmt: skip
    method, logged = METHOD(settings), Logged(folder)
    method.fit(dataclasses.replace(data, sources=sources()), logged.context)
    return method, logged


def test_stage_one_comes_before_stage_two_and_is_shared_by_targets(
    tmp_path: Path, make_data: Make
) -> None:
    """One run of stage I serves every target: its folder is the same, and it is not run again."""
    method, logged = staged(tmp_path, make_data(LISTS))
    report = method.describe()
    assert [report["stage1_reused"], report["stage1_steps"]] == [False, 6]
    stages = [line["stage"] for line in logged.lines]
    assert stages == ["stand-in pre-training", *["stage I"] * 3, *["fine-tuning"] * 3]
    assert "stage I on local-stage-one and stage II" in report["note"]
    texts = tuple(f"Title: Another {word}. Brand: Unknown." for word in "abcdefghijkl")
    other, _ = staged(tmp_path, make_data(LISTS[:5], texts))
    assert other.describe()["stage1_reused"]
    assert not other.describe()["fine_tuning_reused"]
    changed, _ = staged(tmp_path, make_data(LISTS), learning_rate=5e-4)
    assert not changed.describe()["stage1_reused"]


def test_stage_one_serves_targets_of_any_verb(tmp_path: Path, make_data: Make) -> None:
    """Tiny's tokens come from the mixture alone: its weights mean the same for every target."""
    found = []
    for verb in ("read", "heard", "bought"):
        data = dataclasses.replace(make_data(LISTS), verb=verb)
        method, _ = staged(tmp_path, data, epochs=0)
        found.append((method.describe()["stage1_reused"], len(method._backbone.tokenizer)))
        assert np.isfinite(method.score(data.histories, np.arange(12))).all()
    assert found == [(False, found[0][1]), (True, found[0][1]), (True, found[0][1])]


def test_weights_chosen_by_other_validation_items_are_others(
    tmp_path: Path, make_data: Make
) -> None:
    reused = []
    for digest, users in (("one", 3), ("one", 3), ("other", 3), ("one", 0), ("other", 0)):
        settings = settings_of(tiny_pretraining_epochs=0, epochs=1, validation_users=users)
        method, logged = METHOD(settings), Logged(tmp_path)
        context = dataclasses.replace(logged.context, validation_digest=digest)
        method.fit(make_data(LISTS), context)
        reused.append(method.describe()["fine_tuning_reused"])
    # nothing chooses where nothing validates
    assert reused == [False, True, False, False, True]


def test_a_run_killed_while_it_validates_goes_on_there(
    tmp_path: Path, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the steps before nor the texts that were written already are done again."""
    from methods.calrec import texts
    from methods.calrec.writing import Writer

    data = make_data(LISTS)
    monkeypatch.setattr(texts, "USERS_PER_FILE", {"cpu": 2})
    settings = settings_of(tiny_pretraining_epochs=0, epochs=2, validation_users=6)
    written: list[int] = []
    original, stop_at = Writer.write, [4]

    def write(self: Any, histories: Any, *rest: Any) -> Any:
        if len(written) == stop_at[0]:
            raise Killed
        written.append(len(histories))
        return original(self, histories, *rest)

    monkeypatch.setattr(Writer, "write", write)

    def fit(name: str) -> tuple[Any, int]:
        logged, method = Logged(tmp_path / name), METHOD(settings)

        def validate(fitted: Any, users: int | None) -> float:
            return float(fitted.score(data.histories.select(np.arange(6)), np.arange(12)).sum())

        before = len(written)
        method.fit(data, dataclasses.replace(logged.context, validate_fn=validate))
        return method, len(written) - before

    with pytest.raises(Killed):
        fit("killed")  # three files before training, then in the first epoch's second one
    stop_at[0] = -1
    steps = []
    step = stage_module.Stage._step

    def counted(self: Any, batch: Any) -> None:
        steps.append(1)
        step(self, batch)

    monkeypatch.setattr(stage_module.Stage, "_step", counted)
    method, parts = fit("killed")
    assert (len(steps), parts) == (1, 5)  # the second epoch's step; what was lacking of two
    whole, _ = fit("whole")
    assert_same(weights_of(method._backbone), weights_of(whole._backbone))


def test_stage_one_alone_is_the_same_for_every_target(tmp_path: Path, make_data: Make) -> None:
    first, _ = staged(tmp_path / "a", make_data(LISTS), epochs=0)
    second, _ = staged(tmp_path / "b", make_data(LISTS[:3]), epochs=0)
    assert_same(weights_of(first._backbone), weights_of(second._backbone))
    assert "fine_tuning_tokens" not in first.describe()


def test_the_selecting_domain_chooses_the_checkpoint(
    tmp_path: Path, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from methods.calrec.weights import Judge

    metrics, judged = iter([0.2, 0.5, 0.1]), []

    def ndcg(self: Any, number: int) -> float:
        judged.append((number, len(self._targets)))
        return next(metrics)

    monkeypatch.setattr(Judge, "ndcg", ndcg)
    method, _ = staged(tmp_path, make_data(LISTS), epochs=0)
    assert judged == [(1, 5), (2, 5), (3, 5)]
    assert method.describe()["stage1_kept_check"] == 2


def test_a_checkpoint_is_judged_by_the_events_held_out_of_the_selecting_domain(
    tmp_path: Path,
) -> None:
    """A model that always writes the event that follows has NDCG@10 1; one of another, less."""
    from methods.calrec.domains import source_domains
    from methods.calrec.retrieval import GeneratedText
    from methods.calrec.weights import Judge
    from methods.calrec.writing import Written

    settings = settings_of(validation_users=7)
    domain = source_domains(sources(), settings)[1]
    for shift, expected in ((1, 1.0), (2, 0.0)):

        def write(histories: Any, *_: Any, shift: int = shift, **__: Any) -> Any:
            for row, items in enumerate(histories):
                text = domain.texts[(int(items[-1]) + shift) % 8]
                yield row, Written([GeneratedText(text, -1.0)], 1, 0)

        context = Logged(tmp_path / str(shift)).context
        judge = Judge(domain, tiny_backbone(), settings, context, "key")
        judge._writer.write = write
        found = judge.ndcg(1)
        assert found == pytest.approx(1.0) if expected else found < 0.7


def test_draws_follow_the_shares_and_depend_on_the_step_alone() -> None:
    from methods.calrec.domains import source_domains

    settings = settings_of(batch_size=400, max_dropped_events=4)
    domains = source_domains(sources(), settings)
    backbone = tiny_backbone()
    makers = [domain.maker(backbone, settings) for domain in domains]

    def batch(steps: range, place: int) -> Any:
        return training.DrawnBatches(domains, makers, settings, 5, steps)[place]

    one = batch(range(10), 3)
    assert one == batch(range(3, 4), 0)
    assert one != batch(range(10), 4)
    opening = makers[1].opening
    share = sum(pair.prompt[: len(opening)] == opening for pair in one) / len(one)
    assert 0.17 < share < 0.33  # 0.25 of the second domain, whose verb is another
    assert len({len(pair.prompt) for pair in one}) > 1, "nothing was dropped"


def test_a_domain_without_pairs_is_refused() -> None:
    from methods.calrec.domains import source_domains

    settings = settings_of()
    domains = source_domains(sources(), settings)
    short = dataclasses.replace(domains[0], histories=domains[0].histories.without_last(4))
    with pytest.raises(MethodError, match="two events"):
        training.DrawnBatches([short], [None], settings, 0, range(2))


# ---- several processes ---------------------------------------------------------------------------


def test_two_processes_take_the_gradient_of_one(tmp_path: Path) -> None:
    """Negatives are gathered, gradients add up; of one pair, a process has none at all."""
    sizes = (5, 1)
    shared_steps(0, str(tmp_path), 1, sizes)
    torch.multiprocessing.spawn(shared_steps, (str(tmp_path), 2, sizes), nprocs=2)
    for n_pairs in sizes:
        expected = torch.load(tmp_path / f"{n_pairs}-1-0", weights_only=True)
        for rank in (0, 1):
            found = torch.load(tmp_path / f"{n_pairs}-2-{rank}", weights_only=True)
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_weights_trained_by_accelerate_are_found_by_a_run(
    tmp_path: Path, shared_data: Path
) -> None:
    """Two processes on a CPU train and leave the weights; the run that follows trains nothing."""
    import json
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[4]
    card = str(root / "tests" / "end_to_end" / "ml-100k-small.toml")
    # no threads are named: the launcher and the run must agree on them by themselves
    environment = os.environ | {"HARNESS_SHARED_DATA": str(shared_data)}
    environment.pop("OMP_NUM_THREADS", None)
    changes = ["tiny_width=32", "tiny_pretraining_epochs=1", "epochs=1", "n_generated=2",
               "validation_users=10", "validation_samples=2", "max_new_tokens=12"]  # fmt: skip
    options = ["--datasets", card, "--device", "cpu", "--cache", str(tmp_path / "cache"),
               "--quiet"]  # fmt: skip
    for change in changes:
        options += ["--set", f"calrec.{change}"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
              "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
              "--main_process_port", "0", "-m", "methods.calrec.several"]  # fmt: skip
    done = subprocess.run(
        [*launch, *options], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "fine_tuning_reused: False" in done.stdout
    run = [sys.executable, "-m", "harness", "run", "--methods", "calrec", "--out", str(tmp_path)]
    subprocess.run([*run, *options], cwd=root, env=environment, capture_output=True, check=True)
    (path,) = tmp_path.glob("ml-100k-small/calrec/*/record.json")
    report = json.loads(path.read_text())["report"]
    assert report["fine_tuning_reused"]
    assert report["pretraining_reused"]


# ---- what trainings leave out --------------------------------------------------------------------


def test_steps_end_fine_tuning_within_its_epochs(tmp_path: Path, make_data: Make) -> None:
    def steps(**values: Any) -> int:
        settings = settings_of(tiny_pretraining_epochs=0, batch_size=4, **values)
        method = METHOD(settings)
        method.fit(make_data(LISTS), Logged(tmp_path / str(values)).context)
        return int(method.describe()["fine_tuning_steps"])

    assert steps(epochs=2) == 6  # ten users in batches of 4
    assert steps(epochs=2, fine_tuning_steps=4) == 4
    assert steps(epochs=2, fine_tuning_steps=1) == 1
    assert steps(epochs=1, fine_tuning_steps=100) == 3


def test_switching_a_term_off_changes_the_weights_and_the_log(
    tmp_path: Path, make_data: Make
) -> None:
    found = {}
    for name, values in {
        "both": {}, "no tt": {"alpha": 0.0}, "no ut": {"beta": 0.0},
        "neither": {"alpha": 0.0, "beta": 0.0},
    }.items():  # fmt: skip
        settings = settings_of(tiny_pretraining_epochs=0, epochs=1, **values)
        method, logged = METHOD(settings), Logged(tmp_path / name)
        method.fit(make_data(LISTS), logged.context)
        found[name] = weights_of(method._backbone)
        line = logged.lines[-1]
        terms = {"nig"} if name == "neither" else {"nig", "tt", "ut"}
        assert {key.removesuffix("_gradient_norm") for key in line
                if key.endswith("_gradient_norm")} == terms  # fmt: skip
        assert ("tt" in line) == (name != "neither")
        assert all(line[f"{term}_gradient_norm"] > 0 for term in terms)
    names = list(found)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            assert any(not torch.equal(found[one][key], found[other][key]) for key in found[one])


def test_logged_norms_do_not_change_the_weights(tmp_path: Path, make_data: Make) -> None:
    found = []
    for norms in (True, False):
        settings = settings_of(tiny_pretraining_epochs=0, epochs=1, term_norms=norms)
        method = METHOD(settings)
        method.fit(make_data(LISTS), Logged(tmp_path / str(norms)).context)
        found.append(weights_of(method._backbone))
    assert_same(*found)


def test_augmentation_drops_up_to_four_events_and_keeps_two() -> None:
    from methods.calrec.sequences import drop_newest

    generator = np.random.default_rng(0)
    for length, kept in ((2, {2}), (3, {2, 3}), (9, {5, 6, 7, 8, 9})):
        items = np.arange(length)
        found = {len(drop_newest(items, generator, 4)) for _ in range(200)}
        assert found == kept
