"""Data made by a function of the step, on the device and on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax


def of_step(step):
    return {"x": step * 2, "y": step + 1}


def of_step_and_seed(step, seed_index):
    return {"x": step * 2, "y": step + 100 * seed_index}


@pytest.mark.parametrize("on_device", [True, False])
def test_a_function_of_the_step(on_device):
    data = lrjax.from_function(of_step, on_device=on_device)
    assert not data.per_seed
    batch = data(3, seed_index=7)
    assert (int(batch["x"]), int(batch["y"])) == (6, 4)
    schedule = data.schedule(3, 5, (0, 1))
    assert {len(leaf) for leaf in jax.tree.leaves(schedule)} == {5}
    for t in range(5):
        made = data.gather(data.arrays, jax.tree.map(lambda x, t=t: x[t], schedule))
        assert (int(made["x"]), int(made["y"])) == (2 * (3 + t), 4 + t)


@pytest.mark.parametrize("on_device", [True, False])
def test_a_function_of_step_and_seed(on_device):
    data = lrjax.from_function(of_step_and_seed, on_device=on_device)
    assert data.per_seed
    assert int(data(3, seed_index=2)["y"]) == 203
    schedule = data.schedule(3, 5, (4, 2))
    assert {leaf.shape for leaf in jax.tree.leaves(schedule)} == {(5, 2)}
    for t in range(5):
        for position, seed_index in enumerate((4, 2)):
            made = data.gather(data.arrays, jax.tree.map(lambda x, t=t, p=position: x[t, p], schedule))
            assert (int(made["x"]), int(made["y"])) == (2 * (3 + t), 3 + t + 100 * seed_index)


def test_on_device_is_traced_and_on_host_gets_python_numbers():
    kinds = []

    def f(step, seed_index):
        kinds.append((type(step), type(seed_index)))
        return jnp.zeros(2) + step

    host = lrjax.from_function(f, on_device=False)
    host(2, 1)
    assert kinds == [(int, int)]
    kinds.clear()
    device = lrjax.from_function(f, on_device=True)
    schedule = device.schedule(0, 3, (0, 1))
    assert kinds == []  # nothing is made before the program runs
    made = jax.jit(jax.vmap(jax.vmap(lambda s: device.gather((), s))))(schedule)
    assert len(kinds) == 1
    assert all(issubclass(kind, jax.core.Tracer) for kind in kinds[0])
    np.testing.assert_array_equal(made, np.broadcast_to(np.arange(3.0)[:, None, None], (3, 2, 2)))


def test_batches_of_different_structure_are_refused():
    data = lrjax.from_function(lambda step: [step] if step else {"x": step}, on_device=False)
    with pytest.raises(ValueError, match="one structure of batch"):
        data.schedule(0, 2, (0,))


def default_step(step=0): ...
def any_steps(*steps): ...
def keyword_step(*, step): ...
def three(step, seed_index, more): ...
def none_at_all(): ...


@pytest.mark.parametrize(
    "f", [default_step, any_steps, keyword_step, three, none_at_all], ids=lambda f: f.__name__
)
def test_from_function_refuses_signatures(f):
    with pytest.raises(
        TypeError, match=r"`f\(step\)` or `f\(step, seed_index\)`, with nothing left open"
    ) as e:
        lrjax.from_function(f, on_device=True)
    assert f"got `{f.__name__}(" in str(e.value)


def generated():
    yield np.zeros(2)


@pytest.mark.parametrize(
    ("f", "shown"),
    [
        (3, "3$"),
        (np.zeros(2), "an array .*wrap them in `lrjax.batches`"),
        ([np.zeros(2)], r"\[.*it is data as it is, or with `lrjax.cached"),
        (generated, r"a generator function: hold its batches with `lrjax.cached\(f\(\), steps\)`"),
        (lrjax.batches(np.zeros(4), 2), r"a Batches \(data already: pass it as it is\)"),
        (three, r"three\(.*\)` \(wrap it: `lambda step: ...`\)"),
        (min, "without a signature"),
    ],
)
def test_from_function_refuses_what_is_no_function(f, shown):
    with pytest.raises(TypeError, match=rf"`from_function\(f=\.\.\.\)` must be a function .*{shown}"):
        lrjax.from_function(f, on_device=True)


@pytest.mark.parametrize("on_device", [1, None, "yes"])
def test_on_device_is_a_bool(on_device):
    with pytest.raises(TypeError, match=r"`from_function\(on_device=\.\.\.\)` must be True or False"):
        lrjax.from_function(of_step, on_device=on_device)


def test_what_a_host_function_gives_must_be_the_same_each_time():
    noise = np.random.default_rng(0)
    lrjax.from_function(of_step_and_seed, on_device=False).check_replay()
    lrjax.from_function(lambda step: noise.normal(), on_device=True).check_replay()  # traced: cannot change
    with pytest.raises(
        ValueError, match=r"^`data\(step=\.\.\.\)` must be .* pure.*, got another batch for step 0"
    ):
        lrjax.from_function(lambda step: noise.normal(), on_device=False).check_replay()
