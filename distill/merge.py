"""`python -m distill.merge ADAPTER --base MODEL --out FOLDER [--gguf FILE]`: an adapter becomes a model.

The folder loads with Hugging Face's `AutoModelForCausalLM` and as a local model here; it says what the base
with the adapter says.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoConfig

from agent.models.local.weights import load_model
from distill.manifest import MANIFEST
from distill.registry import Registry
from memory.errors import ApprenticeError, DistillError

CONVERTER = "convert_hf_to_gguf.py"
"""Of llama.cpp."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.index.json", "*.gguf", "config.json")


def merge(adapter: Path, base: Path, out: Path) -> Path:
    """Write base and adapter as one plain model folder; returns it.

    An adapter of a registry is verified first: files, base, and whether it may be used at all. Weights are
    added in float32 and kept in the base's own type. Raises AdapterRefused, ModelError, and DistillError
    where `out` is no empty folder.
    """
    if out.exists() and any(out.iterdir()):
        raise DistillError(f"{str(out)!r} is not empty; name a new folder")
    if (adapter / MANIFEST).exists():
        Registry(adapter.parent).verify(adapter.name, base)
    model = load_model(base, adapter)
    kept = getattr(AutoConfig.from_pretrained(base, local_files_only=True), "dtype", None) or torch.float32
    model.to(kept).save_pretrained(out)
    # Tokenizer, template and settings are the base's own, to the byte.
    texts = {path for path in base.iterdir() if path.is_file()}
    for path in sorted(texts - {one for pattern in _WEIGHTS for one in base.glob(pattern)}):
        shutil.copyfile(path, out / path.name)
    return out


def to_gguf(folder: Path, file: Path, converter: str = CONVERTER) -> Path:
    """Convert a plain folder for llama.cpp; returns the file. Raises DistillError without its converter."""
    found = shutil.which(converter)
    if found is None:
        raise DistillError(
            f"GGUF needs llama.cpp's {CONVERTER}, which is not on the PATH; install llama.cpp or name it with"
            " --converter"
        )
    command = [sys.executable, found, str(folder), "--outfile", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not file.exists():
        raise DistillError(
            f"{found} could not convert {str(folder)!r}: {(done.stderr or done.stdout)[-400:]}"
        )
    return file


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m distill.merge", description=__doc__)
    parser.add_argument("adapter", type=Path, help="an adapter's folder, as in data/adapters")
    parser.add_argument("--base", type=Path, required=True, help="the model folder it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--gguf", type=Path, help="also a file for llama.cpp")
    parser.add_argument("--converter", default=CONVERTER, help="path of llama.cpp's converter")
    asked = parser.parse_args()
    try:
        sys.stdout.write(f"{merge(asked.adapter.resolve(), asked.base, asked.out)}\n")
        if asked.gguf is not None:
            sys.stdout.write(f"{to_gguf(asked.out, asked.gguf, asked.converter)}\n")
    except ApprenticeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main())
