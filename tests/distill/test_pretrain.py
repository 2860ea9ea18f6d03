"""The bundled model's training: tokens, samples, the seeded start, and resuming."""

import json
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.prompt import parse_action, parse_reflection
from agent.worlds.catalogue import ACT
from agent.worlds.domain import SITE_WORDS
from agent.worlds.site import SITE_NUMBERS, is_held_out
from distill.pretrain.run import Run, Settings, build_model, pretrain
from distill.pretrain.samples import episode, questions, reflection, sample
from distill.pretrain.sheets import Curriculum, draw_goal, draw_site
from distill.pretrain.tokenizer import Encoder, build_tokenizer
from memory.types import Episode

TOKENIZER = build_tokenizer()
SMALL = Settings(batch=2, minutes=0.02, micro_tokens=2048)


def words(number: int) -> tuple[str, ...]:
    return tuple(m.text for m in sample(f"s{number}", Curriculum()))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_training_tokens_are_those_of_the_chat_template(seed: int, progress: float) -> None:
    """What trains is what is served: the fast encoder and the template give the same ids, none unknown."""
    messages = sample(f"t{seed}", Curriculum(progress=progress))
    ids, weights = Encoder(TOKENIZER)(messages)
    turns = [{"role": m.role, "content": m.text} for m in messages]
    assert ids == TOKENIZER.apply_chat_template(turns, tokenize=True, return_dict=False)
    assert TOKENIZER.unk_token_id not in ids
    assert len(ids) == len(weights)


def test_a_sample_is_a_function_of_its_seed() -> None:
    """The same seed gives the same conversation; another gives another."""
    assert words(1) == words(1)
    assert words(1) != words(2)


def test_only_the_assistant_trains_and_slips_never_do() -> None:
    """Prompt and observations have weight 0, and so has a step the teacher's hand slipped on."""
    encode = Encoder(TOKENIZER)
    for number in range(200):
        for message in sample(f"w{number}", Curriculum()):
            _, weights = encode([message])
            trains = message.role == "assistant" and message.weight != 0.0
            assert (sum(weights) > 0) is trains
            assert weights[0] == 0.0


def test_training_never_meets_a_held_out_site() -> None:
    """Sites drawn for training are none of those kept for measuring."""
    rng = random.Random(0)
    assert not any(is_held_out(draw_site(rng, str(n)).name) for n in range(300))
    assert any(is_held_out(f"{word} {number}") for word in SITE_WORDS for number in SITE_NUMBERS)


def test_training_goals_leave_out_held_out_families_and_wordings() -> None:
    """No goal of a held-out family and no held-out wording is ever drawn."""
    rng = random.Random(0)
    goals = [draw_goal(rng, draw_site(rng, str(n))) for n in range(300)]
    assert "pair" not in {goal.family for goal in goals}
    assert {goal.wording for goal in goals} == {0, 1}


def test_every_action_of_a_teacher_can_be_read_back() -> None:
    """The agent's parser finds a command in every act message of a training episode."""
    for number in range(50):
        rng = random.Random(number)
        for message in episode(rng, draw_site(rng, "a"), Curriculum()):
            if message.kind == "act":
                assert parse_action(message.text, (ACT,))[1] is not None


def test_every_known_answer_stands_in_the_prompt() -> None:
    """An answer other than `i do not know.` and `yes.` is a sentence of the memory shown."""
    for number in range(60):
        rng = random.Random(number)
        messages = questions(rng, draw_site(rng, "q"), Curriculum())
        memory = " ".join(m.text for m in messages if m.kind in {None, "memory"})
        for message in messages:
            if message.kind == "answer" and message.text not in {"i do not know.", "yes."}:
                assert message.text in memory


def test_every_lesson_cites_a_line_that_holds_its_words() -> None:
    """Taught reflections parse, and the place or thing they speak of is near the line they cite."""
    blank = Episode("e", "", "", "", "", "", "", (), "unknown")
    n_lessons = 0
    for number in range(60):
        rng = random.Random(number)
        asked, answer = reflection(rng, draw_site(rng, "r"), Curriculum())
        for lesson in parse_reflection(answer.text, blank):
            line = lesson.evidence[0].message
            near = asked.text.partition(f" {line - 1}: ")[2].partition(f" {line + 1}: ")[0]
            assert lesson.text.split()[0] in near
            n_lessons += 1
    assert n_lessons > 60


def test_the_seeded_start_looks_back_and_copies() -> None:
    """Before any training, layer 0 attends one token back and layer 1 finds what followed last time."""
    model = build_model(Settings(), TOKENIZER.get_vocab()).eval()
    model.set_attn_implementation("eager")
    ids = torch.randint(20, 400, (1, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        attention = model(input_ids=torch.cat([ids, ids], 1), output_attentions=True).attentions
    back, find = attention[0][0, 0], attention[1][0, 0]  # (T, T) each
    assert back.diagonal(-1).mean() > 0.9
    assert find[40:].diagonal(1).mean() > 10 / 80


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """A second call resumes step count and time from the saved state, and the folder can be served."""
    state, out = tmp_path / "state.pt", tmp_path / "tiny"
    pretrain(SMALL, out, state)
    first = torch.load(state, weights_only=True)
    run = Run(
        Settings(batch=2, minutes=1, micro_tokens=2048),
        Encoder(TOKENIZER),
        build_model(SMALL, TOKENIZER.get_vocab()),
    )
    run.load(state)
    assert (run.step, run.used) == (first["step"], first["used"])
    assert run.step > 0
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, first["model"][name])
    assert json.loads((out / "apprentice.json").read_text(encoding="utf-8"))["style"] == "plain"


def test_training_lowers_the_loss() -> None:
    """Thirty steps on the same batch bring the loss down: gradients reach the weights."""
    run = Run(
        Settings(batch=2, warmup=1, minutes=10), Encoder(TOKENIZER), build_model(SMALL, TOKENIZER.get_vocab())
    )
    losses = []
    for _ in range(30):
        run.step = 0
        losses.append(run.learn())
    assert losses[-1] < 0.7 * losses[0]


def test_divergence_is_an_error_that_says_what_to_do() -> None:
    """A loss that is not finite stops the run by name of the setting to change."""
    run = Run(SMALL, Encoder(TOKENIZER), build_model(SMALL, TOKENIZER.get_vocab()))
    with torch.no_grad():
        run.model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower lr"):
        run.advance()
