"""The words of the bundled worlds as tokens, and the chat template that serving and training share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agent.worlds.domain import DOMAINS, SITE_WORDS
from memory.types import Message

SPECIAL = ("<pad>", "<unk>", "<system>", "<user>", "<assistant>", "<tool>", "<end>")
TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<end>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""One message is `<role> text <end>`."""

_EXTRA_WORDS = """
rules case note task reflect fact rule success failure unknown nothing happens at in on under with from to the
a an it is i do not know yes no what where who comes first may must need does open close take put use look go
find them and you your have see there can be seen here stands closed shut shuts now are am hello hi thanks
please help me my we they this that broke house lost done did time left over ready start broken before things
needs places machines makes stays yours stop why how when of for or
"""


def phrases() -> tuple[str, ...]:
    """Word groups that are one token, as frequent phrases are in any learned vocabulary.

    `mug is at` and `cabinet 3` stand side by side, so what follows a name can be copied in one look.
    """
    found: list[str] = []
    for domain in DOMAINS.values():
        machines = [kind for process in domain.processes for kind in process.machines]
        kinds = [*domain.open_places, *domain.closed_places, *machines, domain.viewer]
        found += [f"{kind} {number}" for kind in kinds for number in range(1, 21)]
        found += [f"{thing} is at" for thing in domain.things]
        found += [f"{process.verb} with" for process in domain.processes]
        found += [*domain.entry_rules, *domain.preparations]
        found += [f"needs {command}" for command in domain.preparations]
    return tuple(sorted(set(found), key=lambda phrase: (-len(phrase), phrase)))


def splitter() -> str:
    """The pattern of one token: a phrase, else a word, else a sign."""
    return rf"(?:{'|'.join(phrases())})\b|\w+|[^\w\s]"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Phrases and words, lower case, punctuation on its own; the vocabulary is the worlds' English."""
    words: set[str] = set(_EXTRA_WORDS.split()) | set(SITE_WORDS) | {str(n) for n in range(100)}
    for domain in DOMAINS.values():
        words |= set(re.findall(r"[a-z]+", repr(asdict(domain)).lower()))
    return worded([*".,:;?!>()#-'\"", *sorted(words), *sorted(phrases())], splitter())


def worded(words: Sequence[str], pattern: str) -> PreTrainedTokenizerFast:
    """A tokenizer of these words, found in lower-case text by a pattern; all others are `<unk>`."""
    vocabulary = [*SPECIAL, *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    tight = [decoders.Replace(" :", ":"), decoders.Replace("( ", "("), decoders.Replace(" )", ")")]
    tokenizer.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=True), decoders.Fuse(), *tight]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<system>", "<user>", "<assistant>", "<tool>"],
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


class Encoder:
    """Messages to token ids and labels; the same tokens as the chat template gives, only faster."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, observed: float = 0.0):
        """`observed` is the weight of what the world says: predicting it teaches to copy names early."""
        self._ids: dict[str, int] = tokenizer.get_vocab()
        self._observed = observed
        self._token = re.compile(splitter())

    def __call__(self, messages: Sequence[Message]) -> tuple[list[int], list[float]]:
        """(ids, weights); a token's weight is that of predicting it, 0 wherever nothing trains."""
        ids: list[int] = []
        weights: list[float] = []
        for message in messages:
            words = self._token.findall(message.text.lower())
            body = [self._ids.get(word, 1) for word in words] + [self._ids["<end>"]]
            ids += [self._ids[f"<{message.role}>"], *body]
            weights += [0.0, *([self._weight(message)] * len(body))]
        return ids, weights

    def _weight(self, message: Message) -> float:
        if message.role == "assistant":
            return 1.0 if message.weight is None else message.weight
        return self._observed if message.role == "tool" else 0.0
