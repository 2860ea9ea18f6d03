"""Adapters on a vLLM server: loaded, checked against the trainer's numbers, unloaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.models.local.identity import Fingerprint, identify
from agent.models.local.model import LocalModel
from agent.types import Request
from distill.manifest import AdapterManifest
from distill.registry import Registry
from distill.render import TokenRow
from distill.settings import TrainSettings
from distill.train import train
from memory.errors import AdapterRefused, ModelError
from memory.types import Message
from server.models import Models
from server.vllm import Vllm, canary_prompts
from tests.distill.tiny import make_folder
from tests.server.fake_vllm import FakeVllm, serving


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("models") / "small", context=512)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [TokenRow((8, 9, 10, 11, 12 + n), (0.0, 1.0, 1.0, 1.0, 1.0)) for n in range(8)]
    settings = TrainSettings(epochs=1, min_updates=1, batch_size=4, rank=4, learning_rate=1e-2)
    return train(rows, base, tmp_path_factory.mktemp("run"), settings, seed=0).folder


@pytest.fixture(scope="module")
def expected(base: Path, adapter: Path) -> Fingerprint:
    """What the trainer computed."""
    model = LocalModel.load(base, name="x", adapter=adapter)
    try:
        return model.fingerprint()
    finally:
        model.close()


@pytest.fixture
def fake(base: Path) -> Iterator[FakeVllm]:
    with serving(base) as fake:
        yield fake


def test_an_adapter_is_loaded_and_found_to_be_itself(
    fake: FakeVllm, base: Path, adapter: Path, expected: Fingerprint
) -> None:
    """By the canaries in the base's own tokens; once more changes nothing; unloading twice is fine."""
    server, prompts = Vllm(fake.url), canary_prompts(base)
    for _ in range(2):
        server.publish("step-1", adapter, expected, prompts)
    assert set(fake.loaded) == {"step-1"}
    assert server.fingerprint("step-1", prompts).matches(expected, 1e-3)
    asked = [body["prompt"] for path, body in fake.requests if path == "/v1/completions"]
    assert asked[: len(prompts)] == [list(prompt) for prompt in prompts]
    for _ in range(2):
        server.unload("step-1")
    assert fake.loaded == {}


def test_one_that_answers_otherwise_is_unloaded(
    fake: FakeVllm, base: Path, adapter: Path, expected: Fingerprint
) -> None:
    """Other tokens, or other log-probabilities: the base behind it is another."""
    server, prompts = Vllm(fake.url), canary_prompts(base)
    wrong = (
        replace(expected, tokens=expected.tokens[::-1]),
        replace(expected, logprobs=tuple(one - 0.2 for one in expected.logprobs)),
    )
    for other in wrong:
        with pytest.raises(AdapterRefused, match="does not answer"):
            server.publish("step-1", adapter, other, prompts)
        assert fake.loaded == {}


def test_a_server_that_cannot_is_told(
    fake: FakeVllm, base: Path, adapter: Path, expected: Fingerprint
) -> None:
    """Not started for adapters, a folder of whole weights, nobody there."""
    prompts = canary_prompts(base)
    with pytest.raises(AdapterRefused, match="not a LoRA"):
        Vllm(fake.url).publish("full", base, expected, prompts)
    fake.takes_adapters = False
    with pytest.raises(ModelError, match="--enable-lora"):
        Vllm(fake.url).publish("step-1", adapter, expected, prompts)
    with pytest.raises(ModelError, match="cannot be reached"):
        Vllm("http://127.0.0.1:9").publish("step-1", adapter, expected, prompts)


async def test_a_base_of_the_settings_is_answered_there(
    fake: FakeVllm, base: Path, adapter: Path, expected: Fingerprint, tmp_path: Path
) -> None:
    """Its adapters are published at their first use, answer no more once blocked, and are unloaded."""
    registry = Registry(tmp_path / "adapters")
    manifest = AdapterManifest(
        id="",
        created_at=1.0,
        base="small",
        identity=identify(base),
        files={},
        fingerprint=expected,
        namespace="home",
        recipe="step",
        method="",
        dataset="",
        episodes=(),
        seed=0,
        settings={},
    )
    made = registry.add(adapter, manifest).id
    models = Models(
        folder=base.parent, default="local:small", registry=lambda: registry, vllm={"small": fake.url}
    )
    name = models.resolve(f"local:small+{made}", "home")
    async with models.use(name) as model:
        assert model.name == f"local:small+{made}"
        assert set(fake.loaded) == {made}
        assert models.still(name) == name
        registry.block(made, "its source was revoked")
        assert models.still(name) == "local:small"
        with pytest.raises(AdapterRefused, match="revoked"):
            await model.complete(_request())
    await models.close()
    assert fake.loaded == {}


def _request() -> Request:
    return Request((Message("user", "hello"),))
