// One episode: its steps one after the other, what was recalled, what would train, how it went.
import { el, empty, field, notice, table, when } from "../dom.js";
import { STATES, act, badge, facts, link, number, page, paged, plural, section, short, soft } from "../parts.js";
import { legend } from "./masks.js";

export const OUTCOMES = { success: "good", failure: "bad" };
const CAME_OF = 200; // items that are looked through for what an episode taught

export async function show(main, context) {
  return context.args.length ? showOne(main, context) : showAll(main, context);
}

async function showAll(main, { api, query, signal }) {
  const family = query.get("family") ?? "";
  const all = section("Newest first", async () =>
    paged(
      (after) => api.get("/v1/episodes", { limit: 25, newest: true, family, after }, { signal }),
      ({ data }) =>
        data.length
          ? table("Episodes, newest first", ["Task", "Outcome", "World", "Model", "Memory", "Ended"], data.map(line))
          : empty("Nothing was done yet. Set a task:", 'apprentice task run --site "maple 27"'),
    ),
  );
  await page(main, [el("h1", {}, family ? `Episodes of ${family}` : "Episodes")], all);
}

function line(one) {
  return [
    link(`#/episodes/${one.id}`, short(one.task || one.id, 80)),
    badge(one.outcome, OUTCOMES[one.outcome] ?? ""),
    one.family || one.world,
    one.model,
    one.mode,
    one.ended_at ? when(one.ended_at) : "–",
  ];
}

async function showOne(main, { args: [id], api, signal }) {
  const path = `/v1/episodes/${encodeURIComponent(id)}`;
  const episode = await api.get(path, {}, { signal });
  const steps = replay(episode);
  await page(
    main,
    [el("h1", {}, short(episode.task, 120)), summary(episode)],
    section("Steps", async () => steps),
    section("What was recalled", async () => recalled(episode, api, signal)),
    section("What came of it", async () => lineage(episode, api, signal)),
    section("How it went", async () => feedback(path, episode, api)),
  );
}

/** The items that learned from it and the adapters that were trained with it. */
async function lineage(episode, api, signal) {
  const of = { family: episode.family, newest: true, limit: CAME_OF };
  const [{ data: items }, { data: adapters }] = await Promise.all([
    api.get("/v1/memory", of, { signal }),
    api.get("/v1/adapters", { episode: episode.id }, { signal }),
  ]);
  const taught = items.filter((item) => item.lineage.evidence.some((one) => one.episode === episode.id));
  const lines = [
    ...taught.map((one) =>
      el(
        "li",
        {},
        badge(one.status, STATES[one.status] ?? ""),
        ` ${one.kind} `,
        link(`#/memory/${one.id}`, short(one.text, 120)),
      ),
    ),
    ...adapters.map((one) => el("li", {}, "adapter ", el("code", {}, one.id), one.promoted ? " (serving)" : "")),
  ];
  return lines.length
    ? el("ul", { class: "plain" }, lines)
    : soft(
        `No adapter was trained with it, and none of the newest ${plural(items.length, "item")} of ${episode.family || episode.world} learned from it.`,
      );
}

function summary(episode) {
  return facts([
    [
      "Outcome",
      [
        badge(episode.outcome, OUTCOMES[episode.outcome] ?? ""),
        `${episode.outcome_by ? `, says the ${episode.outcome_by}` : ""}${episode.reward == null ? "" : `, reward ${number(episode.reward)}`}`,
      ],
    ],
    ["Error", episode.error],
    [
      "World",
      [
        `${episode.world} `,
        episode.family ? link(`#/episodes?${new URLSearchParams({ family: episode.family })}`, episode.family) : null,
      ].filter(Boolean),
    ],
    ["Model", episode.model + (episode.adapter ? ` + ${episode.adapter}` : "")],
    ["Memory", episode.mode],
    ["Constitution", episode.constitution_version],
    ["Steps", String(episode.steps)],
    ["Tokens", String(episode.usage.prompt_tokens + episode.usage.completion_tokens)],
    [
      "Learning took",
      episode.learning?.calls
        ? `${episode.learning.calls} calls, ${episode.learning.prompt_tokens + episode.learning.completion_tokens} tokens`
        : null,
    ],
    ["Tools shown", episode.tools?.length ? episode.tools.map((one) => one.name).join(", ") : null],
    ["Ended", episode.ended_at ? when(episode.ended_at) : null],
  ]);
}

/** All steps, or one more at a time as they were made. */
function replay(episode) {
  const verdicts = new Map((episode.verdicts ?? []).map((one) => [one.message, one]));
  const lines = episode.messages.map((message, place) => said(message, place, verdicts.get(place), episode));
  const list = el("ol", { class: "steps" }, lines);
  const slider = el("input", { type: "range", min: "1", max: String(lines.length), value: String(lines.length) });
  const at = el("output", {}, `${lines.length} of ${lines.length}`);
  slider.addEventListener("input", () => {
    lines.forEach((line, place) => {
      line.hidden = place >= Number(slider.value);
    });
    at.textContent = `${slider.value} of ${lines.length}`;
  });
  const masked = el("input", { type: "checkbox" });
  const keys = legend();
  keys.hidden = true;
  masked.addEventListener("change", () => {
    list.classList.toggle("masked", masked.checked);
    keys.hidden = !masked.checked;
  });
  return [
    el(
      "div",
      { class: "filters" },
      el("div", {}, field("Replay up to", slider), at),
      field(
        "Show what would train",
        masked,
        episode.outcome === "success"
          ? "As recipe step reads a success: its steps that were not wrong train, the rest is only read."
          : "As recipe step reads it: it is no success, so nothing of it trains.",
      ),
    ),
    keys,
    list,
  ];
}

function said(message, place, verdict, episode) {
  const text =
    typeof message.content === "string"
      ? message.content
      : message.content.map((part) => part.text ?? "[a picture]").join(" ");
  const calls = (message.tool_calls ?? []).filter((call) => !isTold(call, text));
  const isWrong = message.ok === false || verdict?.verdict === "error";
  const trains = message.role === "assistant" && !isWrong && episode.outcome === "success";
  const kind = verdict?.verdict ?? (message.ok === false ? "error" : "");
  return el(
    "li",
    { class: kind },
    el(
      "span",
      { class: "who" },
      `${place} ${message.agent && message.agent !== message.role ? message.agent : message.role}`,
    ),
    message.kind === "memory" && badge("from memory", "warn"),
    kind && badge(kind, { ok: "good", error: "bad" }[kind] ?? "warn"),
    el("div", { class: `piece ${message.kind === "memory" ? "memory" : trains ? "trains" : "context"}` }, text),
    calls.map((call) => el("div", {}, el("code", {}, `${call.name} ${JSON.stringify(call.arguments)}`))),
    verdict?.reason && el("div", { class: "soft" }, verdict.reason),
  );
}

/** Whether the words of a step hold its call already, as those of models without tools do. */
function isTold(call, text) {
  const values = Object.values(call.arguments ?? {});
  return values.length > 0 && values.every((value) => text.includes(String(value)));
}

/** A step of a task, as its events tell it. */
export function step({ step: place, thought, call, observation, ok, verdict }) {
  return el(
    "li",
    { class: ok === false ? "error" : "ok" },
    el("span", { class: "who" }, `step ${place}`),
    verdict && verdict !== "allow" && badge(verdict, "bad"),
    thought && el("div", {}, thought),
    call && el("code", {}, `${call.name} ${JSON.stringify(call.arguments)}`),
    observation && el("div", { class: "soft" }, observation),
  );
}

async function recalled(episode, api, signal) {
  const record = episode.recall;
  if (!record) return soft("Memory was not asked.");
  const shown = record.items.filter((one) => one.shown);
  const held = record.items.filter((one) => !one.shown);
  const lines = await Promise.all(
    shown.map(async (one) => {
      const item = await api.get(`/v1/memory/${one.item}`, {}, { signal }).catch(() => null);
      return el(
        "li",
        {},
        link(`#/memory/${one.item}`, item ? short(item.text, 120) : one.item),
        ` ${item ? item.kind : "is gone"}, score ${number(one.score)}, shown with chance ${number(one.propensity)}, ${one.tokens} tokens`,
      );
    }),
  );
  return [
    soft(`Asked: ${short(record.query.text, 200)}`),
    shown.length ? el("ol", {}, lines) : soft("Nothing was near enough."),
    held.length ? soft(`${held.length} more held out by the coin, to measure what they add.`) : null,
    record.constitution.length ? soft(`${record.constitution.length} principles were in force.`) : null,
  ];
}

function feedback(path, episode, api) {
  const note = el("input", { type: "text" });
  const give = (outcome) => async () => {
    const values = note.value.trim() ? { note: note.value.trim() } : {};
    await api.post(`${path}/feedback`, { outcome, reward: outcome === "success" ? 1 : 0, values });
    known.replaceChildren(notice(`Kept: ${outcome}. It will be learned from.`, "good"));
  };
  const values = Object.entries(episode.feedback ?? {});
  const known = el(
    "div",
    { role: "status" },
    values.length
      ? facts(values.map(([name, value]) => [name, JSON.stringify(value)]))
      : soft("Nobody said anything yet."),
  );
  return [
    known,
    field("Note", note),
    el("div", { class: "actions" }, act("It was right", give("success")), act("It was wrong", give("failure"))),
  ];
}
