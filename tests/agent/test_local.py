"""The in-process model: batching, limits, choices, streams, adapters."""

import asyncio
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agent.models.local.chat import Chat
from agent.models.local.model import LocalModel
from agent.models.local.weights import load_model
from agent.prompt import parse_action
from agent.types import Reply, Request, ToolSpec
from agent.worlds.game import act_tool
from memory.errors import AdapterRefused, BadInput, ModelError
from memory.types import Image, Message, Text, ToolCall
from tests.distill.tiny import WORDS as TINY_WORDS
from tests.distill.tiny import make_folder

WORDS = ("go", "to", "cabinet", "shelf", "mug", "take", "1", "2", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[LocalModel]:
    loaded = LocalModel.load(folder, name="local:tiny", max_batch=8)
    yield loaded
    loaded.close()


def _request(number: int, **changes: object) -> Request:
    """A conversation of one to five turns of random length."""
    rng = random.Random(number)
    messages = [Message("system", "facts : go to shelf 2 .")]
    for turn in range(rng.choice([1, 3, 5])):
        text = " ".join(rng.choices(WORDS, k=rng.randint(2, 25)))
        messages.append(Message("assistant" if turn % 2 else "user", text))
    return replace(Request(tuple(messages), max_tokens=10), **changes)  # type: ignore[arg-type]


def _same(left: Reply, right: Reply) -> bool:
    assert left.message.logprob is not None
    return (
        left.message.text == right.message.text
        and left.usage == right.usage
        and left.finish == right.finish
        and left.message.logprob == pytest.approx(right.message.logprob, abs=1e-3)
    )


class TestBatching:
    """Who shares the batch must not matter."""

    async def test_answers_do_not_depend_on_the_batch(self, folder: Path) -> None:
        """Forty requests through eight rows equal each of them alone in a fresh model."""
        requests = [_request(seed, max_tokens=3 + seed % 12) for seed in range(40)]
        crowd = LocalModel.load(folder, name="local:crowd", max_batch=8)
        together = [replies[0] for replies in await asyncio.gather(*map(crowd.complete, requests))]
        crowd.close()
        single = LocalModel.load(folder, name="local:crowd", max_batch=1)
        alone = [(await single.complete(request))[0] for request in requests]
        single.close()
        assert all(map(_same, together, alone))

    async def test_greedy_answers_equal_a_plain_loop_over_the_library(
        self, folder: Path, model: LocalModel
    ) -> None:
        """Without cache, batch or padding the same tokens have the same probability."""
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        request = _request(3)
        entries = [{"role": m.role, "content": m.text} for m in request.messages]
        text = tokenizer.apply_chat_template(entries, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        n_prompt, total = len(ids), 0.0
        with torch.no_grad():
            while len(ids) < n_prompt + 10:
                logprobs = plain(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                token = int(logprobs.argmax())
                total += float(logprobs[token])
                if token == tokenizer.eos_token_id:
                    break
                ids.append(token)
        (reply,) = await model.complete(request)
        assert reply.message.text == tokenizer.decode(ids[n_prompt:], skip_special_tokens=True)
        assert reply.message.logprob == pytest.approx(total, abs=1e-3)
        assert reply.usage.prompt_tokens == n_prompt

    async def test_a_continued_conversation_is_answered_as_a_fresh_one(
        self, folder: Path, model: LocalModel
    ) -> None:
        """Keys and values kept from the turn before change nothing."""
        request = _request(11, max_tokens=6)
        for _ in range(4):
            (reply,) = await model.complete(request)
            fresh = LocalModel.load(folder, name="local:tiny")
            (expected,) = await fresh.complete(request)
            fresh.close()
            assert _same(reply, expected)
            more = (reply.message, Message("user", "you see a mug on shelf 3 . what did you learn ?"))
            request = replace(request, messages=(*request.messages, *more))

    async def test_a_cancelled_request_leaves_the_others_alone(self, model: LocalModel) -> None:
        """One caller goes away; the answers of the rest are what they would have been."""
        requests = [_request(seed) for seed in range(6)]
        expected = [(await model.complete(request))[0] for request in requests]
        running = [asyncio.create_task(model.complete(request)) for request in requests]
        await asyncio.sleep(0)
        running[2].cancel()
        results = await asyncio.gather(*running, return_exceptions=True)
        assert isinstance(results[2], asyncio.CancelledError)
        kept = [result[0] for result in results if not isinstance(result, BaseException)]
        assert all(map(_same, kept, expected[:2] + expected[3:]))


class TestSampling:
    """Temperature and seeds."""

    async def test_a_seed_gives_the_same_sample_in_any_batch(self, model: LocalModel) -> None:
        """Alone and among seven others."""
        request = _request(1, temperature=1.0, seed=5)
        (alone,) = await model.complete(request)
        crowd = [_request(seed, temperature=1.3, seed=seed) for seed in range(7)]
        together = await asyncio.gather(*map(model.complete, [*crowd, request]))
        assert together[-1][0].message.text == alone.message.text

    async def test_n_answers_of_one_request_differ(self, model: LocalModel) -> None:
        """Each of `n` has its own random numbers; repeating the request repeats them."""
        request = _request(1, temperature=1.5, seed=5, n=4)
        first = [reply.message.text for reply in await model.complete(request)]
        again = [reply.message.text for reply in await model.complete(request)]
        assert len(set(first)) > 1
        assert first == again


class TestLimits:
    """Stops, lengths, bad input."""

    async def test_max_tokens_ends_an_answer(self, model: LocalModel) -> None:
        """The reply says it was cut."""
        replies = [(await model.complete(_request(seed, max_tokens=2)))[0] for seed in range(8)]
        cut = [reply for reply in replies if reply.finish == "length"]
        assert cut
        assert all(reply.usage.completion_tokens == 2 for reply in cut)

    async def test_a_stop_text_ends_an_answer_before_itself(self, model: LocalModel) -> None:
        """The text holds nothing from the stop on."""
        (whole,) = await model.complete(_request(4))
        words = whole.message.text.split()
        assert len(words) > 4
        (reply,) = await model.complete(_request(4, stop=(f"{words[2]} {words[3]}",)))
        assert reply.message.text == " ".join(words[:2])
        assert reply.finish == "stop"

    async def test_a_prompt_over_the_context_is_bad_input_that_names_both_lengths(
        self, model: LocalModel
    ) -> None:
        """Nothing is dropped silently."""
        request = Request((Message("user", "mug " * 300),))
        with pytest.raises(BadInput, match=r"30\d tokens.*256"):
            await model.complete(request)

    async def test_an_answer_ends_at_the_context(self, model: LocalModel) -> None:
        """Prompt and answer together never exceed what the model reads."""
        (reply,) = await model.complete(Request((Message("user", "mug " * 246),), max_tokens=100))
        assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= model.context

    async def test_images_are_refused(self, model: LocalModel) -> None:
        """A text model says so instead of answering blindly."""
        message = Message("user", (Text("what is it ?"), Image("https://example.org/a.png")))
        with pytest.raises(BadInput, match="images"):
            await model.complete(Request((message,)))

    async def test_plain_style_renders_neither_tools_nor_calls(self, model: LocalModel) -> None:
        """The prompt has the same length with and without them."""
        call = ToolCall("c1", "act", {"command": "go to shelf 1"})
        said = Message("assistant", "> go to shelf 1")
        bare = Request((Message("user", "task"), said, Message("tool", "it is done")), max_tokens=1)
        tool = ToolSpec("act", "do", {"type": "object"})
        called = (Message("user", "task"), replace(said, tool_calls=(call,)), bare.messages[2])
        (left,) = await model.complete(bare)
        (right,) = await model.complete(replace(bare, messages=called, tools=(tool,)))
        assert left.usage.prompt_tokens == right.usage.prompt_tokens

    def test_tokens_are_counted_as_the_model_reads_them(self, model: LocalModel) -> None:
        """Word-level here: one a word."""
        assert model.count_tokens("go to cabinet 3") == 4


class TestChoices:
    """Forced multiple choice and schemas."""

    async def test_the_choice_has_the_highest_likelihood_per_token(
        self, folder: Path, model: LocalModel
    ) -> None:
        """As computed one by one with the plain library, end mark included."""
        choices = ("go to cabinet 3", "take mug", "look", "open drawer 2 and look")
        request = _request(7, choices=choices)
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        entries = [{"role": m.role, "content": m.text} for m in request.messages]
        text = tokenizer.apply_chat_template(entries, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected: list[tuple[float, float]] = []
        for choice in choices:
            option = [*tokenizer(choice, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            with torch.no_grad():
                logprobs = plain(torch.tensor([prompt + option])).logits[0].log_softmax(-1)
            total = sum(float(logprobs[len(prompt) + i - 1, token]) for i, token in enumerate(option))
            expected.append((total / len(option), total))
        best = max(range(4), key=lambda i: expected[i][0])
        (reply,) = await model.complete(request)
        assert reply.choice == best
        assert reply.message.text == choices[best]
        assert reply.message.logprob == pytest.approx(expected[best][1], abs=1e-3)

    async def test_a_model_that_chooses_acts_by_likelihood_among_what_its_tool_lists(
        self, folder: Path, model: LocalModel, tmp_path: Path
    ) -> None:
        """As if asked to choose between the calls, without a word of tools; else it writes."""
        own = Path(shutil.copytree(folder, tmp_path / "chooser"))
        told = json.loads((own / "apprentice.json").read_text("utf-8"))
        (own / "apprentice.json").write_text(json.dumps({**told, "chooses": True}), "utf-8")
        chooser = LocalModel.load(own, name="local:chooser")
        commands = ("go to cabinet 3", "take mug")
        request = _request(7)
        acting = replace(request, tools=(act_tool("act", "Do it.", commands),))
        try:
            (reply,) = await chooser.complete(acting)
            (free,) = await chooser.complete(replace(request, tools=(act_tool("act", "Do it."),)))
            streamed = [delta async for delta in chooser.stream(acting)]
            assert chooser.overflow(acting) > chooser.overflow(request)
        finally:
            chooser.close()
        calls = tuple(f'Action: act {{"command": "{command}"}}' for command in commands)
        (asked,) = await model.complete(replace(request, choices=calls))
        assert _same(reply, asked)
        assert parse_action(reply.message.text, acting.tools)[1] == ToolCall(
            "call", "act", {"command": commands[asked.choice or 0]}
        )
        assert streamed[-1].reply is not None
        assert _same(streamed[-1].reply, reply)
        (written,) = await model.complete(request)
        assert _same(free, written)

    async def test_an_enum_schema_is_always_satisfied(self, model: LocalModel) -> None:
        """A small model need not know JSON to answer one of several values."""
        (reply,) = await model.complete(_request(1, schema={"enum": ["mug", "cup"]}))
        assert json.loads(reply.message.text) in {"mug", "cup"}

    async def test_an_answer_against_its_schema_is_an_error(self, model: LocalModel) -> None:
        """Words that are no JSON are never passed off as some."""
        with pytest.raises(ModelError, match="schema"):
            await model.complete(_request(1, schema={"type": "object"}))


class TestStream:
    """Pieces as they come."""

    async def test_the_pieces_add_up_to_the_reply(self, model: LocalModel) -> None:
        """Several of them, and the last carries the reply that `complete` gives."""
        for stop in ((), ("shelf 1",)):
            request = _request(4, stop=stop)
            (expected,) = await model.complete(request)
            deltas = [delta async for delta in model.stream(request)]
            assert len(deltas) > 2
            assert "".join(delta.text for delta in deltas) == expected.message.text
            assert deltas[-1].reply is not None
            assert _same(deltas[-1].reply, expected)

    async def test_a_stream_that_is_left_frees_its_row(self, model: LocalModel) -> None:
        """The next request is answered as ever."""
        (expected,) = await model.complete(_request(5))
        stream = model.stream(_request(4))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        (reply,) = await model.complete(_request(5))
        assert _same(reply, expected)


class TestFrozen:
    """Serving takes no gradients."""

    async def test_no_parameter_changes_and_none_takes_a_gradient(self, folder: Path) -> None:
        """Every weight is the same number after serving, and none could have been trained."""
        inner = load_model(folder, None)
        before = {name: weight.clone() for name, weight in inner.named_parameters()}
        model = LocalModel.wrap(inner, Chat.open(folder), name="local:tiny")
        await asyncio.gather(*(model.complete(_request(number)) for number in range(10)))
        model.close()
        assert before
        assert all(torch.equal(before[name], weight) for name, weight in inner.named_parameters())
        assert not any(weight.requires_grad for weight in inner.parameters())
        assert not inner.training

    def test_a_fingerprint_tells_weights_apart(self, folder: Path, tmp_path: Path) -> None:
        """The same folder twice matches; another seed's weights do not."""
        prints = []
        for path in (folder, folder, make_folder(tmp_path / "other", seed=1)):
            model = LocalModel.load(path, name="local:tiny")
            prints.append(model.fingerprint())
            model.close()
        assert prints[0].matches(prints[1])
        assert not prints[0].matches(prints[2])

    async def test_a_closed_model_refuses(self, folder: Path) -> None:
        """And closing twice is no error."""
        model = LocalModel.load(folder, name="local:tiny")
        model.close()
        model.close()
        with pytest.raises(ModelError, match="closed"):
            await model.complete(_request(1))

    async def test_a_forward_pass_that_fails_is_told_and_does_not_stop_the_model(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """Here a word that the weights have no row for; the next request is answered."""
        wider = make_folder(tmp_path / "wider", words=f"{TINY_WORDS} zebra")
        model = LocalModel.wrap(load_model(folder, None), Chat.open(wider), name="local:odd")
        (expected,) = await model.complete(_request(1))
        with pytest.raises(ModelError, match="failed"):
            await model.complete(Request((Message("user", "zebra"),)))
        with pytest.raises(ModelError, match="failed"):
            await model.complete(Request((Message("user", "mug zebra cup"),), choices=("mug", "cup")))
        (reply,) = await model.complete(_request(1))
        model.close()
        assert _same(reply, expected)

    async def test_closing_fails_what_is_in_flight(self, folder: Path) -> None:
        """Nobody waits for ever."""
        model = LocalModel.load(folder, name="local:tiny", max_batch=1)
        running = [asyncio.create_task(model.complete(_request(seed, max_tokens=200))) for seed in range(8)]
        await asyncio.sleep(0)
        await asyncio.to_thread(model.close)
        results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 10)
        assert any(isinstance(result, ModelError) for result in results)


class TestFolders:
    """What cannot be loaded says why."""

    def test_a_missing_folder_is_a_model_error(self, tmp_path: Path) -> None:
        """No traceback of a library."""
        with pytest.raises(ModelError):
            LocalModel.load(tmp_path / "nothing", name="local:nothing")

    def test_a_setting_nobody_knows_is_refused(self, tmp_path: Path) -> None:
        """A typing error in `apprentice.json` must not pass for a default."""
        folder = make_folder(tmp_path / "tiny")
        (folder / "apprentice.json").write_text('{"styel": "plain"}', encoding="utf-8")
        with pytest.raises(ModelError, match="styel"):
            LocalModel.load(folder, name="local:tiny")

    def test_truncated_weights_are_a_model_error(self, tmp_path: Path) -> None:
        """Half a file is told, not served."""
        folder = make_folder(tmp_path / "tiny")
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-500])
        with pytest.raises(ModelError):
            LocalModel.load(folder, name="local:tiny")

    def test_weights_of_another_shape_are_refused_as_an_adapter(self, folder: Path, tmp_path: Path) -> None:
        """The reason names what does not fit."""
        tensors = load_file(folder / "model.safetensors")
        name = next(iter(tensors))
        save_file({name: torch.zeros(3, 3)}, tmp_path / "model.safetensors")
        with pytest.raises(AdapterRefused, match=r"does not fit|cannot be put"):
            LocalModel.load(folder, name="local:tiny+x", adapter=tmp_path)
