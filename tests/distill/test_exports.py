"""Every export loads where it is meant for: TRL for a step, others against what they document."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset as Table
from datasets import load_dataset
from transformers import AutoModelForCausalLM
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from agent.models.local.chat import Chat
from distill import dataset as files
from distill.exports import export
from distill.select import Everything
from distill.shapes.masks import Whole
from distill.signals.outcomes import Uniform
from distill.types import Dataset, Objective, Recipe, Row
from distill.views import gated, resampled
from memory.errors import DistillError
from memory.types import Message, ToolCall

ASKED = Message("user", "your task is to put a clean mug on shelf 2", weight=0.0)
TOLD = Message("user", "facts : mug in cabinet 1", kind="memory", weight=0.0)
WRONG = Message("assistant", "> go drawer 1", weight=0.0, ok=False)
SEEN = Message("user", "nothing happens", weight=0.0)
RIGHT = Message("assistant", "> go cabinet 1", weight=1.0)
HALF = Message("assistant", "> take mug", weight=0.5)
CALL = Message(
    "assistant", "look", weight=1.0, tool_calls=(ToolCall("c1", "open", {"what": "cabinet", "n": 1}),)
)
FOUND = Message("tool", "mug", tool_call_id="c1", weight=0.0)
LIKELY = (
    Row("e1", (ASKED, TOLD, WRONG, SEEN, RIGHT, SEEN, HALF), tuple(range(7))),
    Row("e2", (ASKED, CALL, FOUND, RIGHT), tuple(range(4))),
)
PAIRED = (
    Row("e1", (ASKED, RIGHT), (0, 1), rejected=replace(WRONG, weight=None)),
    Row("e2", (ASKED, WRONG, SEEN, RIGHT), (0, 1, 2, 3), rejected=Message("assistant", "> look")),
)


def _written(folder: Path, rows: tuple[Row, ...], objective: Objective) -> Path:
    recipe = Recipe("x", Everything(), Uniform(), Whole(), objective)
    dataset = Dataset("x", 3, "home", rows, (), "hash", objective)
    files.write(dataset, recipe, folder / "dataset")
    return folder / "dataset"


@pytest.fixture(scope="module")
def likely(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likely")
    export(_written(folder, LIKELY, "nll"), folder / "out", base)
    return folder / "out"


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paired")
    export(_written(folder, PAIRED, "prefer"), folder / "out")
    return folder / "out"


def _load(path: Path, cache: Path) -> Table:
    kind = "parquet" if path.suffix == ".parquet" else "json"
    return load_dataset(kind, data_files=str(path), split="train", cache_dir=str(cache))


def _entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _step(kind: Any, config: Any, base: Path, chat: Chat, table: Table, out: Path, **settings: Any) -> Any:
    """One update of a stock trainer; returns it."""
    arguments = config(
        output_dir=str(out),
        max_steps=1,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        **settings,
    )
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    trainer = kind(model=model, args=arguments, train_dataset=table, processing_class=chat.tokenizer)
    trainer.train()
    assert trainer.state.global_step == 1
    return trainer


class TestTrl:
    """Stock trainers, one update each."""

    def test_messages_with_the_gated_template_train_what_has_weight(self, base: Path, tmp_path: Path) -> None:
        """The wrong step is context, the right one trains to its end mark, by the trainer's own masks."""
        marked = tmp_path / "marked"
        shutil.copytree(base, marked)
        template = (base / "chat_template.jinja").read_text("utf-8")
        template = template.replace(
            "' <end> ' -}}{%- endgeneration -%}", "' <end>' -}}{%- endgeneration -%}{{- ' ' -}}"
        )
        (marked / "chat_template.jinja").write_text(template, encoding="utf-8")
        likely, mine = tmp_path / "out", Chat.open(marked)
        export(_written(tmp_path, LIKELY, "nll"), likely, marked)
        mine.tokenizer.chat_template = (likely / "chat_template.jinja").read_text("utf-8")
        table = _load(likely / "messages.jsonl", tmp_path)
        trainer = _step(
            SFTTrainer, SFTConfig, base, mine, table, tmp_path, assistant_only_loss=True, max_length=None
        )
        labels = [token for token in trainer.train_dataset[0]["labels"] if token != -100]
        assert mine.tokenizer.convert_ids_to_tokens(labels) == [
            *([">", "go", "cabinet", "1", "<end>"]),
            *([">", "take", "mug", "<end>"]),
        ]

    def test_a_template_that_would_train_something_else_is_not_shipped(self, likely: Path) -> None:
        """This one marks a space that is no token: masks by it would reach to the end of the row."""
        assert (likely / "tokens.parquet").exists()
        assert not (likely / "chat_template.jinja").exists()

    @pytest.mark.parametrize("name", ["steps.jsonl", "resampled.jsonl"])
    def test_steps_train_their_completion(
        self, base: Path, chat: Chat, likely: Path, tmp_path: Path, name: str
    ) -> None:
        """With the model's own template."""
        table = _load(likely / name, tmp_path)
        trainer = _step(SFTTrainer, SFTConfig, base, chat, table, tmp_path, max_length=None)
        labels = [token for token in trainer.train_dataset[0]["labels"] if token != -100]
        assert chat.decode(labels).split() == [">", "go", "cabinet", "1"]

    def test_tokens_train_as_they_are(self, base: Path, chat: Chat, likely: Path, tmp_path: Path) -> None:
        """Labels are kept, and weights have a mean of 1 over them."""
        table = _load(likely / "tokens.parquet", tmp_path)
        weights = [weight for row in table["loss_weights"] for weight in row if weight]
        assert sum(weights) / len(weights) == pytest.approx(1.0)
        for row in table:
            pairs = zip(row["labels"], row["loss_weights"], strict=True)
            assert all((label == -100) == (weight == 0) for label, weight in pairs)
        _step(SFTTrainer, SFTConfig, base, chat, table, tmp_path, max_length=None)

    def test_pairs_and_labels_train_without_change(
        self, base: Path, chat: Chat, paired: Path, tmp_path: Path
    ) -> None:
        """DPO and KTO; both answers of a pair are labelled."""
        _step(DPOTrainer, DPOConfig, base, chat, _load(paired / "pairs.jsonl", tmp_path), tmp_path)
        labels = _load(paired / "unpaired.jsonl", tmp_path)
        assert labels["label"] == [True, False, True, False]
        _step(KTOTrainer, KTOConfig, base, chat, labels, tmp_path)

    def test_what_memory_showed_is_the_teachers_alone(
        self, base: Path, chat: Chat, likely: Path, tmp_path: Path
    ) -> None:
        """SDFT, where the installed TRL has it."""
        sdft = pytest.importorskip("trl.experimental.sdft")
        table = _load(likely / "privileged.jsonl", tmp_path)
        assert table["privileged_context"] == [TOLD.text]
        assert [[one["content"] for one in prompt] for prompt in table["prompt"]] == [[ASKED.text]]
        settings = {"num_generations": 2, "max_completion_length": 4, "distillation_topk": 8}
        _step(sdft.SDFTTrainer, sdft.SDFTConfig, base, chat, table, tmp_path, **settings)


class TestOthers:
    """What their documentation asks of a file."""

    @pytest.mark.parametrize("of", ["likely", "paired"])
    def test_llama_factory_finds_its_columns(self, request: pytest.FixtureRequest, of: str) -> None:
        """`dataset_info.json` names files and columns that are there; users and assistants take turns."""
        folder: Path = request.getfixturevalue(of)
        infos = json.loads((folder / "dataset_info.json").read_text("utf-8"))
        expected = {
            "likely": {"steps.llamafactory"},
            "paired": {"pairs.llamafactory", "unpaired.llamafactory"},
        }
        assert set(infos) == expected[of]
        for info in infos.values():
            for entry in _entries(folder / info["file_name"]):
                assert set(info["columns"].values()) == set(entry)
                roles = [one[info["tags"]["role_tag"]] for one in entry["messages"]]
                ranked = bool(info.get("ranking"))
                assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
                assert roles[-1] == ("user" if ranked else "assistant")
                if ranked:
                    assert entry["chosen"]["role"] == entry["rejected"]["role"] == "assistant"

    def test_llama_factory_from_v1_reads_weights(self, likely: Path) -> None:
        """Content in parts, a float on every message; a call is told in words."""
        first, second = _entries(likely / "messages.llamafactory-v1.jsonl")
        assert [one["loss_weight"] for one in first["messages"]] == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5]
        (part,) = second["messages"][1]["content"]
        assert part == {"type": "text", "value": 'look\nAction: open {"n": 1, "what": "cabinet"}'}

    def test_axolotl_reads_a_key_on_every_message(self, likely: Path) -> None:
        """`message_field_training: weight` asks for it, and only the assistant's is above 0."""
        for entry in _entries(likely / "messages.jsonl"):
            for one in entry["messages"]:
                assert isinstance(one["weight"], float)
                assert one["weight"] == 0 or one["role"] == "assistant"

    def test_files_are_named_with_their_digests(self, likely: Path, paired: Path) -> None:
        """What there are no rows for is not there, and is not named."""
        for folder in (likely, paired):
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            there = {path.name for path in folder.iterdir()} - {"manifest.json"}
            assert set(manifest["files"]) == there
        assert not (likely / "pairs.jsonl").exists()
        assert not (paired / "privileged.jsonl").exists()


class TestResampling:
    """Weights as counts."""

    WEIGHTS = (0.5, 1.25, 0.1, 2.0, 0.15)

    def _counts(self, seed: int) -> list[int]:
        entries = [{"id": at, "weight": weight} for at, weight in enumerate(self.WEIGHTS)]
        drawn = [one["id"] for one in resampled(entries, seed)]
        return [drawn.count(at) for at in range(len(self.WEIGHTS))]

    def test_counts_are_the_weights_on_average_and_never_far_from_them(self) -> None:
        """Each floor or ceiling of its weight, the sum exact, the mean over draws right."""
        drawn = [self._counts(seed) for seed in range(400)]
        for counts in drawn:
            assert sum(counts) == round(sum(Fraction(str(weight)) for weight in self.WEIGHTS))
            assert all(int(w) <= n <= int(w) + 1 for n, w in zip(counts, self.WEIGHTS, strict=True))
        means = [sum(column) / len(drawn) for column in zip(*drawn, strict=True)]
        assert means == pytest.approx(self.WEIGHTS, abs=0.08)

    def test_a_seed_decides_all(self) -> None:
        """The same rows for the same seed."""
        assert self._counts(5) == self._counts(5)


def test_a_template_without_marks_cannot_be_gated() -> None:
    """The message names what to use instead."""
    with pytest.raises(DistillError, match=r"tokens\.parquet"):
        gated("{% for m in messages %}{{ m['content'] }}{% endfor %}")
