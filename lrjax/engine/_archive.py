"""A sweep's directory: what it trains, which members are stored there, and when to store again.

Members are known by content: the text of their program, their hyperparameters, seed and data, and the
versions they were trained with; never by their place in a grid. So a sweep that asks for more points,
seeds or steps than an earlier one trains only what is new.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax._keys import member_key
from lrjax.data import text_digest
from lrjax.engine._books import Books, Who
from lrjax.engine._clock import Clock
from lrjax.engine._job import Job
from lrjax.engine._store import Checkpoint, Store
from lrjax.engine._team import Team
from lrjax.results import AnotherSweep, Plan

VERSION = 1  # of what a checkpoint says about its sweep
_SHARE = 20  # training gets so many times the seconds that writing a checkpoint takes
_FIELDS = (
    *("step", "evaluated", "diverged_at", "stopped_at", "causes", "leaves"),
    *("first", "lowest", "over", "best", "since_best", "latest", "schedule"),
)


class Training(Protocol):
    """What an archive asks of a job while it runs, and tells it when it goes on."""

    job: Job
    books: Books
    teams: list[Team]
    plans: list[Plan]
    clock: Clock
    stage: int
    stage_begun: bool
    moved: bool
    spent: tuple[float, float, float]

    def everyone(self) -> list[Who]:
        """All members."""
        ...

    def settings(self) -> dict[str, Any]:
        """How the job was asked for, as far as that is not in its points."""
        ...

    def seconds(self) -> tuple[float, float, float]:
        """Seconds spent compiling, probing and running."""
        ...

    def state(self, who: Who) -> list[jax.Array] | None:
        """A member's state, or None before it has one."""
        ...

    def best_state(self, who: Who) -> list[jax.Array] | None:
        """A member's state at its best evaluation, if that is kept."""
        ...


class Archive:
    """The checkpoints of a sweep, and what they say.

    Args:
      call: The public function the user called.
      directory: Where they are.
      seconds: Seconds between checkpoints at least.

    Raises:
      ImportError: If Orbax is not installed.
      OSError: If the directory cannot be written, or is in use.
      ValueError: If it holds checkpoints and none of them is whole.
    """

    def __init__(self, call: str, directory: str | os.PathLike[str], seconds: float) -> None:
        self._call = call
        self._directory = os.fspath(directory)
        self._seconds = seconds
        self._store = Store(call, "directory", directory)
        try:
            self._stored = self._store.newest()
            version = self._stored.about["version"] if self._stored else VERSION
            if version != VERSION:
                expected = f"a directory whose sweep is stored in version {VERSION}"
                raise self._refusal(expected, f"version {version}")
            if self._stored and "schedule" not in self._stored.curves:  # an older one does not tell
                self._stored.curves["schedule"] = np.full(len(self._stored.about["members"]), -1)
        except BaseException:
            self._store.close()
            raise
        self._manifest: dict[str, Any] = {}
        self._ids: dict[Who, str] = {}
        self._saved = time.perf_counter()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: Any) -> None:
        self._store.__exit__(*error)

    @property
    def intervals(self) -> tuple[int, int] | None:
        """Steps between evaluations and between records of the sweep that is stored, if there is one."""
        if self._stored is None:
            return None
        settings = self._stored.about["manifest"]["settings"]
        return settings["evaluate_every"], settings["record_every"]

    def plans(self, labels: Sequence[str]) -> list[Plan] | None:
        """How the groups of the stored sweep were run, if these are the same."""
        if self._stored is None or self._stored.about["groups"] != list(labels):
            return None
        return [Plan(**plan) for plan in self._stored.about["plans"]]

    def clock(self) -> Clock | None:
        """The chunks of the stored sweep."""
        return None if self._stored is None else Clock(*self._stored.about["clock"])

    def labels(self, training: Training) -> list[str]:
        """What tells the groups of a sweep apart."""
        return [_label(team) for team in training.teams]

    def begin(self, training: Training) -> None:
        """Finds out what the directory holds of a sweep.

        Raises:
          ValueError: If it holds another sweep; the message says what differs.
        """
        self._manifest = _manifest(training)
        for team, label in zip(training.teams, self.labels(training), strict=True):
            about = json.dumps([self._manifest["settings"], self._manifest["groups"][label]])
            for who, i in team.ids(training.everyone()).items():
                self._ids[who] = _member_id(team, i, training.job.first_seed, about)
        if self._stored is None:
            return
        differences = _differences(self._stored.about, self._manifest, training, list(self._ids.values()))
        if differences:
            raise self._refusal("a directory of this sweep, or another one", "; ".join(differences))
        stored = {name: row for row, name in enumerate(self._stored.about["members"])}
        for who, name in self._ids.items():
            if name in stored:
                self._restore(training, who, stored[name])
        about, curves = self._stored.about, self._stored.curves
        training.stage = about["stage"]
        training.stage_begun = about["stage_begun"]
        training.spent = tuple(about["seconds"])
        training.books.repeated = about["repeated"]
        training.books.rungs = [(step, curves[f"rungs/{n}/losses"]) for n, step in enumerate(about["rungs"])]
        training.books.kept = [curves[f"rungs/{n}/kept"] for n in range(len(about["rungs"]))]

    def state(self, training: Training, who: Who, kind: str = "state") -> list[jax.Array] | None:
        """The stored state of a member, or its best one, if there is one."""
        checkpoint = self._stored
        names = checkpoint.about["members"] if checkpoint else []
        if checkpoint is None or self._ids[who] not in names:
            return None
        row = names.index(self._ids[who])
        if not checkpoint.curves[f"has/{kind}"][row]:
            return None
        group = int(checkpoint.curves["group"][row])
        same = (checkpoint.curves["group"] == group) & checkpoint.curves[f"has/{kind}"]
        place = int(same[:row].sum())
        outlines = next(team.outline for team in training.teams if team.ids([who]))
        return [
            _revived(checkpoint.states[f"{kind}/{group}/{leaf}"][place], outline)
            for leaf, outline in enumerate(outlines)
        ]

    def save(self, training: Training, now: bool = False) -> None:
        """Stores where a sweep stands, if it is time, or `now`."""
        due = max(self._seconds, _SHARE * self._store.seconds)
        if not training.moved or (not now and time.perf_counter() - self._saved < due):
            return
        self._store.save(self._checkpoint(training))
        self._saved = time.perf_counter()
        training.moved = False
        if now:
            self._store.wait()

    def _checkpoint(self, training: Training) -> Checkpoint:
        books, whose = training.books, list(self._ids)
        index = tuple(np.array(axis) for axis in zip(*whose, strict=True))
        labels = self.labels(training)
        group_of = {who: g for g, team in enumerate(training.teams) for who in team.ids(whose)}
        curves: dict[str, np.ndarray] = {field: getattr(books, field)[index] for field in _FIELDS}
        curves["group"] = np.array([group_of[who] for who in whose])
        for kind in ("metrics", "held_out", "test"):
            curves |= {f"{kind}/{name}": x[index] for name, x in getattr(books, kind).items()}
        states: dict[str, np.ndarray] = {}
        for kind, find in (("state", training.state), ("best", training.best_state)):
            found = {who: arrays for who in whose if (arrays := find(who)) is not None}
            curves[f"has/{kind}"] = np.array([who in found for who in whose])
            for g in range(len(labels)):
                own = [found[who] for who in whose if who in found and group_of[who] == g]
                for leaf, values in enumerate(zip(*own, strict=True)):
                    states[f"{kind}/{g}/{leaf}"] = np.stack([_plain(x) for x in values])
        members = [self._ids[who] for who in whose]
        self._add_others(members, labels, curves, states, books.recorded_steps, books.held_out_steps)
        curves |= {"recorded_steps": books.recorded_steps, "held_out_steps": books.held_out_steps}
        for n, ((_, losses), kept) in enumerate(zip(books.rungs, books.kept, strict=True)):
            curves |= {f"rungs/{n}/losses": losses, f"rungs/{n}/kept": kept}
        about = {
            "version": VERSION,
            "manifest": self._manifest,
            "members": members,
            "groups": labels,
            "steps": training.job.steps,
            "stage": training.stage,
            "stage_begun": training.stage_begun,
            "rungs": [step for step, _ in books.rungs],
            "repeated": books.repeated,
            "seconds": list(training.seconds()),
            "plans": [vars(plan) for plan in training.plans],
            "clock": list(training.clock),
        }
        return Checkpoint(about, curves, states)

    def _add_others(
        self,
        members: list[str],
        labels: list[str],
        curves: dict[str, np.ndarray],
        states: dict[str, np.ndarray],
        recorded_steps: np.ndarray,
        held_out_steps: np.ndarray,
    ) -> None:
        """Adds the members that are stored and were not asked for this time, so that they are not lost."""
        old = self._stored
        rows = [r for r, name in enumerate(old.about["members"]) if name not in members] if old else []
        if old is None or not rows:
            return
        self._manifest["groups"] = {**old.about["manifest"]["groups"], **self._manifest["groups"]}
        grids = {"metrics": recorded_steps, "held_out": held_out_steps}
        groups = [_place(labels, old.about["groups"][g]) for g in old.curves["group"][rows]]
        count = len(members)
        for name, table in old.curves.items():
            kind = name.split("/")[0]
            if kind in ("recorded_steps", "held_out_steps", "rungs"):
                continue
            values = np.array(groups) if name == "group" else table[rows]
            if kind in grids:
                values = _on_grid(
                    values,
                    old.curves["recorded_steps" if kind == "metrics" else "held_out_steps"],
                    grids[kind],
                )
            own = curves.get(name)
            if own is None:
                own = np.full((count, *values.shape[1:]), np.nan, np.float32)
            curves[name] = np.concatenate([own, values])
        for name, own in curves.items():
            if len(own) == count:  # a metric that the others do not have
                missing = np.full((len(rows), *own.shape[1:]), np.nan, np.float32)
                curves[name] = np.concatenate([own, missing])
        for kind in ("state", "best"):
            for row, group in zip(rows, groups, strict=True):
                if not old.curves[f"has/{kind}"][row]:
                    continue
                before = int(old.curves["group"][row])
                same = (old.curves["group"] == before) & old.curves[f"has/{kind}"]
                place, leaf = int(same[:row].sum()), 0
                while (array := old.states.get(f"{kind}/{before}/{leaf}")) is not None:
                    name = f"{kind}/{group}/{leaf}"
                    parts = [states[name]] if name in states else []
                    states[name] = np.concatenate([*parts, array[place : place + 1]])
                    leaf += 1
        members += [old.about["members"][row] for row in rows]

    def _restore(self, training: Training, who: Who, row: int) -> None:
        assert self._stored is not None
        curves, books = self._stored.curves, training.books
        for field in _FIELDS:
            getattr(books, field)[who] = curves[field][row]
        for kind, old, new in (
            ("metrics", curves["recorded_steps"], books.recorded_steps),
            ("held_out", curves["held_out_steps"], books.held_out_steps),
        ):
            for name, table in curves.items():
                if name.startswith(f"{kind}/"):
                    values = _on_grid(table[row], old, new)
                    books.table(getattr(books, kind), name.removeprefix(f"{kind}/"), len(new))[who] = values
        done = books.step[who] == training.job.steps or books.stopped_at[who] >= 0
        tested = "test/loss" in curves and not np.isnan(curves["test/loss"][row])
        for name, table in curves.items():
            if name.startswith("test/") and done and tested:
                books.enter_test(who, table[row : row + 1], [name.removeprefix("test/")])
        books.reused += int(books.step[who])

    def _refusal(self, expected: str, got: str) -> Exception:
        got = f"{self._directory}, where {got}"
        return AnotherSweep(str(_check.fail(self._call, "directory", expected, got)))


def _manifest(training: Training) -> dict[str, Any]:
    job = training.job
    settings = {
        name: value for name, value in training.settings().items() if name not in ("seeds", "first_seed")
    }
    for name, held_out in (("evaluate_on", job.held_out), ("test_on", job.test)):
        digest = text_digest(name, held_out.arrays, held_out.batch_size) if held_out else None
        settings[name] = digest
    settings["platform"] = jax.default_backend()
    settings["x64"] = bool(jax.config.read("jax_enable_x64"))
    settings["matmul_precision"] = str(jax.config.values["jax_default_matmul_precision"])
    return {
        "versions": {name: metadata.version(name) for name in ("jax", "jaxlib")},
        "settings": settings,
        "groups": {
            _label(team): {"program": _program_digest(training, team), "data": team.data.digest()}
            for team in training.teams
        },
    }


def _label(team: Team) -> str:
    """A group's static hyperparameters and the types of its others, as text."""
    points = team.points
    shown = {
        name: getattr(v, "__qualname__", repr(v)) for name, v in {**points.static, **points.of_data}.items()
    }
    return json.dumps([shown, {name: str(values.dtype) for name, values in points.numeric.items()}])


def _program_digest(training: Training, team: Team) -> str:
    """The SHA-256 of the text of the programs of one member."""
    job, member = training.job, team.member
    numbers = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in team.numbers.items()}
    key = member_key(job.key, 0)
    arrays = team.outline
    texts = [
        jax.jit(member.start).lower(key, numbers).as_text(),
        jax.jit(member.step).lower(arrays, team.batch, numbers).as_text(),
    ]
    if job.held_out is not None:
        examples, size, held_out = job.held_out.examples, job.held_out.batch_size, job.held_out.arrays

        def evaluate(arrays: Any, held_out: Any) -> Any:
            measured = member.evaluate(arrays, held_out, examples, size)
            return measured if job.trial.observe is None else (measured, member.observe(arrays, measured))

        texts.append(jax.jit(evaluate).lower(arrays, held_out).as_text())
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _member_id(team: Team, place: tuple[int, int], first_seed: int, about: str) -> str:
    position, seed = place
    hashed = hashlib.sha256(about.encode())
    for name in sorted(team.numbers):
        value = team.numbers[name][position]
        hashed.update(f"{name} {value.dtype} ".encode() + value.tobytes())
    hashed.update(f"seed {first_seed + seed}".encode())
    return hashed.hexdigest()


def _differences(
    about: Mapping[str, Any], manifest: Mapping[str, Any], training: Training, ids: list[str]
) -> list[str]:
    """What the stored sweep has otherwise, in words."""
    stored, found = about["manifest"], []
    for part in ("versions", "settings"):
        for name, value in manifest[part].items():
            before = stored[part].get(name)
            if before != value:
                long = isinstance(value, str) and len(value) == 64
                found.append(f"{name} is another" if long else f"{name} was {before!r} and is {value!r}")
    common = [label for label in manifest["groups"] if label in stored["groups"]]
    if not common:
        found.append("no point has the hyperparameters of this sweep's points")
    for label in common:
        for part, words in (("program", "the trial or the optimizer"), ("data", "the training data")):
            if manifest["groups"][label][part] != stored["groups"][label][part]:
                found.append(f"{words} is another" if part == "program" else f"{words} are others")
    if training.job.rule is not None and (
        set(ids) != set(about["members"]) or about["steps"] != training.job.steps
    ):
        found.append("the points, seeds or steps are others, which an allocation does not allow")
    if about["steps"] > training.job.steps:
        found.append(f"steps was {about['steps']} and is {training.job.steps}: it can only grow")
    return list(dict.fromkeys(found))


def _place(labels: list[str], label: str) -> int:
    if label not in labels:
        labels.append(label)
    return labels.index(label)


def _on_grid(values: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Values at some steps put to where those stand among others; NaN where nothing was measured."""
    placed = np.full((*values.shape[:-1], len(new)), np.nan, values.dtype)
    _, there, here = np.intersect1d(new, old, return_indices=True)
    placed[..., there] = values[..., here]
    return placed


def _plain(x: jax.Array) -> np.ndarray:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)


def _revived(x: np.ndarray, outline: Any) -> jax.Array:
    if jnp.issubdtype(outline.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(x), impl=outline.dtype._impl.name)
    return jnp.asarray(x, outline.dtype)
