"""Weights of a local model: load a folder and put an adapter on."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from memory.errors import AdapterRefused, ModelError

READING = Lock()
"""Transformers reads weights under patches of torch that hold for the whole process: a model that another
thread reads meanwhile is left without some."""
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


def load_model(folder: Path, adapter: Path | None, device: str = "cpu") -> Any:
    """A causal language model in evaluation mode without gradients, the adapter merged into it.

    On the CPU weights are float32 whatever their type on disk. Raises ModelError, AdapterRefused.
    """
    disable_progress_bar()
    dtype = torch.float32 if device == "cpu" else "auto"
    try:
        with READING:
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"no model could be read from {str(folder)!r}: {error}") from error
    layer_types = set(getattr(model.config, "layer_types", None) or ())
    if not layer_types <= _KNOWN_LAYERS:
        raise ModelError(f"{str(folder)!r} has layers this engine does not know: {sorted(layer_types)}")
    if adapter is not None:
        model = _adapted(model, adapter)
    return frozen(model).to(device)


def frozen(model: Any) -> Any:
    """The same model in evaluation mode, no parameter of which can take a gradient."""
    return model.eval().requires_grad_(False)


def context_of(folder: Path) -> int:
    """`context_length` of a model folder, weights unread. Raises ModelError."""
    try:
        return context_length(AutoConfig.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError) as error:
        raise ModelError(f"no model configuration could be read from {str(folder)!r}: {error}") from error


def context_length(config: Any) -> int:
    """Longest sequence the model reads exactly; a sliding window bounds it, as the batch is not windowed."""
    longest: int = config.max_position_embeddings
    return min(longest, getattr(config, "sliding_window", None) or longest)


def _adapted(model: Any, adapter: Path) -> Any:
    """Low-rank adapters are merged; a folder with `model.safetensors` replaces the weights."""
    try:
        if (adapter / "adapter_config.json").exists():
            return _merged(model, adapter)
        tensors = load_file(adapter / "model.safetensors")
        missing, unexpected = model.load_state_dict(tensors, strict=False)
        tied = set(model.all_tied_weights_keys)
        if unexpected or set(missing) - tied:
            raise AdapterRefused(
                f"the adapter {str(adapter)!r} does not fit: {sorted([*unexpected, *missing])[:3]}"
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise AdapterRefused(
            f"the adapter {str(adapter)!r} cannot be put on this model: {error}; build it again"
        ) from error
    return model


def _merged(model: Any, adapter: Path) -> Any:
    try:
        # Four seconds to import: paid only when there is an adapter.
        from peft import PeftModel
    except ImportError as error:
        raise ModelError("adapters need the extra `distill`: pip install 'apprentice[distill]'") from error
    return PeftModel.from_pretrained(model, adapter, local_files_only=True).merge_and_unload()
