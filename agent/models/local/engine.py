"""One thread that owns the weights and decodes every request in flight as one batch (continuous batching)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Literal

import torch

from agent.models.local.jobs import Generated, Generation, Job, Scoring
from agent.models.local.lanes import Lanes, LaneShape, PrefixStore
from memory.errors import ModelError

_GATHER_S = 0.001
"""How long an idle engine waits for companions of the first request."""


class Engine:
    """Submit from any thread; results arrive in the job's future, which may be cancelled."""

    def __init__(
        self, model: Any, *, max_batch: int, threads: int = 1, prefix_bytes: int = 128 << 20
    ) -> None:
        self._model = model
        self._max_batch = max_batch
        self._threads = threads
        self._shape = _lane_shape(model)
        self._prefixes = PrefixStore(prefix_bytes)
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: list[Generation] = []
        self._active: list[Generation] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="local-model", daemon=True)
        self._thread.start()

    def generate(self, job: Generation) -> Future[Generated]:
        """Queue a continuation. Raises ModelError when closed."""
        self._put(job)
        return job.future

    def score(self, job: Scoring) -> Future[tuple[float, ...]]:
        """Queue a scoring. Raises ModelError when closed."""
        self._put(job)
        return job.future

    def close(self) -> None:
        """Stop the thread; requests in flight fail with ModelError."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        self._thread.join()

    def _put(self, job: Job) -> None:
        with self._lock:
            if self._is_closed:
                raise ModelError("the local model is closed")
            self._queue.put(job)

    def _serve(self) -> None:
        # The number of threads is a property of the calling thread in OpenMP builds.
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            self._lanes = Lanes(self._shape)
            while self._collect():
                try:
                    self._leave_cancelled()
                    self._step()
                except Exception as error:  # noqa: BLE001 - the edge of the thread: every caller is told
                    self._fail_all(_failure(error))
        self._fail_all(ModelError("the local model was closed"))

    def _collect(self) -> bool:
        """Take what has been asked; waits only when idle. False when closed."""
        deadline: float | None = None
        while True:
            is_idle = not self._active and not self._waiting
            try:
                job = self._queue.get(block=is_idle or deadline is not None, timeout=_left(deadline))
            except queue.Empty:
                return True
            if job is None:
                return False
            if isinstance(job, Scoring):
                self._settle_score(job)
                continue
            self._waiting.append(job)
            if is_idle:
                deadline = time.monotonic() + _GATHER_S
            if len(self._waiting) + len(self._active) >= self._max_batch:
                return True

    def _leave_cancelled(self) -> None:
        self._waiting = [job for job in self._waiting if not job.future.cancelled()]
        for row in reversed(range(len(self._active))):
            if self._active[row].future.cancelled():
                self._remove(row)

    def _step(self) -> None:
        """Admit who fits, else one token for every row."""
        if self._waiting and len(self._active) < self._max_batch:
            self._prefill()
        elif self._active:
            self._decode()

    def _prefill(self) -> None:
        room = self._max_batch - len(self._active)
        found = [(job, self._prefixes.find(job.prompt)) for job in self._waiting[:room]]
        for group in _similar(found):
            jobs = [job for job, _ in group]
            new = [_rest(job.prompt, prefix) for job, prefix in group]
            self._waiting = [job for job in self._waiting if job not in jobs]
            self._active += jobs
            self._lanes.admit([prefix for _, prefix in group], [len(tokens) for tokens in new])
            ends = [len(job.prompt) for job in jobs]
            logits = _forward(self._model, self._lanes, new, ends, keep=1)[:, -1]
            self._write(logits, first_row=len(self._active) - len(group))

    def _decode(self) -> None:
        self._lanes.advance()
        new = [[job.written[-1]] for job in self._active]
        ends = [len(job.prompt) + len(job.written) for job in self._active]
        self._write(_forward(self._model, self._lanes, new, ends, keep=1)[:, -1], first_row=0)

    def _write(self, logits: torch.Tensor, first_row: int) -> None:
        """Choose a token for each row from `(row, vocabulary)` and let the finished ones go."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        tokens = logprobs.argmax(dim=-1)
        for offset, job in enumerate(self._active[first_row:]):
            if job.temperature > 0:
                scaled = torch.softmax(logprobs[offset].cpu() / job.temperature, dim=-1)
                tokens[offset] = torch.multinomial(scaled, 1, generator=job.generator)[0]
        chosen = logprobs.gather(1, tokens[:, None]).squeeze(1).tolist()
        picks = list(zip(tokens.tolist(), chosen, strict=True))
        for row in reversed(range(first_row, len(self._active))):
            token, logprob = picks[row - first_row]
            if self._append(self._active[row], token, logprob):
                self._remove(row)

    def _append(self, job: Generation, token: int, logprob: float) -> bool:
        """Add a token to a job; True when that ends it."""
        job.logprob += logprob
        if token in job.stop_ids:
            return _settle(job, "stop")
        job.written.append(token)
        try:
            if job.on_token is not None:
                job.on_token(token)
            is_complete = job.is_complete is not None and job.is_complete(job.written)
        except Exception as error:  # noqa: BLE001 - the caller's function failed: only that caller is told
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)
            return True
        if is_complete:
            return _settle(job, "stop")
        return len(job.written) >= job.max_new and _settle(job, "length")

    def _remove(self, row: int) -> None:
        job = self._active[row]
        kv = self._lanes.take(row)
        self._prefixes.put([*job.prompt, *job.written][: kv.shape[3]], kv)
        self._lanes.drop(row)
        last = self._active.pop()
        if last is not job:
            self._active[row] = last

    def _settle_score(self, job: Scoring) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            job.future.set_result(self._score(job))
        except Exception as error:  # noqa: BLE001 - the edge of the thread: the caller is told
            job.future.set_exception(_failure(error))

    def _score(self, job: Scoring) -> tuple[float, ...]:
        """One pass over the prompt, one over all options (in slices of `max_batch`)."""
        context, last = job.prompt[:-1], job.prompt[-1]
        prefix = self._prefill_alone(context) if context else None
        scores: list[float] = []
        for begin in range(0, len(job.options), self._max_batch):
            options = job.options[begin : begin + self._max_batch]
            lanes = Lanes(self._shape)
            lanes.admit([prefix] * len(options), [len(option) for option in options])
            new = [[last, *option[:-1]] for option in options]
            ends = [len(context) + len(option) for option in options]
            width = max(map(len, options))
            logprobs = _forward(self._model, lanes, new, ends, keep=width).float().log_softmax(-1)
            scores += [_sum_of(logprobs[row, -len(option) :], option) for row, option in enumerate(options)]
        return tuple(scores)

    def _prefill_alone(self, tokens: Sequence[int]) -> torch.Tensor:
        lanes = Lanes(self._shape)
        prefix = self._prefixes.find(tokens)
        new = _rest(tokens, prefix)
        lanes.admit([prefix], [len(new)])
        _forward(self._model, lanes, [new], [len(tokens)], keep=1)
        kv = lanes.take(0)
        self._prefixes.put(tokens, kv)
        return kv

    def _fail_all(self, failure: ModelError) -> None:
        jobs: list[Job] = [*self._waiting, *self._active]
        if self._is_closed:
            while not self._queue.empty():
                job = self._queue.get()
                if job is not None:
                    jobs.append(job)
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(failure)
        self._waiting, self._active = [], []
        self._lanes = Lanes(self._shape)


def _forward(
    model: Any, lanes: Lanes, new: Sequence[Sequence[int]], ends: Sequence[int], keep: int
) -> torch.Tensor:
    """Logits of the last `keep` columns `(row, keep, vocabulary)`; `ends`: lengths after the new tokens."""
    width = max(map(len, new))
    tokens = [[0] * (width - len(row)) + list(row) for row in new]
    positions = [
        [0] * (width - len(row)) + list(range(end - len(row), end))
        for row, end in zip(new, ends, strict=True)
    ]
    logits: torch.Tensor = model(
        input_ids=torch.tensor(tokens, device=model.device),
        position_ids=torch.tensor(positions, device=model.device),
        attention_mask=lanes.mask(),
        past_key_values=lanes,
        use_cache=True,
        logits_to_keep=keep,
    ).logits
    return logits


def _similar(
    found: Sequence[tuple[Generation, torch.Tensor | None]],
) -> list[list[tuple[Generation, torch.Tensor | None]]]:
    """Groups whose new tokens are of like number, so that little of a pass is padding."""
    groups: list[list[tuple[Generation, torch.Tensor | None]]] = []
    limit = 0
    for job, prefix in sorted(found, key=lambda pair: len(_rest(pair[0].prompt, pair[1]))):
        length = len(_rest(job.prompt, prefix))
        if not groups or length > limit:
            groups.append([])
            limit = length + length // 2 + 16
        groups[-1].append((job, prefix))
    return groups


def _rest(prompt: Sequence[int], prefix: torch.Tensor | None) -> Sequence[int]:
    return prompt if prefix is None else prompt[prefix.shape[3] :]


def _failure(error: Exception) -> ModelError:
    failure = ModelError(f"the local model failed: {error}")
    failure.__cause__ = error
    return failure


def _settle(job: Generation, finish: Literal["stop", "length"]) -> bool:
    if job.future.set_running_or_notify_cancel():
        job.future.set_result(Generated(tuple(job.written), job.logprob, finish))
    return True


def _sum_of(logprobs: torch.Tensor, option: Sequence[int]) -> float:
    """Log-likelihood of an option under `(token, vocabulary)` log-probabilities."""
    return float(logprobs.gather(1, torch.tensor(option, device=logprobs.device)[:, None]).sum())


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _lane_shape(model: Any) -> LaneShape:
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return LaneShape(config.num_hidden_layers, heads, head_dim, model.dtype, model.device)
