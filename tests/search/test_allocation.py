"""Which points train on: what every rule keeps to, and what the guards keep, on made-up losses."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from lrjax.answer import scores
from lrjax.answer._ledger import Rung, ledger, rank_correlation
from lrjax.answer._paired import _95, _99, _quantile, within_noise
from lrjax.search._allocation import Allocation, hyperband, median_stopping, successive_halving, top_k
from lrjax.search._guards import Guards, Standing, ranking

UNGUARDED = {"neighbours": 0, "noise": False}
PROPERTY = settings(max_examples=150, deadline=None, derandomize=True)


def standing_of(losses, rates=None, *, alive=None, history=(), step=100, start=None, **others):
    losses = np.asarray(losses, float)
    n = len(losses)
    points = {"learning_rate": np.asarray(np.geomspace(1e-3, 10, n) if rates is None else rates)}
    points |= {name: np.asarray(values) for name, values in others.items()}
    alive = np.ones(n, bool) if alive is None else np.asarray(alive)
    start = None if start is None else np.full(losses.shape, start)
    return Standing(step, losses, alive, tuple(history), points, "learning_rate", start)


def columns(*curves):
    """One seed: losses `[points, 1]` from one number each."""
    return np.array(curves, float)[:, None]


def kept_of(allocation, *arguments, **keywords):
    return np.flatnonzero(allocation.keep(standing_of(*arguments, **keywords))).tolist()


@st.composite
def rules(draw, guarded=None):
    kind = draw(st.sampled_from(["halving", "hyperband", "median", "top"]))
    options = {"neighbours": draw(st.integers(0, 3)), "noise": draw(st.booleans())}
    options = UNGUARDED if guarded is False else options
    first = draw(st.none() | st.integers(1, 70))
    if kind == "halving":
        return successive_halving(draw(st.integers(2, 5)), first, **options)
    if kind == "hyperband":
        return hyperband(draw(st.integers(2, 5)), draw(st.integers(2, 5)), **options)
    if kind == "median":
        return median_stopping(first, **options)
    return top_k(draw(st.integers(1, 9)), first, **options)


@st.composite
def tables(draw, seeds=None):
    """Losses `[evaluations, points, seeds]`; a member that failed stays so."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)), seeds or draw(st.integers(1, 4)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    table = random.integers(0, 24, shape) / 4  # few distinct losses, so that equals are common
    failing = random.random(shape) < draw(st.sampled_from([0.0, 0.03, 0.2, 0.9]))
    return np.where(np.maximum.accumulate(failing, axis=0), np.inf, table)


def simulate(allocation, table, every=1, points=None):
    """A sweep with an evaluation after every `every` steps: standings, decisions, steps used and saved."""
    n, seeds = table.shape[1:]
    steps = (len(table) + 1) * every
    rungs = allocation.rungs(steps, every)
    alive, history, decisions, used, saved = np.ones(n, bool), (), [], 0, 0
    points = points or {"learning_rate": np.geomspace(1e-3, 10, n)}
    for step in range(1, steps + 1):
        used += int(alive.sum()) * seeds
        if step in rungs:
            losses = np.where(alive[:, None], table[step // every - 1], np.nan)
            now = Standing(step, losses, alive, history, points, "learning_rate")
            kept = allocation.keep(now)
            decisions.append((now, kept))
            saved += int((alive & ~kept).sum()) * seeds * (steps - step)
            history, alive = (*history, (step, losses)), kept
    return decisions, used, saved, steps


# Properties of every rule


@PROPERTY
@given(rules(), tables(), st.integers(1, 7))
def test_decisions_of_every_rule(rule, table, every):
    assert isinstance(rule, Allocation)
    decisions, used, saved, steps = simulate(rule, table, every)
    assert used + saved == table[0].size * steps
    for now, kept in decisions:
        assert kept.dtype == bool
        assert kept.shape == now.alive.shape
        assert not (kept & ~now.alive).any()
        failed = np.isinf(now.losses).mean(axis=1) >= 0.5
        assert not (kept & failed).any()
        healthy = now.alive & ~failed
        assert kept.any() == healthy.any()
        if healthy.any():
            best = min(np.flatnonzero(healthy), key=lambda i: np.median(now.losses[i]))
            assert kept[best]


@PROPERTY
@given(rules(), st.integers(1, 200), st.integers(1, 30))
def test_rungs(rule, steps, every):
    rungs = rule.rungs(steps, every)
    assert all(type(rung) is int and 0 < rung < steps and rung % every == 0 for rung in rungs)
    assert list(rungs) == sorted(set(rungs))
    first = getattr(rule, "first", None)
    if first is not None:
        assert all(rung >= first for rung in rungs)
        reachable = -(-first // every) * every < steps
        assert bool(rungs) == reachable


@PROPERTY
@given(rules(), tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(rule, table, random):
    order = np.array(random.sample(range(table.shape[1]), table.shape[1]))
    rates = np.geomspace(1e-3, 10, len(order))
    plain, *costs = simulate(rule, table, points={"learning_rate": rates})
    mixed, *costs_mixed = simulate(rule, table[:, order], points={"learning_rate": rates[order]})
    assert costs == costs_mixed
    for (_, a), (_, b) in zip(plain, mixed, strict=True):
        assert (a[order] == b).all()


@PROPERTY
@given(rules(), tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_matter(rule, table, random):
    table = np.round(table * 4)  # whole numbers, whose sums do not depend on the order
    order = np.array(random.sample(range(table.shape[2]), table.shape[2]))
    for (_, a), (_, b) in zip(simulate(rule, table)[0], simulate(rule, table[:, :, order])[0], strict=True):
        assert (a == b).all()


@PROPERTY
@given(rules(guarded=False), tables(seeds=3), st.sampled_from([np.exp, np.cbrt, lambda x: 1000 * x - 7]))
def test_without_noise_only_the_order_of_the_losses_counts(rule, table, increasing):
    assume(not isinstance(rule, type(median_stopping())))  # it takes averages
    for (_, a), (_, b) in zip(simulate(rule, table)[0], simulate(rule, increasing(table))[0], strict=True):
        assert (a == b).all()


@PROPERTY
@given(rules(), tables(), st.sampled_from([0.25, 1.0, 64.0]))
def test_the_unit_of_the_loss_does_not_matter(rule, table, unit):
    for (_, a), (_, b) in zip(simulate(rule, table)[0], simulate(rule, unit * table)[0], strict=True):
        assert (a == b).all()


@PROPERTY
@given(rules(guarded=False), tables(), st.integers(0, 3), st.booleans())
def test_guards_only_add(rule, table, neighbours, noise):
    guarded = dataclasses.replace(rule, guards=Guards(neighbours, noise))
    for now, kept in simulate(rule, table)[0]:
        assert not (kept & ~guarded.keep(now)).any()


def test_failed_points_rank_last_whatever_their_remaining_seeds_say():
    losses = [[0.1, np.inf, np.inf], [9.0, 9.0, np.inf], [5.0, 6.0, 7.0], [0.1, np.nan, -np.inf]]
    assert scores(np.array(losses)).tolist() == [np.inf, 9.0, 6.0, np.inf]
    assert ranking(standing_of(losses)).tolist() == [2, 1]
    for rule in (successive_halving(2), hyperband(), median_stopping(), top_k(4)):
        assert not rule.keep(standing_of(losses))[[0, 3]].any()
        assert not rule.keep(standing_of(np.full((3, 2), np.inf))).any()
        assert rule.keep(standing_of([[1.0, 1.0]])).all()  # a single point goes on


def test_equals_are_ranked_by_rate_and_then_in_the_order_of_the_grid():
    assert kept_of(top_k(1, **UNGUARDED), columns(1, 1, 1), [0.3, 0.1, 0.2]) == [1]
    assert kept_of(top_k(1, **UNGUARDED), columns(1, 1), [0.1, 0.1], momentum=[0.9, 0.5]) == [0]


# The rules, without guards


@PROPERTY
@given(
    st.integers(2, 5),
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(1, 3),
    st.integers(0, 1000),
)
def test_halving_costs_what_the_textbook_says(reduction, depth, n, seeds, key):
    steps = reduction**depth
    table = np.random.default_rng(key).random((steps - 1, n, seeds))
    decisions, used, _, simulated = simulate(successive_halving(reduction, first=1, **UNGUARDED), table)
    assert simulated == steps
    assert [now.step for now, _ in decisions] == [reduction**i for i in range(depth)]
    assert [int(kept.sum()) for _, kept in decisions] == [-(-n // reduction ** (i + 1)) for i in range(depth)]
    # s + 1 stages of n r member-steps each at most, and the rounding up of each number of survivors
    assert used <= seeds * ((depth + 1) * n + steps)
    if n == steps:
        assert used <= seeds * (depth + 1) * steps


def test_halving_counts_the_failed_among_those_it_reduces():
    losses = columns(1, 2, 3, *[np.inf] * 5)
    assert kept_of(successive_halving(4, **UNGUARDED), losses) == [0, 1]
    assert kept_of(successive_halving(2, **UNGUARDED), losses) == [0, 1, 2]


@PROPERTY
@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 1000))
def test_halving_keeps_the_best(reduction, n, key):
    losses = np.random.default_rng(key).random((n, 3))
    kept = kept_of(successive_halving(reduction, **UNGUARDED), losses)
    assert sorted(kept) == sorted(np.argsort(np.median(losses, axis=1))[: -(-n // reduction)])


@pytest.mark.parametrize(
    ("rule", "steps", "every", "rungs"),
    [
        (successive_halving(), 1600, 10, (100, 400)),
        (successive_halving(), 100, 5, (10, 25)),  # 6.25 and 25, rounded up
        (successive_halving(), 3, 1, (1,)),
        (successive_halving(), 1, 1, ()),
        (successive_halving(), 10, 20, ()),
        (successive_halving(4, first=100), 6400, 1, (100, 400, 1600)),
        (successive_halving(4, first=101), 6400, 1, (400, 1600)),
        (successive_halving(4, first=300), 1000, 7, (301,)),  # later than a quarter: the only one
        (successive_halving(4, first=1000), 1000, 1, ()),
        (hyperband(), 1600, 10, (100, 400)),
        (hyperband(2, 5), 16, 1, (1, 2, 4, 8)),
        (hyperband(2, 5), 16, 4, (4, 8)),  # three of them fall on the first evaluation
        (median_stopping(), 100, 10, (10, 20, 30, 40, 50, 60, 70, 80, 90)),
        (median_stopping(first=65), 100, 10, (70, 80, 90)),
        (median_stopping(first=100), 100, 10, ()),
        (top_k(3), 100, 10, (10,)),
        (top_k(3, first=11), 100, 10, (20,)),
        (top_k(3, first=91), 100, 10, ()),
    ],
)
def test_rungs_of_examples(rule, steps, every, rungs):
    assert rule.rungs(steps, every) == rungs


@pytest.mark.parametrize(("n", "counts"), [(25, [16, 6, 3]), (9, [6, 2, 1]), (50, [32, 12, 6])])
def test_hyperband_deals_out_in_its_proportions(n, counts):
    bracket = hyperband()._dealt(standing_of(np.ones((n, 1))))
    assert np.bincount(bracket).tolist() == counts


@PROPERTY
@given(st.integers(2, 5), st.integers(2, 5), st.integers(1, 60))
def test_hyperband_spreads_every_bracket_over_the_rates(reduction, brackets, n):
    bracket = hyperband(reduction, brackets)._dealt(standing_of(np.ones((n, 1))))
    weights = [Fraction(reduction**s, s + 1) for s in reversed(range(brackets))]
    for number, weight in enumerate(weights):
        share = weight / sum(weights)
        for dealt in range(1, n + 1):  # of the lowest rates, each bracket has its share
            assert abs((bracket[:dealt] == number).sum() - share * dealt) <= brackets - 1


def test_hyperband_judges_brackets_apart_and_the_last_never():
    n = 50
    rule = hyperband(**UNGUARDED)
    losses = np.arange(n, 0.0, -1)[:, None]
    bracket = rule._dealt(standing_of(losses))
    table = np.repeat(losses[None], 15, axis=0)
    (first, second), *_ = simulate(rule, table)[:1]
    assert (first[0].step, second[0].step) == (1, 4)
    assert [int(first[1][bracket == b].sum()) for b in range(3)] == [8, 12, 6]
    assert [int(second[1][bracket == b].sum()) for b in range(3)] == [2, 3, 6]
    late = first[0]._replace(history=((1, losses),) * 9)
    assert rule.keep(late)[bracket == 2].all()
    for b, count in enumerate([2, 3, 6]):
        assert np.flatnonzero(second[1] & (bracket == b)).tolist() == sorted(
            np.flatnonzero(bracket == b)[-count:]
        )


@PROPERTY
@given(st.integers(2, 4), st.integers(2, 4), st.integers(1, 40), st.integers(0, 1000))
def test_hyperband_costs_what_its_brackets_cost(reduction, brackets, n, key):
    depth = brackets - 1
    steps = reduction**depth
    rule = hyperband(reduction, brackets, **UNGUARDED)
    table = np.random.default_rng(key).random((steps - 1, n, 1))
    bracket = rule._dealt(standing_of(table[0]))
    expected = 0
    for b, count in enumerate(np.bincount(bracket, minlength=brackets)):
        s = depth - b
        alone = successive_halving(reduction, first=reduction ** (depth - s), **UNGUARDED)
        members = table[:, bracket == b]
        if count:
            expected += count * steps if s == 0 else simulate(alone, members)[1]
    used = simulate(rule, table)[1]
    # The best of all is kept in any case, but it is the best of its bracket as well.
    assert used == expected


def test_hyperband_with_fewer_rungs_than_brackets_stops_fewer_points():
    table = np.random.default_rng(0).random((3, 64, 1))
    decisions, *_ = simulate(hyperband(2, 5, **UNGUARDED), table, every=4)
    bracket = hyperband(2, 5)._dealt(decisions[0][0])
    assert [now.step for now, _ in decisions] == [4, 8]
    assert decisions[-1][1][bracket >= 2].all()


def test_hyperband_covers_the_rates_of_every_line():
    rates, momenta = np.meshgrid(np.geomspace(0.01, 1, 25), [0.0, 0.9])
    standing = standing_of(np.ones((50, 1)), rates.ravel(), momentum=momenta.ravel())
    bracket = hyperband()._dealt(standing)
    for line in (slice(0, 25), slice(25, 50)):
        assert np.bincount(bracket[line]).tolist() == [16, 6, 3]


def test_median_stopping_compares_the_best_so_far_with_the_averages_of_the_others():
    rule = median_stopping(**UNGUARDED)
    earlier = columns(8, 4, 6, 10)
    now = columns(7, 3, 1, 2)  # averages 7.5, 3.5, 3.5, 6
    # The first had 7 at best, the others 3.5 in the median: stopped. The last had 2 at best, though it was
    # worst on average.
    assert kept_of(rule, now, history=[(50, earlier)]) == [1, 2, 3]
    # A loss that was good once counts.
    assert kept_of(rule, columns(7, 3, 1, 2), history=[(50, columns(3, 4, 6, 10))]) == [0, 1, 2, 3]
    # Equal to the median goes on; only the points that still train are compared.
    assert kept_of(rule, columns(2, 2, 2)) == [0, 1, 2]
    # Without its own average: that of the second is 6, the others' median 3.
    assert kept_of(rule, columns(1, 4, 5), history=[(50, columns(1, 8, 5))]) == [0]
    stopped = np.array([[5.0], [6.0], [np.nan]])
    assert kept_of(rule, stopped, alive=[True, True, False], history=[(50, columns(5, 6, 1))]) == [0]


def test_median_stopping_counts_failed_points_as_bad():
    assert kept_of(median_stopping(**UNGUARDED), columns(1, 5, np.inf, np.inf)) == [0, 1]


def test_median_stopping_keeps_the_best_now_even_when_all_get_worse():
    earlier, now = columns(5, 1, 1), columns(5, 6, 6)
    assert kept_of(median_stopping(**UNGUARDED), now, history=[(50, earlier)]) == [0, 1, 2]
    assert 0 in kept_of(median_stopping(**UNGUARDED), columns(5, 5.5, 6), history=[(50, columns(5, 0, 0))])


def test_top_k():
    losses = columns(4, 3, 2, 1, np.inf)
    assert [len(kept_of(top_k(k, **UNGUARDED), losses)) for k in range(1, 7)] == [1, 2, 3, 4, 4, 4]
    assert kept_of(top_k(2, **UNGUARDED), losses) == [2, 3]


# The guards


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("make", [successive_halving, hyperband, median_stopping, lambda **o: top_k(1, **o)])
def test_a_neighbour_that_is_best_late_is_kept_on_either_side(make, direction):
    """The best late is the next higher rate (short horizons favour low ones), or the next lower one."""
    early = np.array([9.0, 8.0, 7.0, 4.0, 1.0, 5.0, 7.5, 8.5, 9.5])[::direction][:, None]
    early_best = int(np.argmin(early))
    late_best = early_best + direction
    early[late_best] = 50.0  # far behind: no rule keeps it by itself
    for neighbours, survives in ((0, False), (1, True)):
        decisions, *_ = simulate(make(neighbours=neighbours, noise=False), np.array([early] * 15))
        kept = decisions[-1][1]
        assert kept[early_best]
        if make is not hyperband or hyperband()._dealt(decisions[0][0])[late_best] < 2:
            assert kept[late_best] == survives


def test_neighbours_are_the_next_that_train_and_have_not_failed():
    losses = columns(5, 4, np.inf, 1, np.inf, 3, 2)
    options = {"noise": False}
    assert kept_of(top_k(1, neighbours=1, **options), losses) == [1, 3, 5]
    assert kept_of(top_k(1, neighbours=2, **options), losses) == [0, 1, 3, 5, 6]
    assert kept_of(top_k(1, neighbours=9, **options), losses) == [0, 1, 3, 5, 6]
    alive = [True, False, True, True, True, True, True]
    assert kept_of(top_k(1, neighbours=1, **options), losses, alive=alive) == [0, 3, 5]
    assert kept_of(top_k(1, neighbours=1, **options), columns(1, 2, 3)) == [0, 1]  # at an edge
    assert kept_of(top_k(1, neighbours=1, **options), columns(3, 2, 1)) == [1, 2]


def test_neighbours_are_in_order_of_rate_whatever_the_grid_s():
    assert kept_of(top_k(1, noise=False), columns(5, 1, 4, 9), [0.1, 0.03, 1.0, 0.01]) == [0, 1, 3]


def test_neighbours_differ_in_their_rate_only():
    rates = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    losses = columns(3, 2, 3, 9, 1, 9)
    assert kept_of(top_k(1, noise=False), losses, rates, nesterov=[True] * 3 + [False] * 3) == [3, 4, 5]
    optimizers = np.array([math.sin] * 3 + [math.cos] * 3, dtype=object)
    assert kept_of(top_k(1, noise=False), losses, rates, optimizer=optimizers) == [3, 4, 5]
    unhashable = np.empty(6, object)
    unhashable[:] = [[i] for i in range(6)]
    assert kept_of(top_k(1, noise=False), losses, rates, layers=unhashable) == [4]


def test_without_a_rate_nothing_is_beside_the_best():
    standing = standing_of(columns(3, 1, 2))
    standing = standing._replace(points={"momentum": np.array([0.0, 0.5, 0.9])})
    assert np.flatnonzero(top_k(1).keep(standing)).tolist() == [1]
    assert hyperband().keep(standing)[1]


@pytest.mark.parametrize("direction", [1, -1])
def test_points_within_the_noise_of_the_best_are_kept_on_either_side(direction):
    best = np.array([1.0, 2.0, 3.0])
    losses = np.array([best + 5, best + np.array([0.2, 0.1, -0.05]), best + 4, best, best + 3])[::direction]
    inside, at = ((1, 3), (3, 1))[direction < 0]
    assert kept_of(top_k(1, neighbours=0), losses) == sorted([inside, at])
    assert kept_of(top_k(1, **UNGUARDED), losses) == [at]


def test_noise_is_that_of_the_paired_differences():
    best = np.array([0.0, 100.0, -50.0])  # seeds differ by far more than rates
    assert not within_noise(best + np.array([0.1, 0.11, 0.12]), best)
    assert within_noise(best + np.array([0.1, -0.09, 0.12]), best)
    assert within_noise(best - 1, best)  # better in the mean, if not in the median
    assert within_noise(best, best)  # equal in every seed


def test_noise_needs_two_seeds_that_both_points_finished():
    assert not within_noise(np.array([1.0]), np.array([1.0]))
    assert not within_noise(np.array([1.0, np.inf, 2.0]), np.array([1.0, 2.0, np.inf]))
    losses = np.array([[1.1, 0.8, np.inf, 7.0], [1.0, 1.0, 9.0, np.inf]])
    assert within_noise(*losses)
    assert kept_of(top_k(1, neighbours=0), columns(1.0, 1.0001)) == [0]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_is_dropped_before_anything_is_learned(scale, sign):
    start = sign * 2.3 * scale
    flat = start + scale * np.array([[0.0, 0.001], [-0.002, -0.001], [0.01, 0.011], [np.inf, np.inf]])
    rule = top_k(1, neighbours=0)
    assert rule.keep(standing_of(flat, start=start)).tolist() == [True, True, True, False]
    assert rule.keep(standing_of(flat)).tolist() == [False, True, False, False]  # the start is not known
    assert top_k(1, neighbours=0, noise=False).keep(standing_of(flat, start=start)).sum() == 1
    learned = flat.copy()
    learned[0] -= 0.05 * scale
    assert rule.keep(standing_of(learned, start=start)).tolist() == [True, False, False, False]


@pytest.mark.parametrize("n", [2, 3, 4, 11, 12, 13, 20, 100])
def test_noise_is_judged_by_student_s_t(n):
    """The same as a one-sided paired t test at 5 %, on both sides of its threshold."""
    d = np.random.default_rng(n).normal(size=n)
    d = (d - d.mean()) / d.std(ddof=1)
    best = np.zeros(n)
    for z in (0.995, 1.005):
        shifted = d + z * stats.t.ppf(0.95, n - 1) / np.sqrt(n)
        p = stats.ttest_rel(shifted, best, alternative="greater").pvalue
        assert within_noise(shifted, best) == (p >= 0.05) == (z < 1)


@pytest.mark.parametrize(("table", "level", "error"), [(_95, 0.95, 1e-3), (_99, 0.99, 6e-3)])
def test_t_quantiles(table, level, error):
    degrees = np.arange(1, 200)
    ours = [_quantile(table, int(nu)) for nu in degrees]
    np.testing.assert_allclose(ours[:10], stats.t.ppf(level, degrees[:10]), atol=6e-5)
    np.testing.assert_allclose(ours, stats.t.ppf(level, degrees), atol=error)
    assert (np.diff(ours) < 0).all()


# What came of it


LOSS = st.integers(0, 10).map(lambda x: x / 4 if x < 10 else math.inf)


@PROPERTY
@given(st.lists(st.tuples(LOSS, LOSS), max_size=12))
def test_rank_correlation_is_spearman_s(pairs):
    a, b = np.array(pairs).reshape(-1, 2).T
    ours = rank_correlation(a[:, None], b[:, None])
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 3 or len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(ours)
    else:
        ranks = np.array([stats.rankdata(a), stats.rankdata(b)])
        assert ours == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)
        assert -1 <= ours <= 1
        assert rank_correlation(np.exp(a)[:, None], b[:, None]) == ours


def test_rank_correlation_of_known_orders():
    up = columns(1, 2, 3, 4, 5)
    assert rank_correlation(up, up**3) == 1
    assert rank_correlation(up, -up) == -1
    assert math.isnan(rank_correlation(up, columns(2, 2, 2, 2, 2)))
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 1, 1, 0, 1, 1
    assert rank_correlation(up, columns(2, 1, 3, 6, 4.5)) == pytest.approx(1 - 6 * 4 / 120)
    assert rank_correlation(columns(1, 1, 2, 3), columns(1, 2, 3, 4)) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_rank_correlation_is_of_the_medians_of_points_that_finished_both():
    earlier = np.array([[1, 1, 9], [2, 2, 2], [3, 3, -9], [0, 0, 0], [0, np.inf, np.inf]], float)
    later = np.array([[1, 1, 1], [2, 2, 2], [3, np.inf, 3], [np.nan] * 3, [7, 7, 7]], float)
    assert rank_correlation(earlier, later) == 1
    assert math.isnan(rank_correlation(earlier[:2], later[:2]))


def test_the_ledger_of_a_sweep():
    rule = successive_halving(2, first=1, **UNGUARDED)
    table = np.random.default_rng(1).random((7, 12, 3))
    decisions, *_ = simulate(rule, table)
    history, kept = [(now.step, now.losses) for now, _ in decisions], [kept for _, kept in decisions]
    final = np.where(kept[-1][:, None], 1.0, table[-1])  # what was last known of the others
    rungs = ledger(history, kept, final)
    assert [rung[:3] for rung in rungs] == [(1, 12, 6), (2, 6, 3), (4, 3, 2)]
    for now, later, rung in zip(history, history[1:], rungs, strict=False):
        assert rung.rank_correlation == rank_correlation(now[1], later[1])
    assert math.isnan(rungs[-1].rank_correlation)  # two points
    assert np.array_equal(np.array(ledger(history, kept)), np.array(rungs), equal_nan=True)
    assert ledger([], []) == ledger([], [], final) == []
    assert isinstance(rungs[0], Rung)


def test_the_ledger_s_last_correlation_is_with_the_end_and_over_the_kept():
    losses, final = columns(1, 2, 3, 4), columns(1, 3, 2, 0)
    (rung,) = ledger([(10, losses)], [np.array([True, True, True, False])], final)
    assert rung == Rung(10, 4, 3, 0.5)


# Bad arguments


@pytest.mark.parametrize(
    ("make", "arguments", "error", "expected"),
    [
        (successive_halving, {"reduction": 1}, ValueError, "an integer >= 2, got 1"),
        (successive_halving, {"reduction": 2.5}, TypeError, "an integer >= 2, got 2.5"),
        (successive_halving, {"first": 0}, ValueError, "an integer >= 1, got 0"),
        (successive_halving, {"neighbours": -1}, ValueError, "an integer >= 0, got -1"),
        (successive_halving, {"noise": 1}, TypeError, "True or False (it is static), got 1"),
        (hyperband, {"reduction": True}, TypeError, "an integer >= 2, got True"),
        (hyperband, {"brackets": 1}, ValueError, "an integer >= 2, got 1"),
        (hyperband, {"noise": None}, TypeError, "True or False (it is static), got None"),
        (median_stopping, {"first": "1"}, TypeError, "an integer >= 1, got '1'"),
        (median_stopping, {"neighbours": None}, TypeError, "an integer >= 0, got None"),
        (top_k, {"k": 0}, ValueError, "an integer >= 1, got 0"),
        (top_k, {"first": -5}, ValueError, "an integer >= 1, got -5"),
    ],
)
def test_bad_arguments(make, arguments, error, expected):
    (argument,) = arguments
    given_too = {"k": 3} if make is top_k else {}
    with pytest.raises(error) as raised:
        make(**(given_too | arguments))
    assert str(raised.value) == f"`{make.__name__}({argument}=...)` must be {expected}"


def test_rules_are_values():
    assert successive_halving() == successive_halving(4, None, neighbours=1, noise=True)
    assert len({hyperband(), hyperband(), hyperband(3)}) == 2
    assert top_k(np.int64(3)) == top_k(3)
    assert not isinstance(object(), Allocation)
