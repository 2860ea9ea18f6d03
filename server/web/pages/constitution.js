// The constitution: the principles in force with what they are worth, its versions, and forms to take away.
import {
  STATES,
  act,
  asked,
  badge,
  change,
  choice,
  effect,
  el,
  facts,
  field,
  keep,
  link,
  notice,
  page,
  percent,
  plural,
  section,
  short,
  soft,
  table,
  when,
} from "../parts.js";
import { empty } from "../dom.js";

const TRIED = { trial: "on trial", active: "in force" };
const FORMS = [
  ["Markdown", "markdown", "constitution.md"],
  ["AGENTS.md", "agents", "AGENTS.md"],
  ["System prompt", "system", "system-prompt.md"],
  ["JSON", "json", "constitution.json"],
];
const VERSIONS = 50;

export async function show(main, { query, api, signal }) {
  const family = new URLSearchParams(query).get("family") ?? "";
  const get = (path, asking) => api.get(path, asking, { signal });
  const parts = [];
  const again = () => Promise.all(parts.map((one) => one.reload()));
  const restored = el("div", { role: "status" });
  parts.push(
    section("Principles, as agents are shown them", async () => {
      const [held, lifts] = await Promise.all([
        get("/v1/constitution", family ? { family } : {}),
        get("/v1/lifts", { kind: "principle" }),
      ]);
      return [narrowing(family), summary(held), ...principles(held, lifts.data), adding(api, again)];
    }),
    section("Take it away", async () => exporting(api, family)),
    section("Versions", async () =>
      versions(api, (await get("/v1/constitution/versions", { limit: VERSIONS })).data, again, restored),
    ),
  );
  await page(
    main,
    [
      el("h1", {}, "Constitution"),
      soft(
        "Rules that go into every prompt. A rule on trial is shown to some episodes by a coin, and judged by how they end.",
      ),
    ],
    ...parts,
  );
}

function narrowing(family) {
  const input = el("input", { name: "family", value: family });
  return el(
    "form",
    {
      class: "filters",
      "aria-label": "Narrow",
      on: {
        submit: (event) => {
          event.preventDefault();
          location.hash = input.value
            ? `#/constitution?${new URLSearchParams({ family: input.value })}`
            : "#/constitution";
        },
      },
    },
    field("Site or family", input, "What holds there; empty: all of it"),
    el("button", { type: "submit" }, "Show"),
  );
}

function summary(held) {
  return facts([
    ["Version", el("code", {}, held.version)],
    ["Principles", String(held.principles.length)],
    ["Tokens", `about ${held.tokens}`],
    ["Left out", held.dropped.length ? plural(held.dropped.length, "principle") : null],
  ]);
}

function principles({ principles: held, dropped }, lifts) {
  if (!held.length && !dropped.length) {
    return [
      empty(
        "No principle is in force yet. Agents write some as they work; an operator's holds at once:",
        'apprentice memory add --kind principle "close what you open"',
      ),
    ];
  }
  const measured = new Map(lifts.map((one) => [one.item, one]));
  const list = el("ol", { class: "principles" }, ...held.map((one) => principle(one, measured.get(one.id))));
  const out = dropped.map((one) => [
    link(`#/memory/${one.item}`, short(one.item)),
    one.reason,
    one.by ? link(`#/memory/${one.by}`, short(one.by)) : "–",
  ]);
  return [list, ...(out.length ? [table("Not shown", ["Principle", "Because", "In favour of"], out)] : [])];
}

function principle(item, lift) {
  const { tier, builder, support, violations, confidence } = item.body;
  const seen = support + violations;
  const borne = seen
    ? `${support} of ${seen} occasions bear it out${confidence == null ? "" : ` (${percent(confidence)})`}`
    : "Nothing was counted";
  const badges = [
    badge(TRIED[item.status] ?? item.status, STATES[item.status] ?? ""),
    badge(tier === "global" ? "everywhere" : (item.family ?? tier)),
    badge(`by ${builder}`),
    ...(item.pinned ? [badge("pinned", "good")] : []),
  ];
  return el(
    "li",
    {},
    el("p", { class: "rule" }, link(`#/memory/${item.id}`, item.text)),
    el("p", { class: "badges" }, ...badges),
    el(
      "p",
      {},
      lift
        ? effect(lift.mean, lift.low, lift.high, lift.n)
        : el("span", { class: "soft" }, "No coin has decided about it."),
      el(
        "span",
        { class: "soft" },
        `${lift ? ". " : " "}${borne}; ${plural(item.lineage.evidence.length, "piece")} of evidence.`,
      ),
    ),
  );
}

function adding(api, again) {
  const text = el("textarea", { name: "text", rows: "3" });
  const family = el("input", { name: "family" });
  return asked("Add a principle…", {
    title: "Add a principle",
    text: "An operator's is in force at once; anybody else's goes on trial. You can retire it from its page.",
    body: () => [field("Rule", text), field("Site or family", family, "Only there; empty: everywhere")],
    verb: "Add",
    work: async () => {
      const place = family.value ? { family: family.value, scope: "family" } : {};
      await api.post("/v1/memory", { items: [{ kind: "principle", text: text.value, ...place }] });
      text.value = "";
      await again();
    },
  });
}

function exporting(api, family) {
  const narrowed = family ? { family } : {};
  const made = FORMS.map(([label, format, name]) =>
    act(label, async () => keep(await api.blob("/v1/constitution", { format, ...narrowed }), name)),
  );
  const bundle = act("Signed bundle", async () =>
    keep(await api.blob("/v1/constitution/bundle", narrowed), "constitution.tar"),
  );
  return [
    soft(
      "For people, for other agents, or with its signature for another Apprentice (",
      el("code", {}, "apprentice memory import"),
      ").",
    ),
    el("p", { class: "actions" }, ...made, bundle),
  ];
}

function versions(api, found, again, restored) {
  if (!found.length)
    return empty(
      "Nothing has ever been in force. What agents propose is listed here as it changes:",
      "apprentice constitution versions",
    );
  const rows = found.map((one) => [
    el("code", {}, short(one.id, 22)),
    one.frozen ? badge(one.family ? `frozen for ${one.family}` : "frozen", "good") : one.change,
    el("code", {}, one.principal),
    when(one.at),
    String(one.principles.length),
    one.frozen ? "" : rolling(api, one, again, restored),
  ]);
  return [
    comparing(api, found),
    freezing(api, again),
    restored,
    table("Versions, newest first", ["Version", "Change", "By", "When", "Principles", "Actions"], rows),
  ];
}

function comparing(api, found) {
  const ids = found.map((one) => one.id);
  const named = found.map((one) => [one.id, `${one.id} (${one.frozen ? "frozen" : one.change})`]);
  const from = choice("From", "from", named, ids[1] ?? ids[0], null);
  const to = choice("To", "to", named, ids[0], null);
  const shown = el("div", { role: "status" });
  const compare = act("Compare", async () => {
    const span = { from_version: from.querySelector("select").value, to_version: to.querySelector("select").value };
    const { data } = await api.get("/v1/constitution/diff", span);
    shown.replaceChildren(...(data.length ? data.map(differing) : [soft("They hold the same.")]));
  });
  return el(
    "form",
    { class: "filters", "aria-label": "Compare versions", on: { submit: (event) => event.preventDefault() } },
    from,
    to,
    compare,
    shown,
  );
}

function differing(one) {
  const fields = one.fields.length
    ? one.fields.map((field) => change(field.field, field.before, field.after))
    : [change(one.before == null ? "came" : "went", one.before, one.after)];
  return el(
    "div",
    {},
    el("p", {}, link(`#/memory/${one.item}`, short(one.after ?? one.before ?? one.item, 100))),
    ...fields,
  );
}

function freezing(api, again) {
  const family = el("input", { name: "family" });
  return asked("Freeze this version…", {
    title: "Freeze the constitution",
    text: "Tasks that name the frozen version are served it as it is now, whatever is learned meanwhile. Nothing else changes.",
    body: () => [field("Site or family", family, "Only what holds there; empty: all of it")],
    verb: "Freeze",
    work: async () => {
      await api.post("/v1/constitution/freeze", { family: family.value || null });
      await again();
    },
  });
}

function rolling(api, one, again, restored) {
  return asked("Roll back…", {
    title: "Roll the constitution back?",
    text: [
      `Every principle will stand again as it stood at ${one.id}. Cases, notes and the like stay as they are.`,
      "A button above the table then takes it back, for all of memory as it stood before.",
    ],
    verb: "Roll back",
    danger: true,
    work: async () => {
      const made = await api.post("/v1/constitution/rollback", { version: one.id });
      restored.replaceChildren(
        notice(`${plural(made.changed.length, "principle")} changed, ${made.retired.length} retired.`, "info"),
        act("Take it back", async () => {
          await api.post("/v1/memory/restore", { seq: made.undo_seq });
          restored.replaceChildren();
          await again();
        }),
      );
      await again();
    },
  });
}
