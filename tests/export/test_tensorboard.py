"""Event files, read back by TensorBoard itself."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from tests.export.sweeps import ODD, SHOWN, SWEEPS, dropped, odd, partly, usual
from tests.measured import interrupted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies' own
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

EVERYTHING = {"scalars": 0, "tensors": 0}  # no reservoir: keep all


def read(directory):
    run = EventAccumulator(str(directory), size_guidance=EVERYTHING)
    run.Reload()
    return run


def runs_of(directory, sweep):
    width = len(str(len(sweep.diverged_at) - 1))
    for p, s in np.ndindex(sweep.diverged_at.shape):
        yield (p, s), read(directory / f"point-{p:0{width}d}" / f"seed-{s}")


def scalars(run, tag):
    return [(event.step, event.value) for event in run.Scalars(tag)] if tag in run.Tags()["scalars"] else []


def text_of(tag):
    return tag.encode("utf-8", "replace").decode()


def hparams(run, tag):
    return metadata.parse_session_start_info_plugin_data(run.SummaryMetadata(tag).plugin_data.content)


def ran(sweep, member, step, training):
    """Whether a member still trained when something was measured."""
    if (at := sweep.diverged_at[member]) >= 0 and step > at:
        return False
    at = sweep.stopped_at[member]
    return at < 0 or (step < at if training else step <= at)


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_run_for_each_member_with_what_it_measured(kind, tmp_path):
    sweep = SWEEPS[kind]()
    made = sweep.to_tensorboard(tmp_path / "logs")
    assert made == tmp_path / "logs"
    assert len(list(made.rglob("events.out.tfevents.*"))) == sweep.diverged_at.size + 1
    for member, run in runs_of(made, sweep):
        for prefix, metrics, steps in (
            ("train", sweep.metrics, sweep.recorded_steps),
            ("held_out", sweep.held_out, sweep.held_out_steps),
        ):
            for name, values in metrics.items():
                want = [
                    (step, value)
                    for step, value in zip(steps, values[member], strict=True)
                    if ran(sweep, member, step, prefix == "train")
                ]
                found = scalars(run, text_of(f"{prefix}/{name}"))
                np.testing.assert_array_equal(np.array(found, np.float32), np.array(want, np.float32))


def test_names_of_any_kind_survive(tmp_path):
    sweep = odd()
    (_, run), *_ = runs_of(sweep.to_tensorboard(tmp_path / "logs"), sweep)
    tags = run.Tags()["scalars"]
    assert {f"train/{text_of(name)}" for name in ODD} <= set(tags)
    assert {"final/held_out/a/b", "final/train/a b", "final/train/a_b", "test/a/b"} <= set(tags)


def test_hyperparameters_of_every_run(tmp_path):
    sweep = odd()
    for (p, _), run in runs_of(sweep.to_tensorboard(tmp_path / "logs"), sweep):
        start = hparams(run, "_hparams_/session_start_info")
        assert start.group_name == f"point-{p:02d}"
        assert start.hparams["learning_rate"].number_value == sweep.points["learning_rate"][p]
        assert start.hparams["kind/é"].string_value == str(SHOWN[p])
        assert start.hparams["seed"].number_value == 1


def test_a_run_has_no_hyperparameter_that_its_point_lacks(tmp_path):
    sweep = partly()
    made = sweep.to_tensorboard(tmp_path / "logs")
    known = {
        member: dict(hparams(run, "_hparams_/session_start_info").hparams)
        for member, run in runs_of(made, sweep)
    }
    assert known[1, 0].keys() == {"learning_rate"}
    assert known[0, 0]["momentum"].number_value == 0.5
    assert known[2, 1]["name"].string_value == "None"


def test_the_experiment_lists_hyperparameters_and_metrics(tmp_path):
    sweep = partly()
    run = read(sweep.to_tensorboard(tmp_path / "logs"))
    content = run.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    infos = {info.name: info for info in experiment.hparam_infos}
    assert list(infos["momentum"].domain_discrete) == [0.5, 0.9]
    assert list(infos["name"].domain_discrete) == ["x", "None"]
    assert [info.name.tag for info in experiment.metric_infos] == [
        *("final/loss", "final/train/loss", "final/held_out/loss", "diverged_at", "stopped_at")
    ]


@pytest.mark.parametrize("make", [usual, interrupted, dropped], ids=lambda f: f.__name__)
def test_runs_say_how_they_ended(make, tmp_path):
    sweep = make()
    frame = sweep.to_pandas("members").set_index(["point", "seed"])
    for member, run in runs_of(sweep.to_tensorboard(tmp_path / "logs"), sweep):
        content = run.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        status = metadata.parse_session_end_info_plugin_data(content).status
        final = frame["final_loss"][member]
        want = 2 if sweep.answer.failed[member] else int(np.isfinite(final))
        assert status == want  # 0 is unknown, 1 success, 2 failure
        found = scalars(run, "final/loss")
        assert [value for _, value in found] == ([np.float32(final)] if np.isfinite(final) else [])
        for tag in ("diverged_at", "stopped_at"):
            at = getattr(sweep, tag)[member]
            assert [value for _, value in scalars(run, tag)] == ([at] if at >= 0 else [])
        (outcome,) = (
            event.tensor_proto.string_val[0].decode() for event in run.Tensors("outcome/text_summary")
        )
        if sweep.diverged_at[member] >= 0:
            assert outcome == "diverged at step 50 (loss)"
        elif (at := sweep.stopped_at[member]) >= 0:
            assert outcome == f"stopped before step {at} of 100"
        else:
            assert outcome == "trained to the end"


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path):
    target = tmp_path / "logs"
    usual().to_tensorboard(target)
    assert (target / "point-4").is_dir()
    usual([[1, 2]], [0.1]).to_tensorboard(target)
    assert sorted(path.name for path in target.iterdir()) == ["events.out.tfevents.0.lrjax", "point-0"]
    (target / "notes.txt").write_text("mine")
    with pytest.raises(
        FileExistsError, match=r"`to_tensorboard\(directory=\.\.\.\)` must be a new directory"
    ):
        usual().to_tensorboard(target)
    with pytest.raises(FileExistsError):
        usual().to_tensorboard(target / "notes.txt")
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "point-0").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_an_empty_directory_will_do(tmp_path):
    assert usual().to_tensorboard(tmp_path) == tmp_path
    assert (tmp_path / "point-0").is_dir()


def test_nothing_is_left_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lrjax.export._events.Events.scalars", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        usual().to_tensorboard(tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboardx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'lrjax\[tensorboard\]'"):
        usual().to_tensorboard(tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []
