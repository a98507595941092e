"""`lrjax range-test TASK`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import threading
from pathlib import Path
from typing import Any

import lrjax
from lrjax.cli._console import EXIT_CODES, FOUND, NO_RATE, Console
from lrjax.cli._parser import add_training, ends, progress, single_settings
from lrjax.cli._work import Result, draw, introduce, short, trial_of
from lrjax.engine import on_interrupt


def add(commands: Any) -> None:
    """Adds the command."""
    test = commands.add_parser(
        "range-test",
        help="train while the rate climbs, and suggest a rate",
        description="Trains while the learning rate climbs from step to step, several seeds side by side, "
        "then for as many steps with rates that stay, and suggests one from the losses. Quick, and rougher "
        "than `lrjax find`.",
        epilog=EXIT_CODES,
    )
    add_training(test, seeds=5, steps="100")
    test.add_argument(
        "--minimum", type=float, default=1e-7, metavar="RATE", help="lowest rate (default: 1e-7)"
    )
    test.add_argument("--maximum", type=float, default=10.0, metavar="RATE", help="highest (default: 10)")
    test.add_argument(
        "--training-steps",
        type=int,
        metavar="N",
        help="updates of the training that the rate is for (default: the task's)",
    )
    test.add_argument(
        "--ramp-only",
        action="store_true",
        help="no rates that stay, whatever the training's length: quicker, and rougher",
    )
    test.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    """Trains the ramp, writes data and picture, prints what it suggests last."""
    low, high = ends(options)
    others = single_settings(options.set, "a range test moves the learning rate alone")
    task = lrjax.tasks.load(options.task)
    optimizer, trial = trial_of(task, options.optimizer)
    steps = 100 if options.steps is None else options.steps
    introduce(options, console, task, optimizer, f"{low:.3g} to {high:.3g}", steps)
    directory = _new_directory(options.directory, f"runs/range-test-{short(options.task)}")
    console.detail(f"training; to be written in {directory}")
    stopped = threading.Event()
    with on_interrupt(stopped.set):  # so that what is measured is written in any case
        try:
            test = lrjax.range_test(
                trial,
                task.data,
                minimum=low,
                maximum=high,
                steps=steps,
                seeds=options.seeds,
                hyperparams=others,
                constant=not options.ramp_only,
                training_steps=task.steps if options.training_steps is None else options.training_steps,
                key=options.key,
                progress=progress(options),
            )
        except KeyboardInterrupt as interrupt:
            if not isinstance(test := getattr(interrupt, "range_test", None), lrjax.RangeTest):
                raise
        test.save(directory)
        console.written(directory)
    if stopped.is_set():
        raise KeyboardInterrupt
    files = ["range-test.json", *draw(test, directory / "range-test.png", console)]
    console.detail(f"plan: {test.plan.summary()}")
    console.tell(f"wrote {', '.join(files)} in {directory}\n")
    *lines, last = test.summary().splitlines()
    console.tell("\n".join(lines))
    console.answer(last)
    return FOUND if test.suggestion is not None else NO_RATE, {
        **{"task": options.task, "optimizer": optimizer, "directory": str(directory), "files": files},
        "answer": lrjax.export.answer_json(test.answer),
        **{"name": test.name, "hyperparams": test.hyperparams, "steps": steps, "seeds": options.seeds},
        **{"training_steps": test.training_steps, "decays": test.decays},
        "constant_rates": None if test.constant_rates is None else test.constant_rates.tolist(),
        **{"plan": str(test.plan), "cost": dataclasses.asdict(test.cost)},
    }


def _new_directory(given: str | None, usual: str) -> Path:
    """Where asked, or the first usual place without a range test; proved to be writable before training."""
    places = (Path(usual if number == 1 else f"{usual}-{number}") for number in itertools.count(1))
    free = next(place for place in places if not lrjax.results.holds_range_test(place))
    return lrjax.results.check_writable("range_test", "directory", given or free)
