"""The answer to measured numbers: which rate, how wide, where training diverges, what to mend."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lrjax.answer import final_losses, judge, medians, summary
from lrjax.answer._ledger import Rung, ledger
from lrjax.results import Cost
from tests.measured import STEPS, measured

NAN = np.nan
RATES = [0.01, 0.1, 1.0, 10.0]


def judged(final, rates=RATES, **options):
    return judge(measured({"learning_rate": list(rates)}, final, **options))


def grid_warnings(answer):
    """The warnings but for those that the made-up curves, straight lines of one seed, always give."""
    usual = ("One seed was trained", "The loss still falls")
    return tuple(warning for warning in answer.warnings if not warning.startswith(usual))


# The best rate


def test_the_best_rate_has_the_lowest_median_held_out_loss():
    answer = judged([[5, 5, 5], [1, 2, 3], [0.1, 4, 5], [6, 6, 6]])
    assert answer.learning_rate == 0.1
    assert answer.index == 1
    assert answer.score == 2
    assert answer.judged_by == "held-out loss"
    assert answer.point == {"learning_rate": 0.1}
    np.testing.assert_allclose(answer.scores, [5, 2, 4, 6])


def test_one_lucky_seed_does_not_win():
    assert judged([[3, 3, 3], [0.001, 9, 9], [4, 4, 4], [5, 5, 5]]).learning_rate == 0.01


def test_held_out_losses_decide_and_training_losses_do_not():
    data = measured({"learning_rate": RATES}, [[1], [2], [3], [4]])
    data.metrics["loss"][...] = data.metrics["loss"][::-1].copy()
    assert judge(data).learning_rate == 0.01


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_equal_scores_go_to_the_lower_rate_in_any_order(order):
    final = np.array([[2.0], [1.0], [1.0], [1.0]])
    answer = judged(final[order], np.array(RATES)[order])
    assert answer.learning_rate == 0.1
    assert answer.plateau == (0.1, 10.0)


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_order_of_points_does_not_matter(order):
    final = np.array([[3.0, 3.0], [1.0, 1.1], [1.02, 1.1], [NAN, NAN]])
    base, shuffled = judged(final), judged(final[order], np.array(RATES)[order])
    for name in ("learning_rate", "score", "plateau", "divergence_edge", "recommendation", "warnings"):
        assert getattr(shuffled, name) == getattr(base, name)
    np.testing.assert_array_equal(shuffled.scores, base.scores[order])


# Failures


def test_members_that_diverged_count_as_failed():
    answer = judged([[3, 3, 3], [1, NAN, NAN], [2, 2, NAN], [NAN, NAN, NAN]])
    assert answer.learning_rate == 1.0
    assert answer.score == 2
    np.testing.assert_array_equal(answer.failed.sum(axis=1), [0, 2, 1, 3])
    assert np.isinf(answer.scores).tolist() == [False, True, False, True]


def test_half_of_the_seeds_are_enough_to_fail():
    answer = judged([[3, 3], [1, NAN], [4, 4], [5, 5]])
    assert np.isinf(answer.scores[1])
    assert answer.learning_rate == 0.01


def test_a_member_that_diverged_failed_whatever_its_last_loss():
    diverged = [[False], [True], [False], [False]]
    data = measured({"learning_rate": RATES}, [[3], [1], [4], [5]], diverged=diverged)
    data.held_out["loss"][1] = 0.5
    assert judge(data).failed.tolist() == diverged
    assert judge(data).learning_rate == 0.01


def test_a_member_that_ended_worse_than_it_began_failed():
    answer = judged([[3, 3, 3], [1, 11, 12], [9.9, 9.9, 9.9], [10, 10, 10]], start=10.0)
    assert answer.failed.tolist() == [[False] * 3, [False, True, True], [False] * 3, [False] * 3]
    assert answer.learning_rate == 0.01


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_a_loss_that_is_not_finite_failed_without_a_divergence(bad):
    data = measured({"learning_rate": [0.1, 1.0]}, [[3], [1]])
    data.held_out["loss"][1, 0, -1] = bad
    assert judge(data).failed.tolist() == [[False], [True]]
    assert judge(data).learning_rate == 0.1


@pytest.mark.parametrize("final", [[[-1], [-3], [-2], [5]], [[0.5], [-1e-3], [0.0], [1.0]]])
def test_negative_losses(final):
    answer = judged(final, start=2.0)
    assert answer.learning_rate == 0.1
    assert not answer.failed[:3].any()
    assert answer.failed[3, 0] == (final[3][0] > 2.0)
    low, high = answer.plateau
    assert low <= 0.1 <= high


def test_a_negative_loss_that_rises_is_a_failure():
    answer = judged([[-3], [-1], [-4], [-2]], start=-2.5)
    assert answer.failed.ravel().tolist() == [False, True, False, True]


# The plateau


@pytest.mark.parametrize(
    ("final", "plateau"),
    [
        ([[1.0], [1.5], [1.01], [1.0]], (0.01, 0.01)),  # not beyond a worse neighbour
        ([[1.5], [1.0], [1.019], [1.5]], (0.1, 1.0)),  # 2 % of the best
        ([[1.5], [1.0], [1.021], [1.5]], (0.1, 0.1)),
        ([[1.01], [1.0], [1.01], [1.01]], (0.01, 10.0)),
        ([[1.5], [1.0], [NAN], [1.0]], (0.1, 0.1)),  # nor beyond one that failed
        ([[2.5], [2.0], [2.5], [-100.0]], (10.0, 10.0)),
        ([[-98.5], [-99], [-100.0], [-97.0]], (0.01, 1.0)),  # 2 % of a negative loss
    ],
)
def test_the_plateau_reaches_over_neighbours_within_the_margin(final, plateau):
    assert judged(final).plateau == plateau


def test_the_margin_is_the_seeds_spread_where_that_is_larger():
    spread = [[0.5, 1.0, 1.5]]  # standard deviation 0.5 around 1
    assert judged([[2, 2, 2], *spread, [1.49, 1.49, 1.49], [3, 3, 3]]).plateau == (0.1, 1.0)
    assert judged([[2, 2, 2], *spread, [1.51, 1.51, 1.51], [3, 3, 3]]).plateau == (0.1, 0.1)


def test_failed_seeds_do_not_widen_the_margin():
    for worse in (NAN, 11.0):
        answer = judged([[2] * 3, [1.0, 1.0, worse], [1.1] * 3, [3] * 3], start=10.0)
        assert answer.plateau == (0.1, 0.1)


# The divergence edge


@pytest.mark.parametrize(
    ("final", "edge"),
    [
        ([[2], [1], [NAN], [NAN]], 1.0),
        ([[2], [1], [3], [NAN]], 10.0),
        ([[2], [1], [3], [4]], None),
        ([[2], [NAN], [1], [4]], None),  # a hole is no edge
        ([[2], [NAN], [1], [NAN]], 10.0),
        ([[NAN], [1], [2], [3]], None),
        ([[1], [NAN], [NAN], [NAN]], 0.1),
        ([[2], [1], [11], [12]], 1.0),  # worse than the start is a failure too
        ([[1, 1, 1], [2, 2, NAN], [2, NAN, NAN], [NAN] * 3], 1.0),
        ([[1, 1], [2, 2], [2, NAN], [NAN] * 2], 1.0),  # half of the seeds
    ],
)
def test_the_edge_is_the_lowest_rate_from_which_on_all_fail(final, edge):
    answer = judged(final)
    assert answer.divergence_edge == edge
    text = f"; from {edge:.3g} on training fails" if edge else "training fails"
    assert (text in answer.recommendation) == (edge is not None)


def test_a_dropped_rate_above_the_edge_hides_it_only_if_it_did_not_rise():
    data = dropped([1, 2, NAN, 30], [True, True, True, False])
    assert (
        judge(data).divergence_edge == RATES[2]
    )  # the highest rate stood above its start when it was dropped
    gone = dropped([1, 2, 3, NAN], [True, True, True, False])
    gone.stopped_at[3] = -1
    assert judge(gone).divergence_edge == RATES[3]  # it diverged before the rung that gave it up
    assert judge(dropped([1, 2, NAN, 9], [True, True, True, False])).divergence_edge is None
    assert judge(dropped([1, 2, 3, 30], [True, True, True, False])).divergence_edge is None


# No signal


def test_a_loss_that_is_the_same_at_every_rate_has_no_best_one():
    answer = judged([[1, 2]] * 4)
    assert answer.learning_rate is answer.plateau is answer.divergence_edge is None
    expected = (
        "The loss is the same at every rate: the trial does not depend on it, or all rates are far too low."
    )
    assert answer.recommendation == f"No learning rate can be recommended. {expected}"
    assert expected in answer.warnings


def test_coarse_numbers_are_named_where_no_rate_moved_the_loss():
    data = measured({"learning_rate": RATES}, [[1]] * 4, settings={"dtypes": ["bfloat16"]})
    same, coarse = grid_warnings(judge(data))
    assert same.startswith("The loss is the same at every rate")
    assert coarse.startswith("Part of the state is bfloat16, in which updates")


def test_losses_that_end_alike_and_were_not_alike_before_have_a_best_rate():
    data = measured({"learning_rate": RATES}, [[1]] * 4)
    data.metrics["loss"][2, 0, 50] += 1
    assert judge(data).learning_rate == 0.01
    assert judged([[1], [1], [1], [NAN]]).learning_rate == 0.01  # one diverged
    assert judged([[1]] * 4, rates=[0.1] * 4).learning_rate == 0.1  # nothing to compare


def test_what_was_dropped_or_interrupted_is_not_compared():
    data = dropped([1, 1, 1, 1], [True, False, False, False])
    assert judge(data).learning_rate == 0.01
    data = stopped([[3]] * 4, [[-1], [50], [50], [50]])
    assert judge(data).learning_rate is not None


def around(level, *, start, seeds=3):
    """A sweep over three rates whose training losses jump around a level, the same at each but for a hair."""
    data = measured({"learning_rate": RATES[:3]}, [[5.0] * seeds] * 3, held_out=False)
    noise = np.random.default_rng(0).normal(size=(1, seeds, STEPS))
    data.metrics["loss"][...] = level + noise * (1 + 1e-4 * np.arange(3))[:, None, None]
    data.metrics["loss"][..., 0] = start
    return data


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-6, 0.0), (1.0, -1e3)])
def test_rates_that_do_not_move_a_noisy_loss_are_not_said_to_diverge(scale, shift):
    """That the last losses are above the first one by chance would else advise lower rates still."""
    data = around(10.0, start=9.0)
    data.metrics["loss"][...] = scale * data.metrics["loss"] + shift
    answer = judge(data)
    assert not answer.failed.any()
    assert answer.divergence_edge is None
    assert answer.recommendation.endswith("No point lowered the loss by more than chance would.")
    alone = around(10.0, start=9.0, seeds=1)
    assert judge(alone).learning_rate is None
    assert "diverged" not in judge(alone).warnings[0]


def test_a_loss_that_jumps_far_above_its_start_failed():
    answer = judge(around(10.0, start=7.0))
    assert answer.failed.all()
    assert answer.warnings[0].startswith("Everything diverged")


def test_a_rate_that_matters_beside_one_that_does_not():
    answer = judge(two([[1], [1], [1], [2], [1], [3]]))
    assert answer.learning_rate == 0.1


def test_a_loss_that_is_not_finite_before_any_update_is_no_rates_fault():
    data = measured({"learning_rate": RATES}, np.full((4, 2), NAN))
    data.metrics["loss"][...] = NAN
    data.held_out["loss"][...] = NAN
    answer = judge(data)
    assert answer.recommendation == (
        "No learning rate can be recommended. The loss is not finite before any update, which no rate mends."
    )
    assert answer.divergence_edge is None
    data.held_out["loss"][:, 0, 0] = 10.0
    assert "The loss of half of the members or more is not finite" in judge(data).recommendation


def test_where_all_failed_a_dropped_rate_that_stood_above_its_start_is_not_what_is_left():
    answer = judge(dropped([11, NAN, NAN, 12], [False, True, True, False]))
    assert answer.learning_rate is None
    assert "Every point failed" in answer.recommendation


# Warnings


@pytest.mark.parametrize(
    ("final", "word"),
    [
        ([[1], [2], [3], [4]], "lowest tried: extend the grid downwards"),
        ([[4], [3], [2], [1]], "highest tried"),
    ],
)
def test_a_best_rate_at_the_edge_of_the_grid(final, word):
    (warning,) = grid_warnings(judged(final))
    assert word in warning


def test_a_best_rate_inside_the_grid_warns_of_nothing():
    assert grid_warnings(judged([[2], [1], [3], [4]])) == ()


def test_a_plateau_up_to_the_edge_is_no_best_rate_there():
    assert grid_warnings(judged([[1.01], [1.0], [3], [4]])) == ()


def test_everything_diverged():
    answer = judged(np.full((4, 3), NAN))
    assert answer.learning_rate is answer.index is answer.plateau is None
    assert answer.point == {}
    assert np.isnan(answer.score)
    assert answer.failed.all()
    assert answer.divergence_edge == 0.01
    (warning,) = grid_warnings(answer)
    assert warning.startswith("Everything diverged: ")
    assert answer.recommendation == (
        "No learning rate can be recommended. Every point failed. Try rates below 0.01."
    )


@pytest.mark.parametrize("scale", [1.0, -1e-3, 1e6])
def test_nothing_was_learned(scale):
    """The best of several rates is a little below the start by chance."""
    gains = np.array([[0.0, 0.001, -0.001], [0.002, -0.001, 0.001], [-1, -2, -3], [NAN, NAN, NAN]])
    start = 5 * scale
    answer = judged(start - abs(scale) * gains, start=start)
    assert answer.learning_rate is answer.index is answer.plateau is answer.best is None
    assert answer.divergence_edge is None
    assert "Nothing was learned: " in answer.warnings[-1]
    assert answer.recommendation == (
        "No learning rate can be recommended. No point lowered the loss by more than chance would."
    )
    told = start - abs(scale) * (gains + np.array([[0], [0.01], [0], [0]]))
    assert judged(told, start=start).learning_rate == 0.1  # little, and the same for all seeds
    assert judged(told[:, :1], start=start).learning_rate == 0.1  # one seed tells nothing of chance
    uneven = start - abs(scale) * (gains + np.array([[0] * 3, [0.2, 3, 0.2], [0] * 3, [0] * 3]))
    assert judged(uneven, start=start).learning_rate == 0.1  # much, and not the same


def test_training_losses_decide_without_held_out_data_and_a_warning_says_so():
    answer = judged([[2], [1], [3], [4]], held_out=False)
    assert answer.learning_rate == 0.1
    assert answer.judged_by == "training loss"
    assert grid_warnings(answer) == (
        "Rates were compared by training loss: pass held-out data with `evaluate_on`.",
    )
    assert "median training loss" in answer.recommendation


def test_a_training_loss_is_the_mean_over_the_last_tenth():
    data = measured({"learning_rate": RATES}, [[2], [1], [3], [4]], held_out=False)
    final, initial, judged_by = final_losses(data)
    np.testing.assert_allclose(final, data.metrics["loss"][..., -10:].astype(float).mean(axis=-1))
    np.testing.assert_array_equal(initial, data.metrics["loss"][..., 0])
    assert judged_by == "training loss"


def test_a_single_record_before_any_update_tells_nothing():
    data = measured({"learning_rate": [0.1]}, [[2]], held_out=False)
    data = dataclasses.replace(
        data, metrics={"loss": np.float32([[[3.0]]])}, recorded_steps=np.array([0]), steps=1
    )
    expected = "No loss was measured after an update"
    assert judge(data).recommendation.startswith(f"No learning rate can be recommended. {expected}")
    later = dataclasses.replace(data, recorded_steps=np.array([1]), steps=2)
    assert judge(dataclasses.replace(later, held_out=data.held_out)).judged_by == "training loss"


def test_a_single_point():
    answer = judged([[2, 2]], [0.1])
    assert answer.learning_rate == 0.1
    assert answer.plateau == (0.1, 0.1)
    assert answer.divergence_edge is None
    assert grid_warnings(answer) == ()
    assert answer.recommendation == "Use learning_rate = 0.1: median held-out loss 2 over 2 seeds."


# Interrupted sweeps


def stopped(final, stopped_at, held_out=True):
    data = measured({"learning_rate": RATES}, final, held_out=held_out, stopped_at=np.array(stopped_at))
    for values, steps in (
        (data.metrics["loss"], data.recorded_steps),
        (data.held_out.get("loss"), data.held_out_steps),
    ):
        if values is not None:
            gone = (steps >= data.stopped_at[..., None]) & (data.stopped_at[..., None] >= 0)
            values[gone] = NAN
    return data


@pytest.mark.parametrize("held_out", [True, False])
def test_a_stopped_member_counts_as_it_stood(held_out):
    data = stopped([[3, 3], [1, 1], [4, 4], [NAN, NAN]], [[50, 50]] * 3 + [[-1, -1]], held_out)
    answer = judge(data)
    assert answer.learning_rate == 0.1
    assert answer.score == pytest.approx(6.4 if held_out else 10 - 9 * 44.5 / 99)
    assert answer.warnings[0] == "The sweep was interrupted; some members stand at step 50 of 100."
    assert answer.divergence_edge == 10.0


def test_members_that_never_trained_neither_win_nor_fail():
    data = stopped([[3], [1], [4], [5]], [[-1], [0], [-1], [0]])
    data.held_out["loss"][1, 0, 0] = 0.5  # what it began with tells nothing about its rate
    answer = judge(data)
    assert answer.learning_rate == 0.01
    assert not answer.failed.any()
    assert np.isinf(answer.scores).tolist() == [False, True, False, True]
    assert answer.divergence_edge is None
    assert "step 0 of 100" in answer.warnings[0]
    assert summary(data, answer).count("1/1 not measured") == 2


def test_a_sweep_stopped_at_its_start_recommends_nothing_and_no_lower_rates():
    before = stopped([[3], [1], [4], [5]], [[0]] * 4, held_out=False)
    for data in (before, dataclasses.replace(before, metrics={})):
        answer = judge(data)
        assert answer.learning_rate is None
        assert answer.divergence_edge is None
        assert grid_warnings(answer) == ("The sweep was stopped before anything was measured.",)
        assert "Try rates" not in answer.recommendation
        assert summary(data, answer)


def test_a_sweep_stopped_after_everything_failed_says_both():
    data = stopped(np.full((4, 1), NAN), [[-1], [-1], [-1], [20]])
    data.held_out["loss"][3, 0, :2] = [1, 2]
    answer = judge(data)
    assert answer.learning_rate is None
    assert [w.split(":")[0].split(";")[0] for w in grid_warnings(answer)] == [
        "The sweep was interrupted",
        "Everything diverged",
    ]


# Several hyperparameters


def two(final, **options):
    """Three rates with two values of b1, b1 moving fastest."""
    points = {"learning_rate": [0.1, 0.1, 1.0, 1.0, 10.0, 10.0], "b1": [0.5, 0.9] * 3}
    return measured(points, final, **options)


def test_the_best_point_names_all_its_hyperparameters():
    answer = judge(two([[5], [4], [3], [1], [2], [6]]))
    assert answer.learning_rate == 1.0
    assert answer.point == {"learning_rate": 1.0, "b1": 0.9}
    assert answer.recommendation.startswith("Use learning_rate = 1, b1 = 0.9: ")


def test_a_point_without_a_hyperparameter_is_not_said_to_have_it():
    points = {"learning_rate": [0.1, 0.01], "momentum": [None, 0.9]}
    data = measured(points, [[1], [2]], settings={"absent": {"momentum": [0]}})
    assert judge(data).point == {"learning_rate": 0.1}
    assert judge(data).recommendation.startswith("Use learning_rate = 0.1: ")


def test_plateau_edge_and_warnings_are_those_of_the_bests_line():
    # At b1 = 0.9 the rates do 4, 1, failed; at 0.5 all do nearly as well as the best.
    answer = judge(two([[1.01], [4], [1.01], [1], [1.01], [NAN]]))
    assert answer.plateau == (1.0, 1.0)
    assert answer.divergence_edge == 10.0
    assert grid_warnings(answer) == ()
    other = judge(two([[1.01], [4], [0.99], [1], [1.0], [NAN]]))
    assert other.point == {"learning_rate": 1.0, "b1": 0.5}
    assert other.plateau == (1.0, 10.0)
    assert other.divergence_edge is None


def test_ties_between_hyperparameters_go_to_the_lower_rate():
    assert judge(two([[5], [1], [1], [1], [5], [5]])).point == {"learning_rate": 0.1, "b1": 0.9}


def test_object_columns_make_lines_too():
    points = {"learning_rate": [0.1, 1.0, 0.1, 1.0], "nesterov": [True, True, None, None]}
    data = measured(points, [[2], [1], [3], [NAN]])
    answer = judge(data)
    assert answer.point == {"learning_rate": 1.0, "nesterov": True}
    assert answer.divergence_edge is None
    assert "nesterov = True" in answer.recommendation


def test_a_sweep_over_something_else_has_no_rate():
    answer = judge(measured({"b1": [0.5, 0.9]}, [[2], [1]]))
    assert answer.learning_rate is answer.plateau is answer.divergence_edge is None
    assert answer.point == {"b1": 0.9}
    failed = judge(measured({"b1": [0.5, 0.9]}, [[NAN], [NAN]]))
    assert failed.recommendation == "No learning rate can be recommended. Every point failed."


# The recommendation and the table


def test_the_recommendation_says_rate_loss_plateau_and_edge():
    answer = judged([[1.01] * 3, [1] * 3, [4] * 3, [NAN] * 3])
    assert answer.recommendation == (
        "Use learning_rate = 0.1: median held-out loss 1 over 3 seeds; "
        "rates from 0.01 to 0.1 do as well; from 10 on training fails."
    )


def test_the_recommendation_says_after_how_many_steps_members_were_judged_that_trained_no_longer():
    cut = judge(stopped([[3, 3], [1, 1], [4, 4], [5, 5]], [[50, 50]] * 4))
    assert "over 2 seeds after 50 of 100 steps" in cut.recommendation
    left = judge(dropped([5, NAN, NAN, 4], [False, True, True, False]))
    assert "over 1 seed after 40 of 100 steps" in left.recommendation
    assert "steps" not in judged([[2], [1], [3], [4]]).recommendation


def test_one_seed_is_no_plural():
    assert "over 1 seed." in judged([[2], [1], [3], [4]]).recommendation


def lines(data):
    return summary(data, judge(data)).splitlines()


def test_the_table_has_a_row_a_point_and_marks():
    data = measured({"learning_rate": RATES}, [[1.01, 1.01], [1, 1], [12, 4], [NAN, NAN]], accuracy=True)
    text = lines(data)
    assert text[0].split() == ["learning_rate", "held-out", "loss", "[range]", "accuracy", "regime", "failed"]
    assert set(text[1]) == {"-", " "}
    assert text[2].split() == ["~", "0.01", "1.01", "[1.01,", "1.01]", "0.9495", "too", "low"]
    assert text[3].split() == ["*", "0.1", "1", "[1,", "1]", "0.95", "too", "low"]
    assert text[4].split(maxsplit=5)[:5] == ["1", "8", "[4,", "12]", "0.6"]
    assert text[4].endswith("1/2 worse than at the start")
    assert text[5].split() == ["10", "-", "-", "non-finite", "2/2", "diverged"]


def test_the_columns_line_up():
    text = lines(measured({"learning_rate": RATES, "b1": 4 * [0.9]}, [[1], [2], [3], [4]]))
    ends = [len(text[1].split("  ")[i]) for i in range(4)]
    assert ends == [1, len("learning_rate"), 3, len("held-out loss [range]")]
    for row in (text[0], *text[2:6]):
        assert row[: 3 + len("learning_rate")][-1] != " "


def test_different_failures_are_counted_apart():
    data = measured({"learning_rate": [0.1, 1.0]}, [[1] * 4, [NAN, 12, 3, 3]])
    data.held_out["loss"][1, 2, -1] = NAN
    assert lines(data)[3].endswith("1/4 diverged, 1/4 worse than at the start, 1/4 not finite")


def test_the_recommendation_is_the_last_line_and_warnings_stand_above():
    data = measured({"learning_rate": RATES}, [[1], [2], [3], [NAN]], held_out=False)
    text = lines(data)
    assert text[-1] == judge(data).recommendation
    assert [line for line in text if line.startswith("warning: ")] == [
        f"warning: {warning}" for warning in judge(data).warnings
    ]
    assert len(grid_warnings(judge(data))) == 2


def test_the_recommendation_is_the_last_line_when_nothing_trained():
    text = lines(measured({"learning_rate": RATES}, np.full((4, 2), NAN)))
    assert text[-1].startswith("No learning rate can be recommended.")
    assert not any(line.startswith(("*", "~")) for line in text)


def test_test_metrics_are_those_of_the_chosen_point():
    test = {"loss": [[8], [0.25], [7], [6]], "accuracy": [[0.1], [0.97], [0.2], [0.3]]}
    text = lines(measured({"learning_rate": RATES}, [[2], [1], [3], [4]], test=test))
    assert "on the test data, at the chosen point: loss 0.25, accuracy 0.97" in text
    none = lines(measured({"learning_rate": RATES}, np.full((4, 1), NAN), test=test))
    assert not any("test data" in line for line in none)


def test_the_cost_is_a_line():
    text = lines(measured({"learning_rate": RATES}, [[2, 2], [1, 1], [3, 3], [4, 4]]))
    assert f"4 points x 2 seeds x {STEPS} steps as vmap/scan: 2.5 s running, 1.5 s compiling" in text


def test_long_names_and_values_widen_their_column():
    name, value = "a_name_of_quite_some_length_for_a_column", "a value that is longer than its own name is"
    text = lines(measured({"learning_rate": [0.1, 1.0], name: [value, "b"]}, [[1], [2]]))
    assert name in text[0]
    assert value in text[2]
    assert len(text[2]) == len(text[1].rstrip()) - len("  failed")


def test_object_columns_print_as_they_are():
    points = {"learning_rate": [0.1, 0.1, 0.1], "momentum": [None, 0.9, "auto"]}
    text = lines(measured(points, [[3], [1], [2]]))
    assert [row[1:].split()[1] for row in text[2:5]] == ["None", "0.9", "auto"]


def test_the_plateaus_marks_are_those_of_the_bests_line():
    text = lines(two([[1.01], [1.01], [1.01], [1], [1.01], [1.01]]))
    assert [row[0] for row in text[2:8]] == [" ", "~", " ", "*", " ", "~"]


# Points that an allocation dropped


def rung(step, losses, kept):
    return step, np.asarray(losses, float)[:, None], np.asarray(kept, bool)


def dropped(final, kept, step=40, settings=None, **options):
    """One seed; those not kept stand at a rung."""
    kept = np.asarray(kept, bool)
    stopped_at = np.where(kept, -1, step)[:, None]
    rates = np.geomspace(RATES[0], RATES[-1], len(final)).tolist()
    data = measured({"learning_rate": rates}, [[value] for value in final], stopped_at=stopped_at)
    data.held_out["loss"][:, 0][(stopped_at >= 0) & (data.held_out_steps > step)] = NAN
    column = int(np.searchsorted(data.held_out_steps, step))
    losses = np.where(data.diverged_at >= 0, np.inf, data.held_out["loss"][:, :, column])
    settings = {"allocation": "top_k(2)", "horizon": "horizon", **(settings or {})}
    return dataclasses.replace(data, rungs=((step, losses, kept),), settings=settings, **options)


def test_a_dropped_point_is_no_failure_and_no_interruption():
    data = dropped([9, 1, 2, 8], [False, True, True, False])
    answer = judge(data)
    assert answer.learning_rate == 0.1
    assert not answer.failed.any()
    assert np.isinf(answer.scores).tolist() == [True, False, False, True]
    assert answer.divergence_edge is None
    assert grid_warnings(answer) == ()
    rows = lines(data)
    assert rows[2].split() == ["0.01", "9.6", "too", "low", "dropped", "at", "step", "40"]
    assert rows[3].split()[0] == "*"


def test_a_dropped_point_wins_against_none_that_was_trained_on():
    data = dropped([9, 7, 8, 9], [False, True, True, True])
    data.held_out["loss"][0, 0, 2] = 0.1  # lower than all others ever are
    answer = judge(data)
    assert answer.learning_rate == 0.1
    assert answer.plateau == (0.1, 0.1)


def test_where_all_that_were_trained_on_failed_a_dropped_one_is_left():
    data = dropped([5, NAN, NAN, 4], [False, True, True, False])
    answer = judge(data)
    assert answer.learning_rate == 10.0
    assert "dropped at step 40, is what is left" in answer.warnings[1]
    assert np.isinf(answer.scores).tolist() == [False, True, True, False]


def test_a_loss_above_the_first_one_at_an_early_rung_is_no_failure():
    assert not judge(dropped([5, 1, 2, 20], [True, True, True, False])).failed.any()


def test_rungs_without_a_horizon_warn_unless_no_rate_changes():
    data = dropped([9, 1, 2, 8], [False, True, True, False], settings={"horizon": None})
    (warning,) = grid_warnings(judge(data))
    assert "`horizon`" in warning
    rates = np.broadcast_to(np.array(RATES)[:, None, None], data.metrics["loss"].shape).copy()
    data.metrics["learning_rate"] = rates
    assert grid_warnings(judge(data)) == ()
    data.metrics["learning_rate"] = rates * np.linspace(1, 0, rates.shape[-1])
    assert grid_warnings(judge(data)) == (warning,)


def test_an_order_that_did_not_last_is_warned_of():
    kept = [True] * 5 + [False]
    data = dropped([5, 4, 3, 2, 1, 9], kept)
    turned = dataclasses.replace(data, rungs=(rung(40, [1, 2, 3, 4, 5, 9], kept),))
    assert any("rank correlation -1.00" in warning for warning in judge(turned).warnings)
    assert "  step 40: 6 -> 5 points, rank correlation with what came later -1.00" in lines(turned)
    lasting = dataclasses.replace(data, rungs=(rung(40, [5, 4, 3, 2, 1, 9], kept),))
    assert not any("rank correlation" in warning for warning in judge(lasting).warnings)


def test_the_order_of_few_points_is_none_to_warn_of():
    kept = [True, True, True, False]
    data = dataclasses.replace(dropped([3, 2, 1, 5], kept), rungs=(rung(40, [1, 2, 3, 9], kept),))
    assert "  step 40: 4 -> 3 points, rank correlation with what came later -1.00" in lines(data)
    assert not any("rank correlation" in warning for warning in judge(data).warnings)


def test_points_that_failed_and_were_given_up_come_to_no_later_rung():
    first = np.array([[1.0], [2.0], [np.inf], [9.0]])
    # Of points that failed infinity is known at every later rung, of dropped ones nothing.
    later = np.array([[0.5], [np.inf], [np.inf], [NAN]])
    kept = [np.array([True, True, False, False]), np.array([True, False, False, False])]
    found = ledger([(10, first), (20, later), (30, later)], [*kept, kept[1]])
    assert [rung[:3] for rung in found] == [(10, 4, 2), (20, 2, 1), (30, 1, 1)]
    again = np.array([[0.5], [3.0], [2.0], [NAN]])  # trained anew, as a search may
    assert [rung.entered for rung in ledger([(10, first), (20, again)], kept)] == [4, 3]


def test_seeds_that_a_rung_did_not_measure_do_not_count_there():
    losses = np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0], [4.0, 6.0], [5.0, 7.0]])
    unmeasured = np.full((5, 3), NAN)
    final = np.concatenate([losses, losses[:, ::-1] + 10, unmeasured[:, :1]], axis=1)
    found = ledger([(10, np.concatenate([losses, unmeasured], axis=1))], [np.full(5, True)], final)
    assert found == [Rung(10, 5, 5, 1.0)]
    failed = losses.copy()
    failed[0] = np.inf
    assert np.isinf(medians(failed)).tolist() == [True] + [False] * 4


def test_an_interrupted_allocation_says_where_those_left_stand():
    data = dropped([9, 1, 2, 8], [False, True, True, False])
    data.stopped_at[1:3] = 60
    answer = judge(data)
    assert answer.learning_rate == 0.1
    assert answer.warnings[0] == "The sweep was interrupted; some members stand at step 60 of 100."


def test_the_footer_has_the_ledger_and_what_probing_took():
    data = dropped([9, 1, 2, 8], [False, True, True, False])
    data = dataclasses.replace(data, cost=Cost(280, 400, 1.0, 0.5, 2.0, 80))
    text = lines(data)
    assert "allocation: 280 of 400 member-steps used (70%), 120 saved, 80 wasted" in text
    assert "  step 40: 4 -> 2 points" in text
    head = "4 points x 1 seed x 100 steps as vmap/scan: "
    assert f"{head}2.0 s running, 1.0 s compiling, 0.5 s probing" in text
    anew = dataclasses.replace(data, cost=Cost(448, 400, 1.0, 0.5, 2.0, 48))
    assert "allocation: 448 of 400 member-steps used (112%), 48 more than without, 48 wasted" in lines(anew)


def test_the_cause_of_a_divergence_is_named():
    data = measured({"learning_rate": [0.1, 1.0]}, [[1, 1, 1], [NAN, NAN, 2]])

    data = dataclasses.replace(data, causes=np.array([["", "", ""], ["gradient", "blow-up", ""]]))
    assert lines(data)[3].endswith("2/3 diverged (gradient, blow-up)")


# Patience


def test_members_that_ran_out_of_patience_are_judged_by_their_best_evaluation():
    data = measured({"learning_rate": [0.1, 1.0]}, [[1.0], [2.0]], accuracy=True)
    data.held_out["loss"][:, 0] = [[10, 8, 6, 5, 4, 3], [10, 2, 4, 5, NAN, NAN]]
    data.held_out["accuracy"][:, 0] = [[0, 1, 2, 3, 4, 5], [0, 9, 8, 7, NAN, NAN]]
    data.stopped_at[1, 0] = 60
    data = dataclasses.replace(data, settings={"patience": 2})
    answer = judge(data)
    assert answer.judged_by == "best held-out loss"
    assert answer.learning_rate == 1.0
    assert answer.score == 2
    assert answer.scores.tolist() == [3, 2]
    assert not any("interrupted" in warning for warning in answer.warnings)
    assert lines(data)[3].split() == ["*", "1", "2", "9", "too", "low"]


def test_patience_that_was_not_exhausted_is_an_interruption():
    data = measured({"learning_rate": [0.1, 1.0]}, [[1.0], [2.0]], settings={"patience": 3})
    data.held_out["loss"][1, 0] = [10, 2, 4, 5, NAN, NAN]
    data.stopped_at[1, 0] = 60
    assert "interrupted; some members stand at step 60" in judge(data).warnings[0]


def test_a_member_that_never_improved_on_its_start_failed():
    data = measured({"learning_rate": [0.1, 1.0]}, [[1.0], [2.0]], settings={"patience": 1})
    data.held_out["loss"][1, 0] = [10, 11, NAN, NAN, NAN, NAN]
    data.stopped_at[1, 0] = 20
    assert judge(data).failed.tolist() == [[False], [True]]
