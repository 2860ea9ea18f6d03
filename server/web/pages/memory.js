// Memory: what is remembered, found by words or asked for as an agent would; one item with all that is known of it.
import {
  STATES,
  act,
  asked,
  badge,
  choice,
  el,
  field,
  link,
  number,
  page,
  paged,
  section,
  short,
  soft,
  table,
  when,
} from "../parts.js";
import { empty } from "../dom.js";
import { FATES, explain, showItem } from "./item.js";

const KINDS = ["case", "principle", "procedure", "tool_note", "tool", "flow", "policy", "safety", "profile"];
const STATUSES = ["draft", "trial", "active", "quarantined", "retired"];
const SCOPES = ["run", "family", "team", "namespace", "global"];
const PAGE = 25;
const NEAREST = 12;
export async function show(main, context) {
  return context.args.length ? showItem(main, context) : showAll(main, context);
}

async function showAll(main, { query, api, signal }) {
  const wanted = Object.fromEntries(new URLSearchParams(query));
  const list = section("Items", async (reload) => [
    filters(wanted),
    await paged(
      (after) => api.get("/v1/memory", { ...filled(wanted), newest: true, limit: PAGE, after }, { signal }),
      (found) => items(found.data, wanted),
    ),
    el("p", { class: "actions" }, remembering(api, reload)),
  ]);
  const question = section("Ask as an agent does", async () => [
    soft("What would be recalled for a task or question, what would not, and why. Nothing is changed by asking."),
    questions(api, signal, wanted),
  ]);
  await page(main, [el("h1", {}, "Memory")], list, question);
}

function filters(wanted) {
  const form = el(
    "form",
    {
      class: "filters",
      "aria-label": "Filter items",
      on: {
        submit: (event) => {
          event.preventDefault();
          const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
          location.hash = `#/memory?${new URLSearchParams(given)}`;
        },
      },
    },
    field("Words", el("input", { type: "search", name: "words", value: wanted.words ?? "" })),
    choice("Kind", "kind", KINDS, wanted.kind),
    choice("Status", "status", STATUSES, wanted.status),
    choice("Scope", "scope", SCOPES, wanted.scope),
    field("Family", el("input", { name: "family", value: wanted.family ?? "" })),
    el("button", { type: "submit" }, "Filter"),
  );
  return form;
}

function filled(wanted) {
  return Object.fromEntries(
    ["words", "kind", "status", "scope", "family"].filter((one) => wanted[one]).map((one) => [one, wanted[one]]),
  );
}

function items(data, wanted) {
  if (!data.length) {
    return Object.keys(filled(wanted)).length
      ? empty("Nothing fits this filter. All items:", "apprentice memory list")
      : empty(
          "Nothing is remembered yet. Give the agent a task, or tell it something:",
          'apprentice memory add "the ladder is in the shed"',
        );
  }
  return table(
    "Items, newest first",
    ["Text", "Kind", "Status", "Where", "In view", "Lift", "Changed"],
    data.map((item) => [
      link(`#/memory/${item.id}`, short(item.text, 110)),
      item.kind,
      el("span", {}, badge(item.status, STATES[item.status] ?? ""), item.pinned ? " pinned" : ""),
      item.family ?? item.scope,
      String(item.utility.n),
      item.utility.lift?.n ? number(item.utility.lift.mean) : "–",
      when(item.updated_at),
    ]),
  );
}

function remembering(api, reload) {
  const text = el("textarea", { name: "text", rows: "3" });
  const kind = choice("Kind", "kind", ["tool_note", "principle", "procedure", "profile"], "tool_note", null);
  const family = el("input", { name: "family" });
  return asked("Remember something…", {
    title: "Remember something",
    text: "It is kept with your name and trusted as your key is. You can undo it from its page.",
    body: () => [field("Text", text), kind, field("Family", family, "Only there; empty: everywhere")],
    verb: "Remember",
    work: async () => {
      const chosen = kind.querySelector("select").value;
      const place = family.value ? { family: family.value, scope: "family" } : {};
      await api.post("/v1/memory", { items: [{ kind: chosen, text: text.value, ...place }] });
      text.value = "";
      await reload();
    },
  });
}

function questions(api, signal, wanted) {
  const found = el("div", { role: "status" });
  const text = el("input", { type: "search", name: "question", required: true });
  const family = el("input", { name: "family", value: wanted.family ?? "" });
  const ask = act("Ask", async () => {
    if (!text.reportValidity()) return;
    const answer = await explain(api, text.value, family.value, undefined, signal);
    found.replaceChildren(candidates(answer));
  });
  const form = el(
    "form",
    {
      class: "filters",
      "aria-label": "Ask memory",
      on: {
        submit: (event) => {
          event.preventDefault();
          ask.querySelector("button").click();
        },
      },
    },
    field("Task or question", text),
    field("Family", family, "The site it is at, if any"),
    ask,
  );
  return el("div", {}, form, found);
}

function candidates({ candidates: all, encoder, log_seq: seq }) {
  if (!all.length) return empty("No item is a candidate for this. What there is:", "apprentice memory list");
  const rows = all.map(({ item, score, fate }) => [
    el(
      "span",
      {},
      badge(fate === "kept" ? "recalled" : "not recalled", fate === "kept" ? "good" : ""),
      ` ${FATES[fate] ?? fate}`,
    ),
    link(`#/memory/${item.id}`, short(item.text, 90)),
    number(score.total),
    number(score.dense),
    number(score.lexical),
    number(score.utility),
  ]);
  const heads = ["Fate", "Item", "Score", "Nearness", "Words", "Worth"];
  const rest = rows.slice(NEAREST);
  return el(
    "div",
    {},
    table("Candidates, best first", heads, rows.slice(0, NEAREST)),
    rest.length > 0 &&
      el("details", {}, el("summary", {}, `${rest.length} more`), table("Further candidates", heads, rest)),
    soft(`By ${encoder}, at log position ${seq}.`),
  );
}
