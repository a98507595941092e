"""Metric-driven schedules: against transcriptions of what others do, and the laws they all keep."""

import functools
import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.oracles import plateaus
from tests.schedules.driven import LOSSES, PARAMS, QUICK, ROWS, advance, first_state, run, scanned, signals_of

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def course(seed, length=60, start=2.0, sign=1.0):
    """A loss that falls by fits and starts, exact in float32 and far from the thresholds used below."""
    random = np.random.default_rng(seed)
    falls = random.choice([0.0, 0.0, 0.0, 0.125, -0.0625], length)
    return (sign * np.float32(start - np.cumsum(falls))).tolist()


def together(schedule, losses):
    """The values over a course, in one program: many courses share it."""

    @functools.partial(jax.jit, compiler_options=QUICK)
    def follow(losses):
        def step(state, value):
            value, state = schedule.update(state, value=value)
            return state, value

        return jax.lax.scan(step, schedule.init(), losses)[1]

    return np.stack([follow(jnp.asarray(one, jnp.float32)) for one in losses])


COURSES = [course(seed) for seed in range(12)]
BELOW_ZERO = [course(seed, start=-2.0) for seed in range(12)]


# Oracles.


TORCH = [
    {"factor": 0.5, "patience": 2},
    {"factor": 0.5, "patience": 0, "cooldown": 3},
    {"factor": 0.25, "patience": 3, "threshold": 0.3, "min_lr": 0.01},
    {"factor": 0.5, "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"factor": 0.5, "patience": 1, "mode": "max", "cooldown": 1},
    {"factor": 0.5, "patience": 1, "eps": 0.1},
]


def as_torch(factor, patience, min_lr=0.0, threshold_mode="rel", **rest):
    """Our schedule by PyTorch's names and defaults."""
    rest = {"eps": 1e-8, **rest}
    return lrjax.plateau_schedule(
        factor, patience + 1, min_scale=min_lr, threshold_mode=threshold_mode, **rest
    )


@pytest.mark.parametrize("options", TORCH, ids=str)
def test_plateau_is_torch_s_with_one_more_patience(options):
    courses = [course(seed) for seed in range(12)]
    got = together(as_torch(**options), courses)
    want = [plateaus.torch_plateau(losses, **options) for losses in courses]
    assert np.min(want) < 1
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("options", TORCH, ids=str)
def test_the_transcription_is_torch(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for losses in COURSES[:4]:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
            rates = []
            for loss in losses:
                schedule.step(loss)
                rates.append(optimizer.param_groups[0]["lr"])
            np.testing.assert_allclose(rates, plateaus.torch_plateau(losses, **options))


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 0.5, "patience": 2, "min_delta": 0.01},
        {"factor": 0.5, "patience": 1, "min_delta": 0.1, "cooldown": 3},
        {"factor": 0.25, "patience": 2, "min_delta": 0.01, "mode": "max", "min_lr": 0.01},
    ],
    ids=str,
)
def test_plateau_is_keras_s(options):
    ours = dict(options, threshold=options["min_delta"], threshold_mode="abs")
    ours |= {"cooldown": max(options.get("cooldown", 0) - 1, 0), "min_scale": options.get("min_lr", 0.0)}
    del ours["min_delta"]
    ours.pop("min_lr", None)
    got = together(lrjax.plateau_schedule(**ours), COURSES + BELOW_ZERO)
    want = [plateaus.keras_plateau(losses, **options) for losses in COURSES + BELOW_ZERO]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_plateau_is_optax_s(size):
    options = {"factor": 0.5, "patience": 2, "cooldown": 1, "accumulation_size": size, "min_scale": 0.01}
    theirs = optax.contrib.reduce_on_plateau(rtol=1e-2, **options)

    @jax.jit
    def follow(losses):
        def step(state, value):
            _, state = theirs.update(jnp.ones(()), state, value=value)
            return state, state.scale

        return jax.lax.scan(step, theirs.init(jnp.ones(())), losses)[1]

    ours = lrjax.plateau_schedule(threshold=1e-2, threshold_mode="rel", **options)
    want = [follow(jnp.asarray(losses, jnp.float32)) for losses in COURSES]
    np.testing.assert_allclose(together(ours, COURSES), want, rtol=1e-6)


@pytest.mark.parametrize("options", [{"n_iter_no_change": 3, "tol": 0.1}, {"n_iter_no_change": 2}], ids=str)
def test_adaptive_is_scikit_learn_s(options):
    ours = lrjax.adaptive_schedule(patience=options["n_iter_no_change"], tol=options.get("tol", 1e-3))
    want = [plateaus.sklearn_adaptive(losses, **options) for losses in COURSES + BELOW_ZERO]
    np.testing.assert_allclose(together(ours, COURSES + BELOW_ZERO), want, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 0.5, "patience": 1},
        {"factor": 0.75, "patience": 0, "cooldown": 2, "warmup": 1, "threshold": 0.1},
        {"factor": 0.5, "patience": 1, "window": 4, "mode": "max"},
        {"factor": 0.5, "patience": 0, "reset": 2, "min_lr": 0.25, "max_lr": 2.0, "window": 2},
        {"factor": 0.5, "patience": 1, "threshold": 0.02, "threshold_mode": "rel", "cooldown": 1},
    ],
    ids=str,
)
def test_greedy_is_transformers_(options):
    ours = {{"min_lr": "min_scale", "max_lr": "max_scale"}.get(k, k): v for k, v in options.items()}
    courses = [course(seed) for seed in range(12)]
    got = together(lrjax.greedy_schedule(**ours), courses)
    want = [plateaus.greedy(losses, **options) for losses in courses]
    assert np.max(want) > 1 or np.min(want) < 1
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_spike_backoff_is_its_rule():
    random = np.random.default_rng(3)
    losses = np.float32(2 + 0.1 * random.normal(size=120))
    losses[[40, 41, 42, 80]] = 9.0, 8.0, 7.0, np.inf
    options = dict(
        factor=0.5, threshold=6.0, recovery_steps=20, decay=0.9, warmup=10, cooldown=2, min_scale=0.1
    )
    got = together(lrjax.spike_backoff_schedule(**options), [losses])[0]
    want = plateaus.spike_backoff(losses.tolist(), **options)
    assert got[39] == 1.0
    assert got[40] == got[41] == 0.5
    assert got[63] == 1.0
    assert got[80] == 0.5
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("growth", [None, 1.25])
def test_polyak_is_sps_max(growth):
    options = dict(max_learning_rate=0.5, scaling=0.5, f_min=0.25, eps=0.125, growth=growth)
    norms = np.asarray(signals_of()["grad_norm"], np.float64)
    want = plateaus.polyak(np.asarray(LOSSES).tolist(), norms.tolist(), **options)
    np.testing.assert_allclose(run(lrjax.polyak_schedule(**options)), want, rtol=1e-5)


def test_polyak_takes_the_norm_from_the_gradient_where_none_is_given():
    schedule = lrjax.polyak_schedule()
    rate, _ = schedule.update(schedule.init(), value=2.0, grad={"w": jnp.array([3.0, 4.0])})
    assert float(rate) == pytest.approx(2 / 25)
    rate, _ = schedule.update(schedule.init(), value=2.0, grad_norm=0.0)
    assert float(rate) == 1.0, "the bound"


def test_a_batch_that_is_fitted_does_not_stop_polyak_s_rate_for_good():
    schedule = lrjax.polyak_schedule(growth=2.0)
    rate, state = schedule.update(schedule.init(), value=0.0, grad_norm=1.0)
    assert float(rate) == 0.0
    assert float(schedule.update(state, value=0.5, grad_norm=1.0)[0]) == 0.5


def test_polyak_converges_on_a_quadratic_without_a_rate():
    curvatures = jnp.array([1.0, 0.5, 0.25])
    tx = lrjax.sgd(lrjax.polyak_schedule(max_learning_rate=10.0))

    def step(carry, _):
        x, state = carry
        loss, grad = jax.value_and_grad(lambda x: jnp.sum(curvatures * x**2) / 2)(x)
        updates, state = tx.update(grad, state, value=loss, grad_norm=jnp.linalg.norm(grad))
        return (lrjax.apply_updates(x, updates), state), loss

    x = jnp.ones(3)
    _, losses = jax.lax.scan(step, (x, tx.init(x)), length=100)
    assert losses[-1] < 1e-6 * losses[0]


def test_l4_is_its_algorithm():
    options = dict(fraction=0.15, gamma=0.9, first_gamma=0.75, timescale=10.0, max_learning_rate=0.5)
    grads = signals_of()["grad"]
    slopes = np.sum(np.asarray(grads["w"], np.float64) ** 2, 1) + np.asarray(grads["b"], np.float64) ** 2
    want = plateaus.l4(np.asarray(LOSSES).tolist(), slopes.tolist(), **options)
    np.testing.assert_allclose(run(lrjax.l4_schedule(**options)), want, rtol=1e-5)


@pytest.mark.parametrize("normalized", [True, False])
def test_hypergradient_is_its_rule(normalized):
    grads = signals_of()["grad"]
    g = np.concatenate([np.asarray(grads["w"], np.float64), np.asarray(grads["b"], np.float64)[:, None]], 1)
    scale, before, want = 1.0, np.zeros(3), []
    for now in g:
        product = now @ before
        size = np.linalg.norm(now) * np.linalg.norm(before)
        scale = scale * (1 + 0.25 * product / size if size else 1) if normalized else scale + 0.01 * product
        scale, before = np.clip(scale, 0.5, 3.0), now
        want.append(scale)
    step_size = 0.25 if normalized else 0.01
    schedule = lrjax.hypergradient_schedule(step_size, normalized=normalized, min_scale=0.5, max_scale=3.0)
    np.testing.assert_allclose(run(schedule), want, rtol=1e-5)


def test_hypergradient_is_the_derivative_of_the_loss_by_the_last_rate():
    """-g.u is what JAX finds for it."""
    curvatures = jnp.array([1.0, 0.5])

    def loss(x):
        return jnp.sum(curvatures * x**2) / 2

    x = jnp.array([1.0, -2.0])
    tx = lrjax.sgd(0.1 * lrjax.hypergradient_schedule(0.01, normalized=False))
    state = tx.init(x)
    slope = jax.grad(lambda rate: loss(x - rate * jax.grad(loss)(x)))(0.1)
    for _ in range(2):
        grad = jax.grad(loss)(x)
        updates, state = tx.update(grad, state, x, grad=grad)
        x = lrjax.apply_updates(x, updates)
    assert float(lrjax.get_learning_rate(state)) == pytest.approx(0.1 * (1 - 0.01 * float(slope)), rel=1e-6)


def test_hypergradient_raises_a_rate_that_is_far_too_small():
    tx = lrjax.sgd(1e-3 * lrjax.hypergradient_schedule(0.1))

    def step(carry, _):
        x, state = carry
        grad = x
        updates, state = tx.update(grad, state, x, grad=grad)
        return (lrjax.apply_updates(x, updates), state), lrjax.get_learning_rate(state)

    x = jnp.array([1.0, -1.0])
    (x, _), rates = jax.lax.scan(step, (x, tx.init(x)), length=100)
    assert rates[60] > 0.1
    assert jnp.max(jnp.abs(x)) < 1e-3


# What lrjax's plateau does and others' do not.


@pytest.mark.parametrize("mode", ["progress", "rel", "abs"])
@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0, -1e-6, 1e6])
def test_a_constant_metric_of_any_sign_is_a_plateau(mode, level):
    values = run(lrjax.plateau_schedule(0.5, patience=3, threshold_mode=mode), [level] * 8)
    np.testing.assert_array_equal(values, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_others_take_a_constant_below_zero_for_improvement():
    """What this guards against; if it fails, the peers have changed."""
    assert plateaus.torch_plateau([-1.0] * 8, patience=2, factor=0.5)[-1] == 1.0


@pytest.mark.parametrize("mode", ["progress", "abs"])
def test_shifting_a_metric_changes_nothing(mode):
    schedule = lrjax.plateau_schedule(0.5, patience=2, threshold=1 / 16, threshold_mode=mode)
    shifted = [[loss - 64 for loss in losses] for losses in COURSES]
    np.testing.assert_array_equal(together(schedule, COURSES), together(schedule, shifted))


@pytest.mark.parametrize("mode", ["progress", "rel"])
def test_scaling_a_metric_changes_nothing(mode):
    schedule = lrjax.plateau_schedule(0.5, patience=2, threshold=1 / 16, threshold_mode=mode)
    scaled = [[loss * 1024 for loss in losses] for losses in COURSES]
    np.testing.assert_array_equal(together(schedule, COURSES), together(schedule, scaled))


@pytest.mark.parametrize("mode", ["progress", "rel", "abs"])
def test_maximizing_is_minimizing_the_negative(mode):
    options = dict(threshold=1 / 16, threshold_mode=mode)
    largest = lrjax.plateau_schedule(0.5, 2, mode="max", **options)
    smallest = lrjax.plateau_schedule(0.5, 2, **options)
    negative = [[-loss for loss in losses] for losses in COURSES]
    np.testing.assert_array_equal(together(largest, negative), together(smallest, COURSES))


def test_slow_improvement_in_half_precision_is_seen():
    """A loss that falls by 0.05 % a step is no plateau, whatever the parameters' dtype."""
    tx = lrjax.sgd(lrjax.plateau_schedule(0.5, patience=2))
    params = jnp.ones(2, jnp.bfloat16)
    state, loss = tx.init(params), 1.0
    assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype("float32"), jnp.dtype("int32")}
    for _ in range(40):
        _, state = tx.update(params, state, params, value=jnp.float32(loss))
        loss *= 0.9995
    assert float(lrjax.get_learning_rate(state)) == 1.0


def test_a_metric_that_is_not_finite_is_no_improvement_and_no_poison():
    schedule = lrjax.plateau_schedule(0.5, patience=2)
    values = run(schedule, [np.nan, np.inf, 2.0, 1.0, np.nan, np.nan, 0.5, 0.25])
    np.testing.assert_array_equal(values, [1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


def test_optax_s_transformation_is_optax_s_where_values_are_positive():
    options = {"factor": 0.5, "patience": 2, "cooldown": 1, "accumulation_size": 2, "min_scale": 0.01}
    for tolerances in ({"rtol": 1e-2}, {"rtol": 0.0, "atol": 0.1}, {"rtol": 0.02, "atol": 0.05}):
        ours = lrjax.reduce_on_plateau(**options, **tolerances)
        theirs = optax.contrib.reduce_on_plateau(**options, **tolerances)
        for losses in COURSES[:2]:
            state, oracle = ours.init(jnp.ones(())), theirs.init(jnp.ones(()))
            assert state._fields == oracle._fields
            update = jax.jit(
                lambda s, o, v, a=ours, b=theirs: (
                    a.update(jnp.ones(()), s, value=v),
                    b.update(jnp.ones(()), o, value=v),
                )
            )
            for loss in losses:
                (got, state), (want, oracle) = update(state, oracle, loss)
                assert float(got) == float(want)
            assert float(state.best_value) == float(oracle.best_value)


def test_optax_s_transformation_is_sign_safe_and_needs_its_value():
    tx, grads = lrjax.reduce_on_plateau(0.5, 2), jnp.ones(2, jnp.bfloat16)
    state = tx.init(grads)
    for _ in range(3):
        updates, state = tx.update(grads, state, value=-1.0)
    assert float(state.scale) == 0.5
    assert updates.dtype == jnp.bfloat16
    with pytest.raises(TypeError, match=r"^`reduce_on_plateau\.update\(value=\.\.\.\)` must be given"):
        tx.update(grads, state)
    with pytest.raises(ValueError, match=r"`reduce_on_plateau\(atol=\.\.\.\)` must be greater than 0"):
        lrjax.reduce_on_plateau(rtol=0.0)


# Where metrics come from.


def test_a_missing_signal_is_an_error_that_names_it():
    for row in ROWS:
        schedule = row()
        if not row.static.get("held_out"):
            name = row.function.__name__
            with pytest.raises(
                TypeError, match=rf"^`{name}\.update\((value|grad|grad_norm)=\.\.\.\)` must be given"
            ):
                schedule.update(first_state(schedule))


def test_held_out_metrics_move_the_schedule_and_updates_do_not():
    plain = lrjax.plateau_schedule(0.5, patience=2)
    tx = lrjax.chain(
        lrjax.identity(), lrjax.sgd(0.25 * lrjax.plateau_schedule(0.5, patience=2, held_out=True))
    )
    grads, losses = jnp.array(1.0), [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    state, rates = tx.init(grads), []
    for loss in losses:
        state = lrjax.observe(state, loss)
        for _ in range(3):
            _, state = tx.update(grads, state, value=99.0)
        rates.append(float(lrjax.get_learning_rate(state)))
    np.testing.assert_array_equal(rates, 0.25 * run(plain, losses))


def test_observing_changes_nothing_else():
    state = lrjax.adam(0.1 * lrjax.plateau_schedule()).init(PARAMS)
    same = lrjax.observe(state, 1.0)
    assert all(a is b for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(same), strict=True))
    with pytest.raises(TypeError, match=r"`observe\(value=\.\.\.\)` must be one number, got"):
        lrjax.observe(state, jnp.ones(2))


def test_a_cooldown_after_a_held_out_plateau_moves_at_every_update():
    init, update = lrjax.plateau_cooldown_schedule(4, patience=1, held_out=True)
    state, values = init(), []
    for loss in (2.0, None, 2.0, None, None, None, None, None):
        state = state if loss is None else lrjax.observe(state, loss)
        value, state = update(state)
        values.append(float(value))
    assert values == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0]


@pytest.mark.parametrize("plan", ["vmap", "pool"])
def test_a_sweep_hands_its_evaluations_to_the_plateau(plan):
    """The rate of every member falls by its own held-out losses, as the same rule says outside."""
    task = lrjax.tasks.load("quadratic-deep")

    def optimizer(learning_rate):
        return lrjax.sgd(learning_rate * lrjax.plateau_schedule(0.5, 2, threshold=0.75, held_out=True))

    sweep = lrjax.sweep(
        task.trial(optimizer),
        {"learning_rate": [1e-6, 0.03]},
        task.data,
        steps=40,
        evaluate_on=task.validation,
        evaluate_every=4,
        plan=plan,
        progress=False,
    )
    for point, rate in enumerate(sweep.points["learning_rate"]):
        held_out = sweep.held_out["loss"][point, 0]
        steps = sweep.held_out_steps
        factors = run(lrjax.plateau_schedule(0.5, 2, threshold=0.75), held_out[steps > 0])
        assert factors[-2] < 1, "the plateau acts"
        rates = sweep.metrics["learning_rate"][point, 0]
        for step, factor in zip(steps[steps > 0], factors, strict=True):
            if step < 40:
                assert rates[step] == pytest.approx(float(rate) * float(factor), rel=1e-6), (point, step)


def test_a_sweep_that_is_taken_up_again_keeps_the_plateaus(tmp_path):
    """Stored and grown from 20 to 40 steps, it is the sweep that was never stopped, to the bit."""
    task = lrjax.tasks.load("quadratic-deep")

    def optimizer(learning_rate):
        spikes = lrjax.spike_backoff_schedule(warmup=5)
        return lrjax.sgd(
            learning_rate * spikes * lrjax.plateau_schedule(0.5, 2, threshold=0.75, held_out=True), 0.5
        )

    def run_to(steps, directory):
        return lrjax.sweep(
            task.trial(optimizer),
            {"learning_rate": [1e-6, 0.02]},
            task.data,
            steps=steps,
            evaluate_on=task.validation,
            evaluate_every=4,
            plan="vmap",
            progress=False,
            directory=directory,
        )

    run_to(20, tmp_path / "cut")
    cut, whole = run_to(40, tmp_path / "cut"), run_to(40, tmp_path / "whole")
    assert whole.metrics["learning_rate"][0, 0, -1] < 1e-6, "the plateau has acted"
    for name in ("learning_rate", "loss"):
        np.testing.assert_array_equal(cut.metrics[name], whole.metrics[name])


# Laws.


def test_every_number_of_every_driven_schedule_is_in_the_table():
    for function in {row.function for row in ROWS}:
        listed = set()
        for row in ROWS:
            if row.function is function:
                listed |= row.numbers.keys() | row.static.keys()
        numeric = {
            p.name for p in inspect.signature(function).parameters.values() if "Scalar" in str(p.annotation)
        }
        assert numeric <= listed, function.__name__


@every_row
def test_states_keep_their_types_and_begin_finite(row):
    schedule = row()
    before = first_state(schedule)
    signals = jax.tree.map(lambda x: x[0], signals_of())
    value, after = jax.eval_shape(lambda s: advance(schedule, s, signals), before)
    assert (value.shape, value.dtype, value.weak_type) == ((), jnp.float32, False)

    def types(tree):
        return [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(jax.eval_shape(lambda: tree))]

    assert types(before) == [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(after)]
    assert {dtype for _, dtype, _ in types(before)} <= {jnp.dtype("float32"), jnp.dtype("int32")}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(before))


@every_row
def test_types_are_the_same_under_x64(row):
    def types(tree):
        return [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]

    def one_step(losses):
        schedule = row()
        state = first_state(schedule)
        signals = jax.tree.map(lambda x: x[0], signals_of(losses))
        return state, advance(schedule, state, {**signals, "updates": PARAMS})

    want = jax.eval_shape(one_step, LOSSES)
    with jax.enable_x64(True):
        state, (value, after) = jax.eval_shape(one_step, jnp.asarray(np.asarray(LOSSES), jnp.float64))
    assert types(state) == types(after) == types(want[0])
    assert types(value) == [((), jnp.dtype("float32"), False)]


@every_row
def test_vmap_over_every_number_is_the_loop_and_one_trace(row):
    """And JAX's loop is Python's."""
    traces = 0

    @functools.partial(jax.jit, compiler_options=QUICK)
    def all_at_once(numbers):
        nonlocal traces
        traces += 1
        return jax.vmap(lambda n: scanned(row(**n)))(numbers)

    typical = {name: values[0] for name, values in row.numbers.items()}
    points = [typical, *({**typical, name: values[1]} for name, values in row.numbers.items())]
    batch = {name: jnp.asarray([point[name] for point in points], jnp.float32) for name in typical}
    got = all_at_once(batch)
    all_at_once(jax.tree.map(lambda x: x[::-1], batch))
    assert traces == 1
    alone = [run(row(**point)) for point in points]
    assert len(set(alone[0].tolist())) > 1, "the rule acts"
    np.testing.assert_allclose(got, alone, rtol=1e-5)
    for name, values in zip(typical, alone[1:], strict=True):
        assert not np.array_equal(values, alone[0]), f"the table's other `{name}` changes nothing"


@every_row
def test_gradients_with_respect_to_every_number_are_finite(row):
    typical = {name: jnp.float32(values[0]) for name, values in row.numbers.items()}
    slopes = jax.jit(jax.grad(lambda n: jnp.sum(scanned(row(**n)))), compiler_options=QUICK)(typical)
    assert all(np.isfinite(slope) for slope in slopes.values()), slopes
    smooth = {"factor", "scaling", "fraction", "step_size", "steps"} & slopes.keys()
    assert all(slopes[name] != 0 for name in smooth), slopes


@every_row
def test_a_resumed_run_goes_on_to_the_bit(row):
    """The state is all there is: stored and read back, it continues the same course."""
    schedule, stacked = row(), signals_of()
    whole, state, values = np.asarray(run(schedule)), first_state(schedule), []
    for i in range(len(LOSSES)):
        if i == 7:  # through host memory and a new schedule object
            structure = jax.tree.structure(state)
            stored = [np.asarray(x).tobytes() for x in jax.tree.leaves(state)]
            shapes = [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
            read = [np.frombuffer(b, d).reshape(s) for b, (s, d) in zip(stored, shapes, strict=True)]
            state, schedule = jax.tree.unflatten(structure, [jnp.asarray(x) for x in read]), row()
        value, state = advance(schedule, state, jax.tree.map(lambda x, i=i: x[i], stacked))
        values.append(value)
    np.testing.assert_array_equal(np.stack(values), whole)


def test_a_new_base_rate_on_resume_is_used_and_the_factor_kept():
    def step(tx, state):
        return tx.update(jnp.array(1.0), state, value=1.0)[1]

    old, new = (lrjax.sgd(rate * lrjax.plateau_schedule(0.5, patience=1)) for rate in (0.5, 0.125))
    state = old.init(jnp.array(0.0))
    for _ in range(2):
        state = step(old, state)
    assert float(lrjax.get_learning_rate(state)) == 0.25
    assert float(lrjax.get_learning_rate(step(new, state))) == 0.125 * 0.25


@pytest.mark.parametrize(("row", "name"), [(row, name) for row in ROWS for name in row.numbers], ids=str)
def test_bad_numbers_are_refused_by_name(row, name):
    call = row.function.__name__
    for bad, kind in (
        (float("nan"), ValueError),
        (-1e9, ValueError),
        ("1", TypeError),
        (jnp.ones(2), TypeError),
    ):
        if name == "f_min" and kind is ValueError and bad == -1e9:
            continue  # a loss may be negative
        with pytest.raises(kind, match=rf"^`{call}\({name}=\.\.\.\)` must be .*, got "):
            row(**{name: bad})


def test_unknown_modes_are_refused():
    for call in (lrjax.plateau_schedule, lrjax.greedy_schedule):
        with pytest.raises(ValueError, match=r'mode=\.\.\.\)` must be "min" or "max" .*, got .least.'):
            call(mode="least")
        with pytest.raises(
            ValueError, match=r'threshold_mode=\.\.\.\)` must be "progress" or "rel" or "abs" .*static'
        ):
            call(threshold_mode="ratio")
    with pytest.raises(TypeError, match=r"held_out=\.\.\.\)` must be True or False"):
        lrjax.plateau_schedule(held_out=1)


@every_row
def test_metric_driven_schedules_have_no_closed_form(row):
    with pytest.raises(TypeError, match="driven by metrics"):
        row()(0)
