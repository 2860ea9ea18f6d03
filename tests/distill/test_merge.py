"""An adapter and its base as one plain model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agent.models.local.identity import identify
from agent.models.local.model import LocalModel
from agent.models.local.weights import load_model
from distill.merge import merge, to_gguf
from distill.render import TokenRow
from distill.settings import TrainSettings
from distill.train import train
from memory.errors import DistillError

ROW = TokenRow((8, 9, 10, 4, 20, 21, 6), (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0))
SETTINGS = TrainSettings(epochs=1, min_updates=20, rank=4, learning_rate=1e-2)


@pytest.fixture(scope="module", params=["lora", "full"])
def adapter(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = replace(SETTINGS, method=request.param)
    return train([ROW] * 4, base, tmp_path_factory.mktemp("run"), settings, seed=0).folder


def _greedy(model: Any, tokens: list[int]) -> list[int]:
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    return model.generate(torch.tensor([tokens]), **settings)[0].tolist()


def test_the_folder_says_what_base_and_adapter_say(base: Path, adapter: Path, tmp_path: Path) -> None:
    """The same greedy text with Hugging Face's own classes, the same fingerprint as a local model."""
    out = merge(adapter, base, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(out, local_files_only=True)
    asked = list(ROW.tokens[:4])
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(base, local_files_only=True).chat_template
    assert _greedy(merged, asked) == _greedy(load_model(base, adapter), asked)
    assert _greedy(merged, asked) != _greedy(load_model(base, None), asked)
    models = [LocalModel.load(out, name="a"), LocalModel.load(base, name="b", adapter=adapter)]
    one, other = (model.fingerprint() for model in models)
    for model in models:
        model.close()
    assert one.matches(other)
    assert identify(out).tokenizer == identify(base).tokenizer
    with pytest.raises(DistillError, match="not empty"):
        merge(adapter, base, out)


def test_gguf_needs_the_converter_of_llama_cpp(tmp_path: Path) -> None:
    """The message names it; one that fails says why; one that works is given folder and file."""
    with pytest.raises(DistillError, match=r"convert_hf_to_gguf\.py"):
        to_gguf(tmp_path, tmp_path / "a.gguf", converter="no such converter")
    fails, works = tmp_path / "fails.py", tmp_path / "works.py"
    fails.write_text("raise SystemExit('no such architecture')\n", encoding="utf-8")
    works.write_text(
        "import pathlib, sys\npathlib.Path(sys.argv[3]).write_text(sys.argv[1], encoding='utf-8')\n",
        encoding="utf-8",
    )
    for script in (fails, works):
        script.chmod(0o755)
    with pytest.raises(DistillError, match="no such architecture"):
        to_gguf(tmp_path, tmp_path / "a.gguf", converter=str(fails))
    assert to_gguf(tmp_path, tmp_path / "a.gguf", converter=str(works)).read_text("utf-8") == str(tmp_path)
