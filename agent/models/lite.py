"""Any provider through litellm: the only file that knows it.

litellm is imported at the first call (seconds) and told to ask the network for nothing of its own.
Its exceptions are translated by the table of `answers`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from agent.models.answers import translate


class Lite:
    """One model by way of litellm."""

    def __init__(self, name: str, api_base: str | None, api_key: str | None, timeout_s: float) -> None:
        """`timeout_s` for one call."""
        self._name, self._api_base, self._api_key = name, api_base, api_key
        self._timeout_s = timeout_s
        # Self-hosted ones have none.
        self._has_price = not name.startswith("hosted_vllm/")

    async def complete(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response in OpenAI's format. Raises Transient, and what `translate` gives."""
        return dict((await self._called(arguments)).model_dump())

    async def stream(self, arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """The chunks, once the service has begun to answer. Raises as `complete` does."""
        return self._chunks(await self._called(arguments))

    def cost_usd(self, prompt: int, completion: int) -> float:
        """What these tokens cost; 0 where no price is known."""
        if not self._has_price:
            return 0.0
        try:
            costs = _litellm().cost_per_token(
                model=self._name, prompt_tokens=prompt, completion_tokens=completion
            )
        except Exception:  # noqa: BLE001 - litellm raises many kinds for a model it has no price for
            self._has_price = False
            return 0.0
        return float(sum(costs))

    def count_tokens(self, text: str) -> int:
        """Length in a common tokenizer: exact for OpenAI's models, near for others."""
        return int(_litellm().token_counter(model=self._name, text=text))

    def close(self) -> None:
        """Nothing is held here."""

    async def _called(self, arguments: Mapping[str, Any]) -> Any:
        try:
            return await _litellm().acompletion(
                model=self._name,
                api_base=self._api_base,
                api_key=self._api_key,
                timeout=self._timeout_s,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                _skip_mcp_handler=True,  # else litellm wants the mcp package as soon as there are tools
                **arguments,
            )
        except Exception as error:
            raise translate(error, self._name) from error

    async def _chunks(self, chunks: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            async for chunk in chunks:
                yield chunk.model_dump()
        except Exception as error:
            raise translate(error, self._name) from error
        finally:
            await chunks.aclose()  # whoever stops listening frees the connection


def _litellm() -> Any:
    """The module, quiet: no price list from the network, no tokenizer downloads, no printed advice."""
    flag = "LITELLM_LOCAL_MODEL_COST_MAP"
    before = os.environ.get(flag)
    os.environ[flag] = "True"  # read while litellm is imported, and only then
    try:
        import litellm
    finally:
        if before is None:
            del os.environ[flag]
        else:
            os.environ[flag] = before
    litellm.disable_hf_tokenizer_download = True
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    # Small models repeat themselves; our own token limits end that.
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
    return litellm
