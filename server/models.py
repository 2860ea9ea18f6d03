"""Names to models: `local:<folder>`, `local:<folder>+<adapter>`, or a hosted model through litellm.

Local models are loaded at first use, in a thread, and the least recently used idle one is closed when too
many are loaded. `local:<folder>+promoted` follows the namespace's pointer in the registry, so that a
promotion or rollback serves at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from agent.models.adapted import Adapted
from agent.types import Model
from memory.errors import ModelError, NotFound
from server.errors import UnknownModel

if TYPE_CHECKING:  # torch takes seconds to import
    from distill.manifest import AdapterManifest
    from distill.registry import Registry

log = logging.getLogger("apprentice.models")
PROMOTED = "promoted"
OpenRegistry = Callable[[], "Registry | None"]
"""Gives the adapter registry, or None while there are no adapters: opening it imports torch."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as the API lists it."""

    name: str
    owner: str
    is_loaded: bool
    is_default: bool


@dataclass(slots=True)
class _Loaded:
    model: Model
    users: int = 0


class Models:
    """The models of one server."""

    def __init__(
        self,
        *,
        folder: Path,
        default: str,
        hosted: tuple[str, ...] = (),
        endpoints: Mapping[str, str] | None = None,
        registry: OpenRegistry | None = None,
        limit: int = 4,
        ready: Mapping[str, Model] | None = None,
        vllm: Mapping[str, str] | None = None,
        shared: Mapping[str, str] | None = None,
    ) -> None:
        """`ready` are models that exist already, by name; they come first and are never closed.

        `vllm` are the URLs of our own vLLM servers by the folder whose model they serve; `shared` the
        namespaces whose adapters of a folder answer everybody.
        """
        self._vllm = vllm or {}
        self._shared = shared or {}
        self._folder = folder
        self.default = default
        self._hosted = hosted
        self._endpoints = endpoints or {}
        self._open_registry = registry
        self._limit = limit
        self._ready = dict(ready or {})
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Model]] = {}

    def list(self, namespace: str) -> tuple[ModelCard, ...]:
        """Every model this namespace can name outright; hosted ones need no listing to be used."""
        names = list(self._ready)
        mine = [
            manifest
            for manifest in self._manifests()
            if manifest.namespace in self._whose(namespace, manifest.base)
        ]
        for config in sorted(self._folder.glob("*/config.json")):
            folder = config.parent.name
            names += [f"local:{folder}", *(f"local:{folder}+{m.id}" for m in mine if m.base == folder)]
        return tuple(
            ModelCard(name, "apprentice", name in self._loaded or name in self._ready, name == self.default)
            for name in dict.fromkeys(names)
        )

    def resolve(self, name: str | None, namespace: str, lot: str = "") -> str:
        """The name of the model that will answer. Raises UnknownModel.

        An adapter may carry what its namespace has seen, so it answers in that namespace alone, if no
        operator shares it. `lot`, the id of the episode, draws who `promoted` is while one is tried out.
        """
        name = name or self.default
        if name in self._ready:
            return name
        if not name.startswith("local:"):
            if any(fnmatchcase(name, pattern) for pattern in self._hosted):
                return name
            raise self._unknown(name, namespace)
        base, plus, adapter = name.partition("+")
        folder = base.removeprefix("local:")
        # A folder name, never a path: what clients send must not lead out of the models folder.
        if folder != Path(folder).name or not (self._folder / folder / "config.json").is_file():
            raise self._unknown(name, namespace)
        if not plus:
            return name
        whose = self._whose(namespace, folder)
        mine = {m.id for m in self._manifests() if m.namespace in whose and m.base == folder}
        wanted = self._promoted(whose, lot) if adapter == PROMOTED else (adapter,)
        for one in wanted:
            if one in mine:
                return f"{base}+{one}"
        if adapter == PROMOTED:
            return base
        raise self._unknown(name, namespace)

    def _promoted(self, namespaces: Iterable[str], lot: str) -> tuple[str | None, ...]:
        """Who is to answer, best first."""
        registry = self._registry()
        if registry is None:
            return ()
        pointers = [registry.pointer(one) for one in namespaces]
        return tuple(one for pointer in pointers for one in (pointer.chosen(lot), pointer.current))

    def _whose(self, namespace: str, folder: str) -> tuple[str, ...]:
        """The namespaces whose adapters of this base may answer this one, its own first."""
        shared = self._shared.get(folder, namespace)
        return (namespace,) if shared == namespace else (namespace, shared)

    def still(self, name: str) -> str:
        """The name itself, or its base where its adapter may not serve any more."""
        base, _, adapter = name.partition("+")
        is_gone = name.startswith("local:") and adapter and adapter not in {m.id for m in self._manifests()}
        return base if is_gone else name

    def base_folder(self, adapter_id: str) -> Path:
        """The model an adapter was made for. Raises NotFound, AdapterRefused."""
        registry = self._registry()
        if registry is None:
            raise NotFound(f"there is no adapter {adapter_id!r}")
        return self._folder / registry.get(adapter_id).base

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Model]:
        """A model by its resolved name, kept loaded inside the block. Raises ModelError, AdapterRefused."""
        if name in self._ready:
            yield self._ready[name]
            return
        loaded = await self._get(name)
        loaded.users += 1
        try:
            yield loaded.model
        finally:
            loaded.users -= 1
            self._evict()

    async def close(self) -> None:
        """Close every local model, those that are still being read once they are."""
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        for loaded in self._loaded.values():
            _close(loaded.model)
        self._loaded.clear()

    async def _get(self, name: str) -> _Loaded:
        if name not in self._loaded:
            # Callers who come while it loads share the one loading; a caller that leaves does not stop it.
            if name not in self._loading:
                self._loading[name] = asyncio.create_task(asyncio.to_thread(self._open, name))
            try:
                model = await asyncio.shield(self._loading[name])
                self._loaded.setdefault(name, _Loaded(model))
            finally:
                if name in self._loading and self._loading[name].done():
                    del self._loading[name]
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _open(self, name: str) -> Model:
        if not name.startswith("local:"):
            from agent.models.hosted import LiteModel  # imports its library lazily, kept off start-up

            return LiteModel(name, api_base=self._endpoints.get(name), allow_calls=True)
        from agent.models.local.model import LocalModel  # torch takes seconds to import

        base, _, adapter = name.partition("+")
        folder = self._folder / base.removeprefix("local:")
        if folder.name in self._vllm:
            return self._on_vllm(name, folder, adapter)
        registry = self._registry()
        if adapter and registry is not None:
            prefix = registry.get(adapter).prompt_prefix
            loaded = registry.load(adapter, folder, name=name)
            return Adapted(loaded, prefix=prefix, check=registry.check(adapter))
        return LocalModel.load(folder, name=name)

    def _on_vllm(self, name: str, folder: Path, adapter: str) -> Model:
        """A base that our own vLLM serves, or an adapter that it is told to load and that is then checked."""
        from agent.models.hosted import LiteModel, ModelSettings  # imports its library lazily
        from server.vllm import Vllm, canary_prompts

        url, registry = self._vllm[folder.name], self._registry()
        # Tools in words, as local models are told of them and adapters trained.
        settings = ModelSettings(native_tools=False)
        model = LiteModel(
            f"hosted_vllm/{adapter or folder.name}",
            api_base=f"{url.rstrip('/')}/v1",
            settings=settings,
            allow_calls=True,
        )
        if not adapter or registry is None:
            return Adapted(model, name=name)
        manifest = registry.verify(adapter, folder)
        server = Vllm(url)
        server.publish(adapter, registry.path(adapter), manifest.fingerprint, canary_prompts(folder))
        return Adapted(
            model,
            prefix=manifest.prompt_prefix,
            check=registry.check(adapter),
            name=name,
            on_close=lambda: _quietly(server.unload, adapter),
        )

    def _manifests(self) -> tuple[AdapterManifest, ...]:
        registry = self._registry()
        return tuple(m for m in registry.list() if m.blocked is None) if registry else ()

    def _registry(self) -> Registry | None:
        return self._open_registry() if self._open_registry else None

    def _evict(self) -> None:
        idle = [name for name, loaded in self._loaded.items() if loaded.users == 0]
        for name in idle[: max(0, len(self._loaded) - self._limit)]:
            _close(self._loaded.pop(name).model)

    def _unknown(self, name: str, namespace: str) -> UnknownModel:
        known = ", ".join(card.name for card in self.list(namespace)) or "none"
        return UnknownModel(f"the model {name!r} does not exist here; local models: {known}")


def _quietly(unload: Callable[[str], None], adapter: str) -> None:
    try:
        unload(adapter)
    except ModelError as error:
        log.warning("adapter %s stays loaded: %s", adapter, error)


def _close(model: Model) -> None:
    close: Callable[[], None] | None = getattr(model, "close", None)
    if close is not None:
        close()
