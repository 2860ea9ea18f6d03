"""Adapters on a vLLM server of ours: loaded by name, and asked only if they answer as they did when trained.

vLLM is a process and an environment of its own; files and HTTP cross. It must be started with
`--enable-lora`, `VLLM_ALLOW_RUNTIME_LORA_UPDATING=1` and the base's folder as its model, named like the
folder, and see the data folder under the same path. Every adapter has a name of its own, made of its hashes:
vLLM keeps stale blocks of a name that is loaded again with other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agent.models.local.identity import CANARIES, CANARY_TOKENS, Fingerprint
from memory.errors import AdapterRefused, ModelError
from memory.types import Message

Prompt = Sequence[int]
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Vllm:
    """One server."""

    url: str
    """Without `/v1`."""
    tolerance: float = 0.05
    """By how much the log-probability of a canary (nats) may differ: other kernels round differently."""
    transport: httpx.BaseTransport | None = None

    def publish(self, name: str, folder: Path, expected: Fingerprint, prompts: Sequence[Prompt]) -> None:
        """Load an adapter and compare it with what the trainer computed; one that differs is unloaded.

        Raises AdapterRefused when it differs or is no LoRA adapter, ModelError when the server cannot be
        reached or does not take adapters.
        """
        if not (folder / "adapter_config.json").exists():
            raise AdapterRefused(f"{name!r} is not a LoRA adapter; vLLM loads no others: merge and export it")
        self.load(name, folder)
        told = self.fingerprint(name, prompts)
        if not told.matches(expected, self.tolerance):
            self.unload(name)
            raise AdapterRefused(
                f"{name!r} does not answer on {self.url} as it did when trained (log-probabilities"
                f" {told.logprobs}, expected {expected.logprobs}): is that server's base model another?"
            )

    def load(self, name: str, folder: Path) -> None:
        """`POST /v1/load_lora_adapter`; one that is there stays. Raises ModelError, AdapterRefused."""
        answer = self._post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder.resolve())})
        if answer.status_code == httpx.codes.NOT_FOUND and "lora" not in answer.text.casefold():
            raise ModelError(
                f"{self.url} takes no adapters: start it with --enable-lora and"
                " VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
            )
        if answer.is_error and "already" not in answer.text:
            raise AdapterRefused(f"{self.url} does not load {name!r}: {answer.text[:300]}")

    def unload(self, name: str) -> None:
        """`POST /v1/unload_lora_adapter`; one that is not there is left so. Raises ModelError."""
        answer = self._post("/v1/unload_lora_adapter", {"lora_name": name})
        if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise ModelError(f"{self.url} does not unload {name!r}: {answer.text[:300]}")

    def fingerprint(self, name: str, prompts: Sequence[Prompt]) -> Fingerprint:
        """Greedy continuations of these prompts (tokens) and their log-probabilities. Raises ModelError."""
        written = [self._continued(name, prompt) for prompt in prompts]
        return Fingerprint(
            tuple(tokens for tokens, _ in written), tuple(round(logprob, 4) for _, logprob in written)
        )

    def _continued(self, name: str, prompt: Prompt) -> tuple[tuple[int, ...], float]:
        body = {
            "model": name,
            "prompt": list(prompt),
            "max_tokens": CANARY_TOKENS,
            "temperature": 0,
            "logprobs": 1,
            "ignore_eos": True,
            "add_special_tokens": False,
            "return_tokens_as_token_ids": True,
        }
        answer = self._post("/v1/completions", body)
        if answer.is_error:
            raise ModelError(f"{self.url} does not answer as {name!r}: {answer.text[:300]}")
        try:
            told = answer.json()["choices"][0]["logprobs"]
            tokens = tuple(int(token.removeprefix("token_id:")) for token in told["tokens"])
            return tokens, float(sum(told["token_logprobs"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.url} answers without token ids and log-probabilities: {error!r}"
            ) from error

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            with httpx.Client(transport=self.transport, timeout=TIMEOUT_S, trust_env=False) as client:
                return client.post(f"{self.url.rstrip('/')}{path}", json=body)
        except httpx.HTTPError as error:
            raise ModelError(f"the vLLM server {self.url} cannot be reached: {error}") from error


def canary_prompts(base: Path) -> tuple[Prompt, ...]:
    """What a fingerprint asks, in the tokens and template of a model folder. Raises ModelError."""
    from agent.models.local.chat import Chat  # imports the tokenizers

    chat = Chat.open(base)
    return tuple(chat.prompt((Message("user", canary),)) for canary in CANARIES)
