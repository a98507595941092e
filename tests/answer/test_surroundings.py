"""Which of the rates that do alike a search answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lrjax.answer import judge, summary
from lrjax.answer._surroundings import best_surrounded
from tests.measured import measured

RATES = [0.01, 0.016, 0.025, 0.04, 0.063, 0.1]
NOISE = (
    np.array([[-3, 1, 3, 0], [3, -1, 0, -3], [0, 3, -3, 1], [1, -3, 0, 3], [-3, 3, -1, 0], [0, 0, 0, 0]]) / 40
)
LUCKY = np.array([0.62, 0.55, 0.54, 0.58, 0.53, 1.4])[:, None] + NOISE  # 0.063 is the lowest, next to a cliff
SEARCH = {"search": {"course": ["a search"], "budget": "9 member-steps", "unfinished": ""}}


def told(final, **options):
    return judge(measured({"learning_rate": RATES}, final, **options))


def test_a_search_does_not_answer_a_lucky_rate_next_to_a_cliff():
    answer = told(LUCKY, settings=SEARCH)
    assert answer.best == 4
    assert answer.learning_rate == 0.025
    assert answer.point == {"learning_rate": 0.025}
    assert answer.score == answer.scores[2] > answer.scores[4]
    assert answer.recommendation.startswith(
        f"Use learning_rate = 0.025: median held-out loss {answer.score:.4g}"
    )
    assert answer.indistinguishable[0] == 4
    assert 2 in answer.indistinguishable
    assert answer.plateau[0] <= 0.025 <= answer.plateau[1]


@pytest.mark.parametrize("settings", [SEARCH, {}])
def test_the_summary_says_why_a_rate_that_is_not_the_lowest_is_answered(settings):
    data = measured({"learning_rate": RATES}, LUCKY, settings=settings)
    assert ("does best together with the rates around it" in summary(data, judge(data))) == bool(settings)


@pytest.mark.parametrize(
    ("unfinished", "raises"),
    [("the budget ended before 1 could be tried", True), ("interrupted; nothing is stored", False)],
)
def test_a_search_that_ran_out_of_its_budget_says_what_to_raise(unfinished, raises):
    settings = {"search": {**SEARCH["search"], "unfinished": unfinished}}
    (warning,) = [text for text in told(LUCKY, settings=settings).warnings if "not finished" in text]
    assert warning.startswith(f"The search is not finished: {unfinished}.")
    assert warning.endswith("Raise `budget`.") == raises


def test_rates_that_were_dropped_count_as_what_lies_around():
    """Next to a wall of dropped rates the lowest of several equals is as bad a choice as next to a cliff."""
    final = np.array([4.0, 0.53, 0.54, 0.56, 0.62, 1.4])[:, None] + NOISE
    kept = np.arange(6) > 0
    stopped_at = np.where(kept, -1, 40)[:, None] * np.ones((1, 4), int)
    data = measured({"learning_rate": RATES}, final, stopped_at=stopped_at, settings=SEARCH)
    data.held_out["loss"][(stopped_at >= 0)[..., None] & (data.held_out_steps > 40)] = np.nan
    at_40 = data.held_out["loss"][:, :, list(data.held_out_steps).index(40)]
    answer = judge(dataclasses.replace(data, rungs=((40, at_40, kept),)))
    assert answer.best == 1
    assert answer.learning_rate == 0.025


def test_a_sweep_answers_the_lowest_loss():
    answer = told(LUCKY)
    assert answer.index == answer.best == 4


def test_a_rate_that_the_seeds_tell_from_all_others_is_answered_whatever_lies_around_it():
    final = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 1.4])[:, None] + NOISE / 10
    assert told(final, settings=SEARCH).learning_rate == 0.063


def test_only_rates_of_the_plateau_with_all_the_seeds_are_answered():
    fewer = np.where((np.arange(6) == 2)[:, None] & (np.arange(4) > 1), np.nan, LUCKY)
    stopped = np.where(np.isnan(fewer), 0, -1)
    answer = told(fewer, settings=SEARCH, stopped_at=stopped)
    assert answer.learning_rate in (0.016, 0.04)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_scale_and_shift_of_losses_and_rates_do_not_matter(scale):
    rates, scores = np.array(RATES), np.median(LUCKY, axis=1)
    assert best_surrounded(scale * rates, scale * scores - 7, range(6)) == best_surrounded(
        rates, scores, range(6)
    )


def test_the_average_is_that_of_the_formula():
    rates, scores = np.array([0.1, 0.2, 0.4]), np.array([1.0, np.inf, 3.0])
    w = np.exp(-((np.log10(4) / 0.2) ** 2) / 2)
    assert (1 + 3 * w) / (1 + w) < (w + 3) / (1 + w)
    assert best_surrounded(rates, scores, [0, 2]) == 0
    assert best_surrounded(rates, np.array([2.0, np.inf, 2.0]), [2, 0]) == 0
