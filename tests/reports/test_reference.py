"""The reference page is made from the registry, and the one in docs/ is up to date."""

from __future__ import annotations

from pathlib import Path

import gridstride
from gridstride.pipeline.reports.reference import reference_page
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
