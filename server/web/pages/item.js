// One item of memory: what it says, what it is worth, where it is from, what was changed, what rests on it.
import {
  STATES,
  act,
  asked,
  badge,
  effect,
  el,
  facts,
  field,
  link,
  number,
  page,
  plural,
  section,
  short,
  signed,
  soft,
  when,
} from "../parts.js";
import { history, rests } from "./changes.js";

export const FATES = {
  kept: "shown",
  floor: "not near enough",
  duplicate: "another says it already",
  cap: "enough failures are shown",
  principal: "enough of one principal is shown",
  budget: "no tokens were left",
  limit: "others are nearer or worth more",
  status: "not in force",
  held_out: "held out by the coin",
  shadow: "nothing is shown in this mode",
};

/** The page `#/memory/<id>`. */
export async function showItem(main, { args, query, api, signal }) {
  const id = args[0];
  const get = (path, query) => api.get(path, query, { signal });
  const parts = [];
  const again = () => Promise.all(parts.map((one) => one.reload()));
  parts.push(
    section("What it says", async () => {
      const item = await get(`/v1/memory/${id}`);
      return [said(item), actions(api, item, again)];
    }),
    section("What it is worth", async () => {
      const [item, lifts] = await Promise.all([get(`/v1/memory/${id}`), get("/v1/lifts", { item: id })]);
      return worth(item, lifts.data[0]);
    }),
    section("Why was it recalled, or not?", async () => why(api, await get(`/v1/memory/${id}`), signal, query.get("query"))),
    section("Where it is from", async () => origin(await get(`/v1/memory/${id}`))),
    section("History", async () => history(api, id, (await get(`/v1/memory/${id}/history`)).data, again)),
    section("What rests on it", async () => {
      const [item, made] = await Promise.all([get(`/v1/memory/${id}`), get("/v1/adapters", { item: id })]);
      return rests(api, item, made.data, again);
    }),
  );
  const back = el("p", {}, link("#/memory", "All items"));
  await page(main, [back, el("h1", {}, "An item of memory")], ...parts);
}

function said(item) {
  const badges = [
    badge(item.status, STATES[item.status] ?? ""),
    badge(item.kind),
    badge(item.family ?? item.scope),
    badge(`version ${item.version}`),
    ...(item.pinned ? [badge("pinned", "good")] : []),
  ];
  return el(
    "div",
    {},
    el("p", { class: "quote" }, item.text),
    el("p", { class: "badges" }, ...badges),
    facts([
      ["Outcome", item.outcome],
      ...Object.entries(item.body).map(([name, value]) => [named(name), shown(value)]),
      ["Holds until", item.valid_to && when(item.valid_to)],
      ["In its place", item.superseded_by && link(`#/memory/${item.superseded_by}`, short(item.superseded_by))],
      ["Id", el("code", {}, item.id)],
    ]),
  );
}

function named(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}

function shown(value) {
  if (value == null || (Array.isArray(value) && !value.length)) return null;
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) {
    return el("ol", {}, ...value.map((one) => el("li", {}, one)));
  }
  if (typeof value === "object") return el("pre", {}, JSON.stringify(value, null, 2));
  return String(value);
}

function actions(api, item, again) {
  const patch = async (body) => {
    await api.patch(`/v1/memory/${item.id}`, { expect_version: item.version, ...body });
    await again();
  };
  const made = [editing(item, patch), act(item.pinned ? "Unpin" : "Pin", () => patch({ pinned: !item.pinned }))];
  if (item.status === "quarantined") {
    made.push(
      asked("Release…", {
        title: "Release from quarantine?",
        text: "It is on trial or in force again and may be recalled. Its test begins anew; you can undo this.",
        verb: "Release",
        work: () => patch({ status: item.kind === "principle" ? "trial" : "active" }),
      }),
    );
  } else if (item.status !== "retired") {
    made.push(
      asked("Quarantine…", {
        title: "Put it in quarantine?",
        text: "It is recalled no more, and what says the same does not come back by itself. You can release it.",
        verb: "Quarantine",
        work: () => patch({ status: "quarantined" }),
      }),
    );
  }
  if (item.status !== "retired") made.push(retiring(api, item, again));
  return el("p", { class: "actions" }, ...made);
}

function editing(item, patch) {
  const text = el("textarea", { name: "text", rows: "5" }, item.text);
  return asked("Edit…", {
    title: "Edit the item",
    text: `This makes version ${item.version + 1}. Version ${item.version} stays in its history, and you can undo the change.`,
    body: () => [field("Text", text)],
    verb: "Save",
    work: () => patch({ text: text.value }),
  });
}

function retiring(api, item, again) {
  return asked("Retire…", {
    title: "Retire it?",
    text: "It is recalled no more. Its history stays, and you can undo this from there.",
    verb: "Retire",
    danger: true,
    work: async () => {
      await api.del(`/v1/memory/${item.id}`);
      await again();
    },
  });
}

function worth({ utility }, lift) {
  const mean = utility.n ? number(utility.reward_sum / utility.n) : null;
  const measured = lift
    ? el(
        "span",
        {},
        effect(lift.mean, lift.low, lift.high, lift.n),
        soft(
          `Held out in ${lift.n_held} of them. The interval holds at 95 %, whenever one looks; drawn to its kind: ${signed(lift.shrunk)}.`,
        ),
      )
    : el(
        "span",
        { class: "soft" },
        "No coin has decided about it. APPRENTICE_RECALL_DROP_RATE=0.1 leaves a tenth of what is recalled out, and measures.",
      );
  return facts([
    ["Lift", measured],
    ["In view", `${plural(utility.n, "episode")}${mean ? `, mean reward ${mean}` : ""}`],
    [
      "Held out",
      utility.held_out_n
        ? `${plural(utility.held_out_n, "episode")}, mean reward ${number(utility.held_out_reward_sum / utility.held_out_n)}`
        : null,
    ],
    ["Running value", utility.n ? number(utility.q) : null],
    ["Last used", utility.last_used_at && when(utility.last_used_at)],
    ["Read on demand", utility.fetched ? String(utility.fetched) : null],
  ]);
}

function why(api, item, signal, asked) {
  const answer = el("div", { role: "status" });
  const text = el("input", { type: "search", name: "question", required: true, value: asked ?? item.body.task ?? "" });
  const ask = act("Explain", async () => {
    if (!text.reportValidity()) return;
    const { candidates } = await explain(api, text.value, item.family, [item.kind], signal);
    answer.replaceChildren(fate(candidates, item));
  });
  if (asked) setTimeout(() => ask.querySelector("button").click());
  return el(
    "form",
    {
      class: "filters",
      "aria-label": "Explain",
      on: {
        submit: (event) => {
          event.preventDefault();
          ask.querySelector("button").click();
        },
      },
    },
    field("For this task or question", text),
    ask,
    answer,
  );
}

/** Every candidate of a recall; `kinds` adds to what recall looks among. */
export function explain(api, query, family, kinds, signal) {
  const among = kinds && { kinds: [...new Set(["case", "procedure", "tool_note", ...kinds])] };
  return api.post("/v1/memory/search", { query, family: family || null, explain: true, ...among }, { signal });
}

/** Where an item stood among the candidates of a recall, with the parts of its score. */
export function fate(candidates, item) {
  const place = candidates.findIndex((one) => one.item.id === item.id);
  if (place < 0) {
    const reason = ["active", "trial"].includes(item.status)
      ? "neither its words nor its meaning are near enough to be looked at, or it is out of reach there"
      : `it is ${item.status}, and only what is in force is looked at`;
    return el("p", {}, badge("not a candidate"), ` ${reason}.`);
  }
  const { score, fate: why, chance, tokens } = candidates[place];
  const verdict = why === "kept" ? badge("recalled", "good") : badge("not recalled");
  return el(
    "div",
    {},
    el("p", {}, verdict, ` ${FATES[why] ?? why}; number ${place + 1} of ${candidates.length} candidates.`),
    facts([
      ["Score", number(score.total)],
      ["Nearness of meaning", number(score.dense)],
      ["Words in common", `${number(score.lexical)}, covering ${number(score.coverage)} of the question`],
      ["Both together", number(score.fused)],
      ["Worth", number(score.utility)],
      ["Freshness", number(score.recency)],
      ["Like what is shown already", number(score.diversity)],
      ["Reranked", score.rerank == null ? null : number(score.rerank)],
      ["Chance of being drawn", chance < 1 ? number(chance) : null],
      ["Tokens", tokens ? String(tokens) : null],
    ]),
  );
}

function origin(item) {
  const { evidence, items, source } = item.lineage;
  const seen = [...new Map(evidence.map((one) => [`${one.episode}/${one.message}`, one])).values()];
  return facts([
    ["Written by", el("code", {}, item.author)],
    ["Came through", `${item.channel}, trust ${item.trust} of 4`],
    ["Source", source && el("code", {}, source)],
    [
      "Seen in",
      seen.length
        ? el(
            "ul",
            {},
            ...seen.map((one) =>
              el("li", {}, link(`#/episodes/${one.episode}`, short(one.episode, 30)), `, message ${one.message}`),
            ),
          )
        : "no episode",
    ],
    [
      "Made of",
      items.length ? el("ul", {}, ...items.map((one) => el("li", {}, link(`#/memory/${one}`, short(one, 30))))) : null,
    ],
    ["Opposite seen in", item.body.against?.length ? `${item.body.against.length} episodes` : null],
    ["First written", when(item.created_at)],
    ["Last changed", when(item.updated_at)],
  ]);
}
