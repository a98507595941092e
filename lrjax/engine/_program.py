"""The compiled program of a group of members: start, advance by a chunk of steps, evaluate.

Members are points x seeds: `vmap` over points of `vmap` over seeds, inside `scan` over steps. A
batch has a seeds axis at most, so all points of a seed share it. Data are arguments, never
constants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax.data import Data
from lrjax.engine import _carry
from lrjax.trials import Trial

PLAN = "scan(vmap)"


class Members(NamedTuple):
    """The state of all members of a group; every array leads with `[points, seeds]`.

    Attributes:
      arrays: The arrays of the trials' states.
      alive: Whether the member still trains.
      diverged_at: int32, the step at which it went non-finite, or -1.
    """

    arrays: list[jax.Array]
    alive: jax.Array
    diverged_at: jax.Array


class Program:
    """The functions of one group, compiled on first use; `seconds_compiling` adds up what that took."""

    def __init__(
        self, trial: Trial, static: Mapping[str, Any], frame: _carry.Frame, data: Data, batched: bool
    ) -> None:
        self._trial = trial
        self._static = dict(static)
        self._frame = frame
        self._data = data
        self._batched = batched
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self.seconds_compiling = 0.0

    def start(self, keys: jax.Array, numbers: Mapping[str, jax.Array]) -> Members:
        """All members at step 0: `keys [seeds]`, `numbers[name] [points]`."""
        return self._call("start", self._start, (keys, numbers))

    def advance(
        self, members: Members, numbers: Mapping[str, jax.Array], selected: Any, first: int, stop: int
    ) -> tuple[Members, dict[str, jax.Array]]:
        """Steps `first` to `stop`; returns the members and metrics `[steps, points, seeds]`.

        `selected` leads with at least `stop - first` steps; those from `stop` on are not taken.
        """
        arguments = (members, numbers, self._data.arrays, selected, jnp.int32(first), jnp.int32(stop))
        return self._call("advance", self._advance, arguments, donate=(0,))

    def evaluate(self, members: Members, arrays: Any, examples: int, batch_size: int) -> dict[str, jax.Array]:
        """Means over the examples, `[points, seeds]`, NaN for members that no longer train."""

        def function(members: Members, arrays: Any) -> dict[str, jax.Array]:
            return self._evaluate(members, arrays, examples, batch_size)

        return self._call(("evaluate", examples, batch_size), function, (members, arrays))

    def observe(self, members: Members, metrics: dict[str, jax.Array]) -> Members:
        """Members that have been told their held-out metrics, `[points, seeds]`."""
        return self._call("observe", self._observe, (members, metrics), donate=(0,))

    def _call(
        self, name: Any, function: Callable[..., Any], arguments: tuple[Any, ...], donate: Any = ()
    ) -> Any:
        shapes = jax.tree.map(lambda x: (x.shape, x.dtype), arguments)
        key = (name, str(shapes))
        if key not in self._compiled:
            began = time.perf_counter()
            jitted = jax.jit(function, donate_argnums=donate)
            self._compiled[key] = jitted.lower(*arguments).compile()
            self.seconds_compiling += time.perf_counter() - began
        return self._compiled[key](*arguments)

    def _start(self, keys: jax.Array, numbers: Mapping[str, jax.Array]) -> Members:
        def member(key: jax.Array, numbers: Mapping[str, jax.Array]) -> list[jax.Array]:
            return self._arrays(self._trial.init(key, {**self._static, **numbers}))

        def point(numbers: Mapping[str, jax.Array]) -> list[jax.Array]:
            return jax.vmap(lambda key: member(key, numbers))(keys)

        count = len(next(iter(numbers.values()))) if numbers else 1
        arrays = jax.vmap(point)(numbers) if numbers else [x[None] for x in point(numbers)]
        shape = (count, len(keys))
        return Members(arrays, jnp.ones(shape, bool), jnp.full(shape, -1, jnp.int32))

    def _advance(
        self,
        members: Members,
        numbers: Mapping[str, jax.Array],
        data_arrays: Any,
        selected: Any,
        first: jax.Array,
        stop: jax.Array,
    ) -> tuple[Members, dict[str, jax.Array]]:
        step_all = self._over_members(self._step)

        def one_step(members: Members, x: tuple[jax.Array, Any]) -> tuple[Members, dict[str, jax.Array]]:
            step, chosen = x

            def gather(chosen: Any) -> Any:
                return self._data.gather(data_arrays, chosen)

            batch = jax.vmap(gather)(chosen) if self._batched else gather(chosen)
            return step_all(members, batch, numbers, step, stop)

        length = jax.tree.leaves(selected)[0].shape[0]
        return jax.lax.scan(one_step, members, (first + jnp.arange(length, dtype=jnp.int32), selected))

    def _step(
        self, member: Members, batch: Any, numbers: Mapping[str, jax.Array], step: jax.Array, stop: jax.Array
    ) -> tuple[Members, dict[str, jax.Array]]:
        """One step of one member; once it has gone non-finite it stands still at its last finite state."""
        state = _carry.merge(member.arrays, self._frame)
        metrics, state = self._trial.update(state, batch, {**self._static, **numbers})
        arrays = self._arrays(state)
        running = member.alive & (step < stop)
        bad = ~jnp.isfinite(jnp.asarray(metrics["loss"])) | _carry.turned_bad(
            arrays, member.arrays, self._frame
        )
        moved = running & ~bad
        kept = [jnp.where(moved, new, old) for new, old in zip(arrays, member.arrays, strict=True)]
        diverged_at = jnp.where(running & bad, step, member.diverged_at)
        recorded = {
            name: jnp.where(running, jnp.asarray(value, jnp.float32), jnp.nan)
            for name, value in metrics.items()
        }
        return Members(kept, member.alive & ~(running & bad), diverged_at), recorded

    def _evaluate(
        self, members: Members, arrays: Any, examples: int, batch_size: int
    ) -> dict[str, jax.Array]:
        judge = self._trial.evaluate
        assert judge is not None

        def member(member: Members) -> dict[str, jax.Array]:
            state = _carry.merge(member.arrays, self._frame)
            means = _mean_over_batches(lambda batch: judge(state, batch), arrays, examples, batch_size)
            return {name: jnp.where(member.alive, mean, jnp.nan) for name, mean in means.items()}

        return jax.vmap(jax.vmap(member))(members)

    def _observe(self, members: Members, metrics: dict[str, jax.Array]) -> Members:
        observe = self._trial.observe
        assert observe is not None

        def member(member: Members, metrics: dict[str, jax.Array]) -> Members:
            told = self._arrays(observe(_carry.merge(member.arrays, self._frame), metrics))
            kept = [jnp.where(member.alive, new, old) for new, old in zip(told, member.arrays, strict=True)]
            return member._replace(arrays=kept)

        return jax.vmap(jax.vmap(member))(members, metrics)

    def _arrays(self, state: Any) -> list[jax.Array]:
        return _carry.split(state, self._frame.carried)[0]

    def _over_members(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The step of one member over seeds (which may each have a batch) and points (which share it)."""
        batch_axis = 0 if self._batched else None
        over_seeds = jax.vmap(function, (0, batch_axis, None, None, None))
        return jax.vmap(over_seeds, (0, None, 0, None, None))


def _mean_over_batches(
    evaluate: Callable[[Any], Mapping[str, Any]], arrays: Any, examples: int, batch_size: int
) -> dict[str, jax.Array]:
    """Means of an evaluation over all examples, in order; the last batch may be smaller."""
    whole, rest = divmod(examples, batch_size)

    def measure(batch: Any) -> dict[str, jax.Array]:
        return {name: jnp.asarray(value, jnp.float32) for name, value in evaluate(batch).items()}

    def take(x: jax.Array) -> jax.Array:
        return x[: whole * batch_size].reshape(whole, batch_size, *x.shape[1:])

    parts = []
    if whole == 1:
        parts.append((batch_size, measure(jax.tree.map(lambda x: x[:batch_size], arrays))))
    elif whole:
        means = jax.lax.map(measure, jax.tree.map(take, arrays))
        parts.append((whole * batch_size, {name: mean.mean() for name, mean in means.items()}))
    if rest:
        parts.append((rest, measure(jax.tree.map(lambda x: x[whole * batch_size :], arrays))))
    weighted = [{name: count / examples * mean for name, mean in part.items()} for count, part in parts]
    return jax.tree.map(lambda *means: jnp.stack(means).sum(), *weighted)
