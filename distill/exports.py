"""`python -m distill.exports DATASET --out FOLDER [--base MODEL]`: a job's dataset for other trainers.

Lines of JSON that `datasets` loads; what a dataset has no rows for is not written. With a model folder also
tokens and the gated chat template. `manifest.json` says what each file is made of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.utils.logging import disable_progress_bar

from agent.models.local.chat import Chat
from agent.models.local.weights import context_of
from distill import views
from distill.dataset import entry_of, read_rows, to_line
from distill.render import render, tokenise
from distill.trainers.making import weighted_table
from distill.types import Row
from memory.errors import ApprenticeError, DistillError

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One view of the rows, and how LLaMA-Factory's `dataset_info.json` calls it."""

    name: str
    view: views.View
    info: dict[str, Any] | None = None


_SHAREGPT: dict[str, Any] = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS}
_RANKED = {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}
_JUDGED = (
    _File("pairs.jsonl", views.pairs),
    _File("pairs.llamafactory.jsonl", views.ranked, {**_SHAREGPT, "ranking": True, "columns": _RANKED}),
    _File("unpaired.jsonl", views.unpaired),
    _File(
        "unpaired.llamafactory.jsonl",
        views.labelled,
        {**_SHAREGPT, "columns": {"messages": "messages", "kto_tag": "label"}},
    ),
)
_LIKELY = (
    _File("steps.jsonl", views.steps),
    _File("steps.llamafactory.jsonl", views.turns, _SHAREGPT),
    _File("messages.llamafactory-v1.jsonl", views.weighted),
)


def export(dataset: Path, out: Path, base: Path | None = None) -> dict[str, Any]:
    """Write every view of a written dataset to `out`; returns the manifest. Raises DistillError, ModelError.

    `steps`, tokens and `resampled` are of datasets that train by likelihood, pairs and labels of the others.
    """
    rows = read_rows(dataset)
    manifest: dict[str, Any] = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "messages.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    is_likely = manifest["objective"] == "nll"
    infos: dict[str, Any] = {}
    for file in (*(_LIKELY if is_likely else _JUDGED), _File("privileged.jsonl", views.privileged)):
        written = _lines(out / file.name, (entry for row in rows for entry in file.view(row)))
        if written and file.info is not None:
            infos[file.name.removesuffix(".jsonl")] = {"file_name": file.name, **file.info}
    if is_likely:
        every = (entry for row in rows for entry in views.steps(row))
        _lines(out / "resampled.jsonl", views.resampled(every, manifest["seed"]))
    if base is not None:
        _for_model(rows if is_likely else (), out, base)
        manifest["tokenizer"] = _digest(base / "tokenizer.json")
    _json(out / "dataset_info.json", infos)
    named = sorted(path for path in out.iterdir() if path.is_file() and path.name != "manifest.json")
    manifest["files"] = {path.name: _digest(path) for path in named}
    _json(out / "manifest.json", manifest)
    return manifest


def _for_model(rows: Sequence[Row], out: Path, base: Path) -> None:
    """`tokens.parquet` and, where it can be had, the chat template that obeys weights."""
    chat = Chat.open(base)
    if rows:
        longest = context_of(base)
        tokens = tokenise(rows, chat, min(longest, chat.settings.context or longest))
        table = weighted_table(tokens)
        table = table.add_column("attention_mask", [[1] * len(row.tokens) for row in tokens])
        disable_progress_bar()
        table.to_parquet(out / "tokens.parquet")
    try:
        template = views.gated(chat.tokenizer.chat_template)
    except DistillError:
        return
    if all(_obeys(row, chat, template) for row in rows):
        (out / "chat_template.jinja").write_text(template, encoding="utf-8")


def _obeys(row: Row, chat: Chat, template: str) -> bool:
    """Whether the template's masks train the tokens that we would."""
    told = chat.tokenizer.apply_chat_template(
        [entry_of(message) for message in row.messages],
        chat_template=template,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    masked = [token for token, is_on in zip(told["input_ids"], told["assistant_masks"], strict=True) if is_on]
    ours = render(row, chat)
    return masked == [token for token, weight in zip(ours.tokens, ours.weights, strict=True) if weight > 0]


def _lines(path: Path, entries: Iterable[views.Entry]) -> int:
    """How many were written; no file where there are none."""
    lines = [json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n" for entry in entries]
    path.unlink(missing_ok=True)
    if lines:
        path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m distill.exports", description=__doc__)
    parser.add_argument("dataset", type=Path, help="the folder `dataset` of a job")
    parser.add_argument("--out", type=Path, required=True, help="where the files go")
    parser.add_argument("--base", type=Path, help="a model folder: tokens and its gated chat template too")
    asked = parser.parse_args()
    try:
        manifest = export(asked.dataset, asked.out, asked.base)
    except ApprenticeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join(manifest["files"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
