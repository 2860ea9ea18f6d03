"""A model folder of random weights in the format of the bundled model, small enough to train in a test."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = """
your task is to put a clean mug on shelf 1 2 3 4 go cabinet drawer open close take from look what in the did
you learn ? . , > nothing happens see there it done facts : rules not ( ) i should wash with sink use and cup
looking for wrong right before
"""
SPECIALS = ("<pad>", "<unk>", "<system>", "<user>", "<assistant>", "<tool>", "<end>")
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<assistant> ' -}}{%- generation -%}{{- message['content'] + ' <end> ' -}}{%- endgeneration -%}"
    "{%- else -%}{{- '<' + message['role'] + '> ' + message['content'] + ' <end> ' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<assistant> ' -}}{%- endif -%}"
)


def make_folder(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    context: int = 256,
    words: str = WORDS,
    spread: float = 0.3,
) -> Path:
    """Write config, weights, tokenizer, template, `apprentice.json`; a seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys((*SPECIALS, *words.split())))}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<system>", "<user>", "<assistant>", "<tool>"],
        model_max_length=context,
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=vocabulary["<end>"],
        initializer_range=spread,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    settings = {"style": "plain", "stop": ["<end>"], "max_tokens": 12}
    (folder / "apprentice.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
