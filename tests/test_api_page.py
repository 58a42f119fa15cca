"""docs/api.md says what the docstrings say, of every public name."""

import inspect
import pathlib
import runpy

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"
MADE = runpy.run_path(str(DOCS / "api_page.py"))


def test_the_page_is_up_to_date():
    assert (DOCS / "api.md").read_text(encoding="utf-8") == MADE["api_page"](), "run python docs/make.py api"


@pytest.mark.parametrize("package", MADE["PACKAGES"])
def test_every_public_name_has_an_entry(package):
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    entries = page.split(f"\n## {package}\n")[1].split("\n## ")[0]
    for name in MADE["public_names"](package):
        assert f"\n### {name}\n" in entries


@pytest.mark.parametrize("package", MADE["PACKAGES"])
def test_public_functions_have_annotations_and_docstrings(package):
    for name, value in MADE["public_names"](package).items():
        if not inspect.isfunction(value):
            continue
        assert inspect.getdoc(value), name
        missing = [p.name for p in inspect.signature(value).parameters.values() if p.annotation is p.empty]
        assert not missing and inspect.signature(value).return_annotation is not inspect.Signature.empty, name
