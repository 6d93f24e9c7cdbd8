"""The README's examples run."""

import re
from pathlib import Path

import pytest
from conftest import image
from PIL import Image

TEXT = Path(__file__).parents[1].joinpath("README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", [text for text in EXAMPLES if "torch" not in text])
def test_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(image()).save("cat.jpg")
    (tmp_path / "plugins").mkdir()
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})


def test_there_are_examples_of_both_kinds():
    assert 0 < sum("torch" in text for text in EXAMPLES) < len(EXAMPLES) - 1
