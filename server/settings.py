"""Every setting of the server: from flags, the environment (`APPRENTICE_…`), `.env` or `apprentice.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent.builders.settings import PatternName
from agent.deliberate.presets import PresetName
from agent.guards.drafted import Writes
from memory.types import Mode, ReadName
from server.settings_edge import EdgeSettings
from server.settings_jobs import JobSettings
from server.settings_watching import WatchSettings
from server.settings_worlds import WorldSettings

BUNDLED_MODELS = Path(__file__).resolve().parent.parent / "agent" / "models"


class Settings(EdgeSettings, JobSettings, WatchSettings, WorldSettings, BaseSettings):
    """What an operator can set. Each field is an environment variable with the prefix `APPRENTICE_`."""

    model_config = SettingsConfigDict(
        env_prefix="APPRENTICE_", env_file=".env", extra="ignore", use_attribute_docstrings=True
    )

    data_dir: Path = Path("data")
    """Folder of everything that must survive: memory, jobs, keys, adapters, distillations."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is reachable from this machine alone."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""
    auth_required: bool = True
    """False makes every caller the operator of the namespace `default`; refused unless `host` is loopback."""

    models_dir: Path = BUNDLED_MODELS
    """Folder whose subfolders are the `local:<name>` models."""
    model: str = "local:tiny"
    """Model of tasks and chats that name none."""
    hosted_models: Annotated[tuple[str, ...], NoDecode] = ("*/*",)
    """Patterns of model names that may be sent to hosted providers; empty forbids all. Comma-separated."""
    endpoints: dict[str, str] = {}
    """Base URL of self-hosted models by name, as JSON, e.g. `{"hosted_vllm/qwen": "http://127.0.0.1:8001/v1"}`."""
    vllm: dict[str, str] = {}
    """Base URL of a vLLM server of yours by the model folder that it serves, as JSON, e.g. `{"qwen":
    "http://127.0.0.1:8001"}`: `local:qwen` and its adapters are answered there, see docs/distillation.md."""
    shared_adapters: dict[str, str] = {}
    """The namespace whose adapters of a model folder answer everybody, as JSON, e.g. `{"qwen": "shop"}`;
    without it what was learned from a namespace answers there alone."""
    tools: Annotated[tuple[str, ...], NoDecode] = ()
    """Python functions, `module:function`, that tasks of the world `tools` may call. Comma-separated."""
    mcp_servers: Path | None = None
    """JSON file of MCP servers whose tools tasks of the world `tools` may call, see docs/operations.md."""
    encoder: str = "minilm"
    """Text encoder of memory: `minilm`, `hash`, or a sentence-transformers model."""
    previous_encoder: str = ""
    """Encoder that memory was written with before `encoder` was changed: its vectors serve while the new ones
    are made in the background. Empty: items without a new vector are found by their words alone."""
    reranker: str = ""
    """Cross-encoder, a sentence-transformers name or folder, that reads question and memories together before
    they are chosen: better and slower. Empty is none."""
    max_models: Annotated[int, Field(ge=1)] = 4
    """Local models kept loaded; the least recently used is dropped."""

    memory_url: SecretStr | None = None
    """PostgreSQL database of memory, `postgresql://user:password@host/name`, shared by several servers; the
    file `memory.db` where none is given."""
    memory_index: Literal["local", "pgvector"] = "local"
    """Where memory's index lives: with each server, or (PostgreSQL alone) in the database, by pgvector."""
    trusted_signers: Annotated[tuple[str, ...], NoDecode] = ()
    """Public keys of servers whose bundles an operator restores as they were, in base64. Comma-separated."""
    memory_max_pages: int | None = None
    """Bound of memory's file in pages of 4096 bytes; a full one answers writes with 507."""
    memory_max_living: Annotated[int, Field(ge=1)] | None = None
    """Items that recall may find in one namespace; more are refused with 429."""
    memory_writes_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Items that one principal may write to a namespace in a minute, on average; more get 429."""

    memory_mode: Mode = "learn"
    """What memory does where neither request nor namespace says: `learn`, `frozen`, `shadow`, `off`."""
    recall_k: Annotated[int, Field(ge=0, le=32)] = 4
    """Memories shown per task or chat."""
    recall_tokens: Annotated[int, Field(ge=0)] = 1024
    """Token budget of recalled memories."""
    enforce_principles: bool = True
    """Send back an act that a principle shown forbids word for word: once where it was learned, always where
    an operator wrote or pinned it."""
    constitution_tokens: Annotated[int, Field(ge=0)] = 512
    """Token budget of the constitution in a prompt."""
    recall_drop_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of recalled items and active principles held back at random, to measure what they do."""
    recall_hold_out: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of episodes that are shown no recalled item at all, to measure what recall is worth."""
    trial_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of episodes that are shown a principle on trial. Below 1 it rises or falls by what that changes;
    at 1 by how often it was borne out."""

    recall_principal_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Most of the memories shown that one principal may have written: a bound on poisoning; 1 is no bound."""
    recall_on_failure: bool = False
    """Ask memory again, with what went wrong, when a step of a task fails."""
    procedures: Literal["inline", "index", "off"] = "inline"
    """Recalled procedures: `inline` whole, `index` by a line each with a tool that reads on (in tasks of
    models with native tool calls), `off` none."""
    tool_notes: bool = True
    """Recall notes on tools."""
    recall_policy: ReadName = "per_case"
    """What ranks memories: `cosine` (nearness alone), `per_case` (an item's running value), `episodic` (what
    came of it near such a question), `lift` (what showing it adds there), `neural` (a fitted critic)."""
    recall_policies: dict[ReadName, float] = {}
    """Policies one of which is drawn for each episode, with their chances, as JSON, to compare them, e.g.
    `{"per_case": 0.5, "episodic": 0.5}`; the first serves where no coin is tossed. Empty: `recall_policy`."""
    recall_utility_weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """How much a memory's value counts beside its similarity: 0 is similarity alone, 1 value alone."""
    recall_temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """Draws memories by the softmax of their scores at this temperature; 0 takes the best."""
    critic: Path | None = None
    """Folder of the critic that the policy `neural` asks, as `python -m distill.critic` writes it."""

    advantage_guard: bool = False
    """Refuse, once, an action of a task that credibly ended worse near the same state than others did."""
    advantage_margin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """By how much less often it must have ended well."""
    advantage_least: Annotated[float, Field(gt=0.0)] = 1.5
    """How often it must have been seen there, nearness weighed, before that is believed."""
    policy: Path | None = None
    """A file of rules that every call of a tool must keep, see `docs/operations.md`; none allows all."""
    write_policy: Writes = "off"
    """Hold each task's calls to what its own words ask for: `rules` of language (English, see
    docs/bench/dojo.md for what that stops and costs), or as the `model` reads them, one call a task; for
    models that read plain text rules do it."""
    narrow_policy: bool = False
    """Let the model add rules after each call that ran, one call each: they can only refuse more."""
    order: Path | None = None
    """A file that says in which order tools may be called, see docs/automaton.md; none leaves it open."""
    approval_s: Annotated[float, Field(ge=0.0)] = 3600.0
    """Seconds that a task waits for a human where its policy says `ask`; then it is a no."""
    safety_guard: bool = False
    """Refuse calls of tools that would do what cannot be undone, by a table of ten outcomes."""
    safety_notes: bool = False
    """Recall hazards that were met or foreseen, with what to do instead."""
    max_spawns: Annotated[int, Field(ge=0)] = 0
    """Agents or tasks that one task may start by its tools; above 0, tasks of the world `tools` are given
    `submit_task`."""
    max_spawn_depth: Annotated[int, Field(ge=0)] = 1
    """How deep those may go: with 1, tasks that were started by `submit_task` start none. What tools of your
    own start over HTTP counts as set by a caller."""
    admission: bool = False
    """Weigh each task before it is begun, by the model's own word and by how tasks like it went; what is
    hopeless is declined, in between a human is asked."""
    forge: Literal["off", "on", "at_once"] = "off"
    """Models with native tool calls may write Python, which runs apart: `on` keeps its functions as tools if
    the task went well, `at_once` if their script did."""
    forge_nudge: bool = False
    """Ask the model after every observation whether a tool of its own would help."""
    planner: str = "react"
    """In which order tasks are worked on, where a request names no other: `react` goes turn by turn, `plan`
    writes a plan first and revises it."""
    deliberate: PresetName = "off"
    """Think twice about what tasks answer: `rewrite` it and choose, `gvr` (generate, verify, refine),
    `debate` it, run `tests` on programs (in the sandbox); `choose` makes forced choices again. For models
    with native tool calls."""
    speaking: Path | None = None
    """A file that says how answers are laid out, see docs/automaton.md; none leaves it open. For models with
    native tool calls."""
    verify: bool = False
    """Look at tasks whose world does not say how they went; what the verifier finds is learned from."""
    verifier: str = "symbolic"
    """Who looks: `symbolic` needs no model and only ever finds failures; else a model by its name, which gets
    read-only tools. A model other than the tasks' judges better."""
    verify_by: Literal["checks", "consistency"] = "checks"
    """How a verifier that is a model looks: by checks with tools, or by asking what the answer answers, and
    whether that leads to the same calls; then best the tasks' own model."""
    consistency: Path | None = None
    """Folder of the classifier that `python -m distill.consistency` fitted for that; none: a rule decides."""
    verify_actions: Annotated[int, Field(ge=0)] = 8
    """Most calls of tools for one check of a verifier that is a model."""
    verify_in_parts: bool = False
    """Plan tasks in parts, look at each part, try it once more where it does not hold; for models with native
    tool calls."""

    reflection_calls: Annotated[int, Field(ge=0)] = 1
    """Most model calls to look back at one episode; 0 leaves learning to counters."""
    reflection_tokens: Annotated[int, Field(ge=1)] = 512
    """Longest answer of one of them."""
    learning_tokens_day: Annotated[int, Field(ge=0)] | None = None
    """Tokens that a namespace may spend on learning in 24 hours; then counters go on alone."""
    reflect_every: Annotated[int, Field(ge=0)] = 0
    """Steps after which a task looks back at itself and tells its model what it found; 0 never."""
    mined_patterns: Annotated[tuple[PatternName, ...], NoDecode] = ("rule", "order")
    """What counters make principles of: `rule` (stated by the world), `order` (A before B), `loop`, `dead`
    (actions that do nothing), `waste` (visits for nothing), `success` (orders that pay). Comma-separated. The
    bundled model was trained on the first two."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    """Larger request bodies get 413."""
    max_wait_s: Annotated[float, Field(gt=0)] = 600.0
    """Longest time a request may wait for a task to finish."""
    warm_wait_s: Annotated[float, Field(ge=0)] = 60.0
    """How long a request waits for a server that is still warming up before it gets 503."""

    canary_cron: str = "30 4 * * *"
    """When a scripted lesson is sent through the whole path, from a task to being credited, to see that the
    server still learns (cron, UTC); it needs no model. Empty: never."""
    consolidate_daily: bool = False
    """Put every namespace's memory in order each night: merge near-duplicates, draw procedures, archive."""

    distill_cron: str = ""
    """When memory is turned into weights by itself (cron, UTC), in namespaces that declared suites and whose
    memory grew. Empty: never."""
    distill_least: Annotated[int, Field(ge=1)] = 50
    """New verified episodes since the last distillation that this takes."""
    distill_recipe: str = "step"
    """By which recipe, into the model of tasks that name none."""
    general: Path | None = None
    """Conversations that recipes such as `agenttuning` mix in, see docs/distillation.md."""

    @field_validator("hosted_models", "tools", "trusted_signers", "mined_patterns", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("write_policy", mode="before")
    @classmethod
    def _writer(cls, value: object) -> object:
        # Releases before there was a choice knew rules alone.
        return {"true": "rules", "false": "off"}.get(str(value).lower(), value)

    @property
    def memory_path(self) -> Path:
        """The file of memory where no other database is given."""
        return self.data_dir / "memory.db"

    @property
    def signing_key_path(self) -> Path:
        """The private key that bundles are signed with."""
        return self.data_dir / "signing.key"

    @property
    def jobs_path(self) -> Path:
        """The database of the job engine, apart from memory's."""
        return self.data_dir / "jobs.db"

    @property
    def shelf_path(self) -> Path:
        """What callers and operators set up: webhooks with their secrets, schedules, quotas."""
        return self.data_dir / "shelf.db"

    @property
    def keys_path(self) -> Path:
        """Hashed API keys."""
        return self.data_dir / "keys.json"

    @property
    def key_use_path(self) -> Path:
        """When keys were used last."""
        return self.data_dir / "keys.used.json"

    @property
    def mcp_known_path(self) -> Path:
        """What MCP servers said of their tools when these were first seen, or accepted."""
        return self.data_dir / "mcp_known.json"

    @property
    def operator_key_path(self) -> Path:
        """The secret of the first operator key, made when a server starts without any key."""
        return self.data_dir / "operator.key"

    @property
    def adapters_dir(self) -> Path:
        """The adapter registry."""
        return self.data_dir / "adapters"

    @property
    def suites_path(self) -> Path:
        """The declared suites of the gate, by namespace."""
        return self.data_dir / "suites.json"

    @property
    def distillations_dir(self) -> Path:
        """One folder per distillation."""
        return self.data_dir / "distillations"
