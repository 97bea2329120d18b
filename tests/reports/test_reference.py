"""The reference page is made from the registry, and the one in docs/ is up to date."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gridstride
from gridstride.pipeline import runner
from gridstride.pipeline.reports.reference import reference_page
from gridstride.workers import cluster
from gridstride.workers.operators import registry


def test_the_page_in_docs_is_the_registrys() -> None:
    page = Path(gridstride.__file__).parent / "docs" / "reference.md"
    assert page.read_text() == reference_page(), "run `make reference`"


def test_every_operator_and_each_of_its_options_is_on_the_page() -> None:
    page = reference_page()
    for name in registry.names():
        assert f"\n## {name}\n" in page
        for field, info in registry.find(name).model_fields.items():
            assert f"`--{field.replace('_', '-')}`" in page
            assert str(info.description) in page
    assert "| `--method` | max | What is made of a line. One of `max`, `min`, `mean`, `sum`, `std`. |" in page
    assert "| `--black-ridges` or `--no-black-ridges` | True |" in page
    assert not [line for line in page.splitlines() if line.startswith("Formula: ") and line.count("`") != 2]


@pytest.mark.slow
def test_every_example_runs_and_gives_the_page_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = Path(gridstride.__file__).parent / "docs"
    monkeypatch.syspath_prepend(str(docs))
    monkeypatch.delitem(sys.modules, "pictures", raising=False)
    from pictures import make_pictures

    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:  # one for all examples
        monkeypatch.setattr(runner.deployment, "start", lambda *_: nullcontext(client))
        make_pictures(registry.names(), tmp_path / "made")
    for name in registry.names():
        assert f"operators/{name}.png" in reference_page()
        made, kept = (Image.open(folder / f"{name}.png") for folder in (tmp_path / "made", docs / "operators"))
        grey = [np.asarray(picture.convert("L"), int) for picture in (made, kept)]
        assert np.abs(grey[0] - grey[1]).mean() < 1, f"{name}: run `make reference`"


def test_every_operator_says_its_formula_and_its_source() -> None:
    silent = [name for name in registry.names() if not (registry.find(name).formula and registry.find(name).source)]
    assert silent == []
