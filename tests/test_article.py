"""The programs of examples/article, each beside another way to the same numbers."""

from __future__ import annotations

import re
import runpy
import sys
from collections import Counter
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage, special

from tests.blockwise import apply, bound

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "article"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "device")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that imports one of the programs."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name in ("device", *PROGRAMS):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_runs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    sys.modules.pop("device", None)
    wanted = {
        "attention": "[[1.  0. ]\n [0.  1. ]\n [0.5 0.5]]",
        "layers": "- - - rises - - - - - - - falls - - -",
        "ngrams": "the cat    2 times   P(cat | the) = 0.33",
        "schroedinger": "[0.5    1.5    2.5    3.4999 4.4999]",
    }
    assert wanted.get(name, "") in capsys.readouterr().out


def test_the_cuda_convolution_is_that_of_its_formula_at_any_cut() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((3, 11, 14)).astype("float32")
    text = (FOLDER / "convolution.cu").read_text()
    numbers = re.search(r"weights\[CHANNELS\]\S+ = \{(.*?)\};", text, re.DOTALL)
    assert numbers
    weights = np.array(re.findall(r"-?[\d.]+", numbers[1]), float).reshape(3, 3, 3, 3)
    sums = [sum(ndimage.correlate(c, w, mode="constant") for c, w in zip(image, of, strict=True)) for of in weights]
    wanted = np.array(sums) + np.array([0, 0, 0.25])[:, None, None]
    fields = {"file": str(FOLDER / "convolution.cu"), "halo": (2, 1, 1), "axes": (0, 1, 2), "mode": "constant"}
    operator = bound("apply", image, **fields)
    whole = apply(operator, image)
    np.testing.assert_allclose(whole, wanted, atol=2e-6)
    np.testing.assert_array_equal(apply(operator, image, (2, 4, 5)), whole)


def test_attention_is_the_mean_that_its_formula_says(program: Any) -> None:
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 7, 8)), rng.normal(size=(2, 7, 3))
    weights = special.softmax(np.einsum("bmd,bnd->bmn", q, k) / np.sqrt(8), -1)
    attention = program("attention").attention
    np.testing.assert_allclose(attention(q, k, v), np.einsum("bmn,bne->bme", weights, v), rtol=1e-12)
    assert np.isfinite(attention(q * 1e4, k, v)).all()


def test_cross_entropy_and_its_gradient(program: Any) -> None:
    loss = program("cross_entropy")
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    wanted = -np.log(special.softmax(scores, -1)[np.arange(6), labels]).mean()
    assert loss.cross_entropy(scores, labels) == pytest.approx(wanted, rel=1e-12)
    steps = np.eye(24).reshape(24, 6, 4) * 1e-6
    slopes = [(loss.cross_entropy(scores + s, labels) - loss.cross_entropy(scores - s, labels)) / 2e-6 for s in steps]
    np.testing.assert_allclose(loss.gradient(scores, labels).reshape(-1), slopes, atol=1e-9)
    assert loss.cross_entropy(np.array([[1e4, 0.0]]), np.array([1])) == 1e4


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_ngrams_are_counted(program: Any, n: int) -> None:
    text = program("ngrams")
    words = text.TEXT.split()
    vocabulary, places = text.numbered(words)
    if n == 20:
        with pytest.raises(ValueError, match="expected a smaller n"):
            text.ngrams(places, n, len(vocabulary))
        return
    grams, counts = text.ngrams(places, n, len(vocabulary))
    wanted = Counter(zip(*(words[i : len(words) - n + 1 + i] for i in range(n)), strict=True))
    assert {tuple(vocabulary[i] for i in gram): count for gram, count in zip(grams, counts, strict=True)} == wanted
    if n > 1:
        begun = Counter(gram[:-1] for gram in wanted.elements())
        for gram, p in zip(grams, text.probabilities(grams, counts), strict=True):
            names = tuple(vocabulary[i] for i in gram)
            assert p == wanted[names] / begun[names[:-1]]


def test_layers(program: Any) -> None:
    layers = program("layers")
    rng = np.random.default_rng(0)
    image, weights, bias = rng.normal(size=(3, 7, 9)), rng.normal(size=(2, 3, 3, 3)), rng.normal(size=2)
    whole = [sum(ndimage.correlate(c, w) for c, w in zip(image, of, strict=True)) for of in weights]
    wanted = np.array(whole)[:, 1:-1, 1:-1] + bias[:, None, None]
    np.testing.assert_allclose(layers.conv(image, weights, bias), wanted, rtol=1e-12)
    np.testing.assert_array_equal(layers.max_pool(image, 2)[1, 2, 3], image[1, 4:6, 6:8].max())
    np.testing.assert_allclose(layers.avg_pool(image, 3)[2, 1, 2], image[2, 3:6, 6:9].mean())
    assert layers.max_pool(image, 2).shape == (3, 3, 4)
    np.testing.assert_allclose(
        layers.dense(image, weights[:, :, 0, 0], bias)[1, 2, 3], weights[1, :, 0, 0] @ image[:, 2, 3] + bias[1]
    )
    np.testing.assert_allclose(layers.softmax(image), special.softmax(image, 0))
    assert (layers.relu(image) == image.clip(0)).all()
    normal = layers.normalise(image)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    labels = rng.integers(0, 4, (5, 6))
    np.testing.assert_array_equal(layers.one_hot(labels, 4), np.eye(4)[labels].transpose(2, 0, 1))


def test_states_have_the_energies_of_theory(program: Any) -> None:
    x = np.linspace(-8, 8, 801)
    energies, found = program("schroedinger").states(x**2 / 2, x[1] - x[0], 4)
    np.testing.assert_allclose(energies, np.arange(4) + 0.5, atol=5e-4)
    ground = np.exp(-(x**2) / 2) / np.pi**0.25
    np.testing.assert_allclose(abs(found[:, 0]), ground, atol=1e-4)


def test_atoms_keep_energy_and_momentum(program: Any) -> None:
    """Two atoms that swing about each other: the energy's error falls as the square of the step."""
    atoms = program("molecular_dynamics")
    places, velocities = np.array([[4.4, 5.0], [5.6, 5.0]]), np.array([[0.0, 0.4], [0.0, -0.4]])
    force, energy = atoms.forces(places, 10.0)
    assert energy == pytest.approx(4 * (1.2**-12 - 1.2**-6) - atoms.AT_CUT)
    moved = atoms.forces(places + np.array([[1e-6, 0], [0, 0]]), 10.0)[1]
    assert force[0, 0] == pytest.approx((energy - moved) / 1e-6, rel=1e-4)
    spreads = []
    for dt in (0.01, 0.005, 0.0025):
        _, after, energies = atoms.run(places, velocities, 10.0, dt, round(2 / dt))
        np.testing.assert_allclose(after.sum(0), 0, atol=1e-12)
        spreads.append(max(energies) - min(energies))
    assert all(3.5 < a / b < 4.5 for a, b in pairwise(spreads))


def test_vortices_decay_as_they_must(program: Any) -> None:
    flow = program("navier_stokes")
    assert 3.8 < flow.error(16) / flow.error(32) < 4.2
    u, v = np.random.default_rng(0).normal(size=(2, 16, 16))
    u, v = flow.without_divergence(u, v)
    np.testing.assert_allclose(flow.slope(u, 0, 1.0) + flow.slope(v, 1, 1.0), 0, atol=1e-12)
