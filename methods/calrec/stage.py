"""One training stage, whatever it trains: rounds of steps, validation, states to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import MethodError
from harness.method import RunContext
from methods import _gathering as gathering
from methods.calrec import states
from methods.calrec.backbone import Backbone
from methods.calrec.generation import is_out_of_memory
from methods.calrec.optimisation import Optimisation
from methods.calrec.states import Result, Standing

Batch = Sequence[Any]


@dataclass(frozen=True)
class Plan:
    """What a stage trains on, and when it ends.

    Attributes:
        name: for logs and messages.
        rounds: at most.
        batches: number of the round, from 0 -> its batches, the same in every call.
        accumulate: (batch, step of all, whether it is the first of its round) -> adds the batch's
            gradient and returns sums, "tokens" among them, that `summarise` makes means of.
        summarise: sums of a round -> what the log says of it.
        validate: number of the round, from 1 -> metric, higher is better; None to keep the last.
        patience: rounds in a row without a better metric that are borne.
        before: whether the model is validated as it came, as round 0, for the log alone.
    """

    name: str
    rounds: int
    batches: Callable[[int], Sequence[Batch]]
    accumulate: Callable[[Batch, int, bool], Mapping[str, float]]
    summarise: Callable[[Mapping[str, float]], Mapping[str, float]]
    validate: Callable[[int], float] | None = None
    patience: int = 0
    before: bool = False


@dataclass
class Stage:
    """Runs a plan, resumably.

    Attributes:
        backbone: its model is changed in place.
        plan: what is done.
        optimisation: of the weights that are trained.
        context: log and progress.
        folder: for states and the result.
        save_seconds: how often a state is written within a round; what is trained does not
            depend on it.
        halve: makes passes smaller when memory runs out; False where they cannot be.
    """

    backbone: Backbone
    plan: Plan
    optimisation: Optimisation
    context: RunContext
    folder: Path
    save_seconds: float
    halve: Callable[[], bool]
    _standing: Standing = field(default_factory=Standing)

    def run(self) -> Result:
        """Train from the last state on, keep the best round's weights, write the result.

        Raises:
            MethodError: the loss is no finite number, the state is damaged, or memory does not
                suffice for a single sequence.
        """
        self._begin()
        while self._standing.round < self.plan.rounds and not self._exhausted():
            self._round()
        return self._finish()

    def _begin(self) -> None:
        found = states.load_state(self.folder, self.backbone.model, self.optimisation.optimiser)
        if found is not None:
            self._standing, self.optimisation.steps = found, found.steps
            for line in found.log:  # the log of this run tells the whole course
                self.context.log(**line)
            return
        if self.plan.before and self.plan.validate is not None:
            self._log({"stage": self.plan.name, "epoch": 0,
                       "validation_ndcg10": self._validated(0)})  # fmt: skip

    def _log(self, line: dict[str, Any]) -> None:
        self._standing.log.append(line)
        self.context.log(**line)

    def _exhausted(self) -> bool:
        standing = self._standing
        return standing.best_metric is not None and (
            standing.round - standing.best_round > self.plan.patience
        )

    def _round(self) -> None:
        standing, plan = self._standing, self.plan
        batches = plan.batches(standing.round)
        self.backbone.model.train()
        saved = time.monotonic()
        label = f"{plan.name} {standing.round + 1}"
        with self.context.progress.bar(label, len(batches), "steps") as bar:
            bar.advance(standing.step)
            while standing.step < len(batches):
                self._step(batches[standing.step])
                bar.advance()
                if found := plan.summarise(standing.sums):
                    bar.note(f"loss {next(iter(found.values())):.3f}")
                if time.monotonic() - saved > self.save_seconds and standing.step < len(batches):
                    self._save()
                    saved = time.monotonic()
        self._end_round()

    def _step(self, batch: Batch) -> None:
        standing = self._standing
        started = time.perf_counter()
        sums = self._accumulated(batch)
        where = f"{self.plan.name}, round {standing.round + 1}, step {standing.step + 1}"
        norm = self.optimisation.step(where)
        for name, value in {**sums, "steps": 1, "gradient_norm": norm}.items():
            standing.sums[name] = standing.sums.get(name, 0.0) + value
        standing.tokens += int(sums["tokens"])
        standing.step, standing.steps = standing.step + 1, standing.steps + 1
        standing.seconds += time.perf_counter() - started

    def _accumulated(self, batch: Batch) -> Mapping[str, float]:
        """Accumulate a batch; where memory runs out, in smaller passes: the batch stays whole."""
        import torch

        while True:
            try:
                return self.plan.accumulate(batch, self._standing.steps, self._standing.step == 0)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # several processes must read in step with each other
                if gathering.n_processes() > 1 or not self.halve():
                    raise MethodError(
                        f"calrec's {self.plan.name} ran out of memory with passes as small as "
                        "they get (of several processes, as they are): choose a smaller backbone, "
                        "calrec.max_input_tokens or calrec.tokens_at_once, or set "
                        "calrec.gradient_checkpointing or calrec.lora_rank"
                    ) from error
            # out of memory: what was held is free again by now
            self.optimisation.zero()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._standing.halvings += 1
            self.context.progress.warn(
                f"calrec: out of memory in {self.plan.name}: passes are halved from here on; "
                "the batch of a step stays as it is"
            )

    def _end_round(self) -> None:
        standing, plan = self._standing, self.plan
        if plan.validate is not None:
            self._save()  # validation may take long: a run that is stopped meanwhile goes on here
        standing.round, standing.step = standing.round + 1, 0
        line: dict[str, Any] = {"stage": plan.name, "epoch": standing.round}
        line |= plan.summarise(standing.sums)
        steps = max(1.0, standing.sums.get("steps", 1.0))
        line["gradient_norm"] = standing.sums.get("gradient_norm", 0.0) / steps
        if standing.halvings:
            line["times_passes_were_halved"] = standing.halvings
        standing.sums = {}
        if plan.validate is None:
            standing.best_round = standing.round
        else:
            self._keep_if_best(self._validated(standing.round), line)
        self._log(line | {"tokens": standing.tokens, "seconds": round(standing.seconds, 3)})
        if plan.rounds > standing.round and not self._exhausted():
            self._save()

    def _keep_if_best(self, metric: float, line: dict[str, Any]) -> None:
        standing = self._standing
        line["validation_ndcg10"] = metric
        if standing.best_metric is None or metric > standing.best_metric:
            standing.best_round, standing.best_metric = standing.round, metric
            if not gathering.own_process():
                states.save_weights(
                    states.best_path(self.folder, standing.round), self.backbone.model
                )

    def _validated(self, number: int) -> float:
        """Validate; of several processes the first one does, for all."""
        assert self.plan.validate is not None
        metric = None if gathering.own_process() else self.plan.validate(number)
        return float(gathering.agreed(metric))

    def _save(self) -> None:
        if not gathering.own_process():
            states.save_state(
                self.folder, self._standing, self.backbone.model, self.optimisation.optimiser
            )

    def _finish(self) -> Result:
        standing = self._standing
        result = Result(
            rounds=standing.round, kept_round=standing.best_round, steps=standing.steps,
            tokens=standing.tokens, seconds=standing.seconds, best_metric=standing.best_metric,
            log=standing.log,
        )  # fmt: skip
        if not gathering.own_process():
            if standing.best_metric is not None and standing.best_round != standing.round:
                best = states.best_path(self.folder, standing.best_round)
                states.load_weights(best, self.backbone.model)
            states.finish(self.folder, self.backbone.model, result)
        gathering.agreed(None)  # all wait for the files
        return result
