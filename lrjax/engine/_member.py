"""The pure functions of one member: start, step, evaluate, observe, on the arrays of its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from lrjax.data import Data
from lrjax.engine import _carry
from lrjax.trials import MARK, Trial

Arrays = list[jax.Array]


class Member:
    """One member of a group of points that share a program.

    Attributes:
      frame: What of its state is held still.
      data: The data it trains on.
      names: The names of its training metrics, in the order in which `step` stacks them.
      held_out_names: The names of its held-out metrics, in the order in which `evaluate` stacks them;
        known once that is traced.
    """

    def __init__(
        self,
        trial: Trial,
        static: Mapping[str, Any],
        frame: _carry.Frame,
        data: Data,
        names: Sequence[str],
    ) -> None:
        self._trial = trial
        self._static = dict(static)
        self.frame = frame
        self.data = data
        self.names = tuple(names)
        self.held_out_names: tuple[str, ...] = ()

    def start(self, key: jax.Array, numbers: Mapping[str, jax.Array]) -> Arrays:
        """The state before the first step."""
        return self._split(self._trial.init(key, {**self._static, **numbers}))

    def step(self, arrays: Arrays, batch: Any, numbers: Mapping[str, jax.Array]) -> tuple[Arrays, jax.Array]:
        """The next state and the metrics, float32 `[metrics]`."""
        state = _carry.merge(arrays, self.frame)
        metrics, state = self._trial.update(state, batch, {**self._static, **numbers})
        return self._split(state), _stacked(metrics, self.names)

    def good(self, new: Arrays, old: Arrays) -> jax.Array:
        """Whether everything that was finite still is."""
        return _carry.good(new, old, self.frame)

    def evaluate(self, arrays: Arrays, held_out: Any, examples: int, batch_size: int) -> jax.Array:
        """The means of the evaluation's metrics over all examples, float32 `[metrics]`."""
        judge = self._trial.evaluate
        assert judge is not None
        state = _carry.merge(arrays, self.frame)

        def measure(batch: Any) -> jax.Array:
            metrics = judge(state, batch)
            self.held_out_names = tuple(metrics)
            return _stacked(metrics, self.held_out_names)

        return _mean_over_batches(measure, held_out, examples, batch_size)

    def observe(self, arrays: Arrays, measured: jax.Array) -> Arrays:
        """The state that has been told its held-out metrics."""
        observe = self._trial.observe
        assert observe is not None
        metrics = {name: measured[index] for index, name in enumerate(self.held_out_names)}
        return self._split(observe(_carry.merge(arrays, self.frame), metrics))

    def diagnose(self, arrays: Arrays, batch: Any, numbers: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Whether each leaf that a step meets or makes is finite, by what it is and where it stands."""
        return self.finite(arrays, batch, *self.marked_step(arrays, batch, numbers))

    def marked_step(
        self, arrays: Arrays, batch: Any, numbers: Mapping[str, jax.Array]
    ) -> tuple[Arrays, jax.Array, dict[str, jax.Array]]:
        """The next state, the metrics, and what the trial marks, by what it is and where it stands."""

        def step(arrays: Arrays) -> tuple[Arrays, jax.Array]:
            return self.step(arrays, batch, numbers)

        (new, metrics), marked = _with_marked_values(step, MARK)(arrays)
        return new, metrics, marked

    def finite(
        self, arrays: Arrays, batch: Any, new: Arrays, metrics: jax.Array, marked: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """What `diagnose` says, of a step that has been taken from `arrays`."""
        leaves = jax.tree_util.tree_leaves_with_path(batch)
        flags = {"batch" + jax.tree_util.keystr(path): _finite(leaf) for path, leaf in leaves}
        flags["loss"] = _finite(metrics[self.names.index("loss")])
        flags |= {where: _finite(value) for where, value in marked.items()}
        states = ("state" + path for path in self.frame.array_paths)
        return flags | dict(zip(states, _carry.good_leaves(new, arrays, self.frame), strict=True))

    def _split(self, state: Any) -> Arrays:
        return _carry.split(state, self.frame.carried)[0]


def _with_marked_values(
    function: Callable[..., Any], prefix: str
) -> Callable[..., tuple[Any, dict[str, jax.Array]]]:
    """The function with what `checkpoint_name` marks in it, by name without the prefix.

    Marks inside of `jit`, loops and custom rules are not seen.
    """

    def call(*arguments: Any) -> tuple[Any, dict[str, jax.Array]]:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        marks = {
            equation.params["name"].removeprefix(prefix): equation.outvars[0]
            for equation in closed.jaxpr.eqns
            if equation.primitive.name == "name" and equation.params["name"].startswith(prefix)
        }
        with_marks = closed.jaxpr.replace(
            outvars=[*closed.jaxpr.outvars, *marks.values()],
            debug_info=closed.jaxpr.debug_info._replace(result_paths=None),  # it names the outputs it knew
        )
        outputs = jaxpr_as_fun(ClosedJaxpr(with_marks, closed.consts))(*jax.tree.leaves(arguments))
        count = len(closed.jaxpr.outvars)
        result = jax.tree.unflatten(jax.tree.structure(shape), outputs[:count])
        return result, dict(zip(marks, outputs[count:], strict=True))

    return call


def _stacked(metrics: Mapping[str, Any], names: Sequence[str]) -> jax.Array:
    return jnp.stack([jnp.asarray(metrics[name], jnp.float32) for name in names])


def _finite(leaf: Any) -> jax.Array:
    x = jnp.asarray(leaf)
    return jnp.all(jnp.isfinite(x)) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.ones((), bool)


def _mean_over_batches(
    measure: Callable[[Any], jax.Array], arrays: Any, examples: int, batch_size: int
) -> jax.Array:
    """Means over all examples, in order; the last batch may be smaller."""
    whole, rest = divmod(examples, batch_size)

    def take(x: jax.Array) -> jax.Array:
        return x[: whole * batch_size].reshape(whole, batch_size, *x.shape[1:])

    parts = []
    if whole == 1:
        parts.append((batch_size, measure(jax.tree.map(lambda x: x[:batch_size], arrays))))
    elif whole:
        means = jax.lax.map(measure, jax.tree.map(take, arrays))
        parts.append((whole * batch_size, means.mean(axis=0)))
    if rest:
        parts.append((rest, measure(jax.tree.map(lambda x: x[whole * batch_size :], arrays))))
    return jnp.stack([count / examples * mean for count, mean in parts]).sum(axis=0)
