// Distillations: what was made of the memory, how the four arms did, which adapter serves and who let it.
import {
  STATES,
  asked,
  badge,
  el,
  facts,
  field,
  link,
  page,
  paged,
  percent,
  plural,
  progress,
  section,
  short,
  soft,
  table,
  when,
} from "../parts.js";
import { empty } from "../dom.js";
import { showOne } from "./distillation.js";

const PAGE = 20;

export async function show(main, context) {
  return context.args.length ? showOne(main, context) : showAll(main, context);
}

async function showAll(main, { api, signal }) {
  const get = (path, query) => api.get(path, query, { signal });
  const parts = [];
  const again = () => Promise.all(parts.map((one) => one.reload()));
  parts.push(
    section("Distillations", async () => [
      await paged(
        (after) => get("/v1/distillations", { limit: PAGE, after }),
        (found) => listed(found.data),
      ),
      el("p", { class: "actions" }, starting(api), dry(api)),
    ]),
    section("Adapters", async () => adapters((await get("/v1/adapters")).data, api, again)),
    section("What they are judged on", async () => suites(await get("/v1/suites"))),
  );
  await page(
    main,
    [
      el("h1", {}, "Distillations"),
      soft(
        "Memory turned into weights, offline. A gate compares four arms on tasks that memory has never seen, and decides.",
      ),
    ],
    ...parts,
  );
}

function listed(data) {
  if (!data.length) {
    return empty(
      "Nothing has been distilled yet. See first what a recipe would make of this memory:",
      "apprentice distill --dry-run",
    );
  }
  return table(
    "Distillations, newest first",
    ["Distillation", "Recipe", "State", "Verdict", "Begun"],
    data.map((one) => [
      link(`#/distillations/${one.id}`, short(one.id, 26)),
      one.recipe,
      standing(one),
      verdict(one),
      when(one.created_at),
    ]),
  );
}

export function standing({ state, progress: told }) {
  const shown = badge(state, STATES[state] ?? "");
  if (state !== "running" || !told) return shown;
  const share = told.total ? told.done / told.total : 0;
  return el("span", {}, shown, " ", told.stage, " ", progress(share, `${told.stage}: ${percent(share)}`));
}

export function verdict({ report, error }) {
  if (error) return error;
  if (!report) return "–";
  if (report.dry_run) return "a dry run";
  return el(
    "span",
    {},
    badge(report.promoted ? "promoted" : "kept out", report.promoted ? "good" : "bad"),
    ` ${report.promoted ? "" : (report.reason ?? "")}`,
  );
}

function starting(api) {
  const recipe = el("input", { name: "recipe", value: "step" });
  const base = el("input", { name: "base" });
  const promote = el("input", { type: "checkbox", name: "promote", checked: "" });
  return asked("Distil…", {
    title: "Distil this memory",
    text: "An adapter is trained beside the server and judged on the declared suites. It takes minutes and can be cancelled; what serves now stays, unless the gate promotes.",
    body: () => [
      field("Recipe", recipe),
      field("Base", base, "Empty: the server's default"),
      field("Promote when the gate says so", promote),
    ],
    verb: "Distil",
    work: async () => {
      const made = await api.post("/v1/distillations", {
        recipe: recipe.value,
        base: base.value || null,
        promote: promote.checked,
      });
      location.hash = `#/distillations/${made.id}`;
    },
  });
}

function dry(api) {
  const recipe = el("input", { name: "recipe", value: "step" });
  const base = el("input", { name: "base" });
  return asked("Dry run…", {
    title: "What would be learned?",
    text: "Only the dataset is made: what is kept, masked and rejected, and why. Nothing is trained and nothing changes.",
    body: () => [field("Recipe", recipe), field("Base", base, "Empty: the server's default")],
    verb: "Look",
    work: async () => {
      const made = await api.post("/v1/distillations", {
        recipe: recipe.value,
        base: base.value || null,
        dry_run: true,
      });
      location.hash = `#/distillations/${made.id}`;
    },
  });
}

function adapters(data, api, again) {
  if (!data.length)
    return empty(
      "No adapter yet: the base model serves. Declare what to judge on, then distil:",
      "apprentice suites declare --site 'maple 27'",
    );
  const rows = data
    .toReversed()
    .map((one) => [
      el("code", {}, short(one.id, 22)),
      one.manifest.recipe,
      serving(one),
      overriding(one.manifest),
      changing(one, api, again),
    ]);
  return [
    table("Adapters, newest first", ["Adapter", "Recipe", "Serves", "Let in by", "Actions"], rows),
    rollback(data, api, again),
  ];
}

export function serving({ promoted, share, manifest }) {
  if (manifest.blocked) return el("span", {}, badge("blocked", "bad"), ` ${manifest.blocked}`);
  if (promoted) return badge(share < 1 ? `serving ${percent(share)}` : "serving", "good");
  return share ? badge(`canary ${percent(share)}`, "warn") : "no";
}

function overriding({ overrides, gate }) {
  if (overrides?.length) return overrides.map((one) => `${one.by}: ${one.reason}`).join("; ");
  return gate?.promoted ? "the gate" : "nobody";
}

/** What may be done with an adapter; the server refuses the key that asked for its distillation. */
export function changing(one, api, again) {
  if (one.manifest.blocked) return "";
  const made = [];
  if (!one.promoted) made.push(promoting(one, api, again));
  made.push(canary(one, api, again));
  return el("span", { class: "actions" }, ...made);
}

const SECOND = "Who asked for a distillation cannot let its adapter serve: the server wants another operator's key.";

function promoting(one, api, again) {
  const reason = el("textarea", { name: "reason", rows: "2" });
  return asked("Promote…", {
    title: "Let this adapter serve?",
    text: [
      "From now on requests for the promoted model are answered by it. “Roll back” brings the one before back at once.",
      SECOND,
    ],
    body: () =>
      one.manifest.gate?.promoted
        ? []
        : [
            field(
              "Reason",
              reason,
              `The gate kept it out (${one.manifest.gate?.reason ?? "it was not judged"}). The reason is kept with your name.`,
            ),
          ],
    verb: "Promote",
    work: async () => {
      await api.post(`/v1/adapters/${one.id}/promote`, { reason: reason.value });
      await again();
    },
  });
}

function canary(one, api, again) {
  const share = el("input", {
    type: "number",
    name: "share",
    min: "0",
    max: "100",
    step: "1",
    value: String(Math.round(100 * (one.promoted ? 0 : one.share || 0.1))),
  });
  const reason = el("textarea", { name: "reason", rows: "2" });
  if (one.promoted) return "";
  return asked("Canary…", {
    title: "Try it on a share of episodes",
    text: ["The rest is answered as before. A share of 0 ends the trial at once.", SECOND],
    body: () => [
      field("Share, %", share),
      ...(one.manifest.gate?.promoted
        ? []
        : [field("Reason", reason, "The gate kept it out; the reason is kept with your name.")]),
    ],
    verb: "Try",
    work: async () => {
      await api.post(`/v1/adapters/${one.id}/canary`, { share: Number(share.value) / 100, reason: reason.value });
      await again();
    },
  });
}

function rollback(data, api, again) {
  const current = data.find((one) => one.promoted);
  if (!current) return soft("The base model serves; there is nothing to roll back.");
  return asked("Roll back…", {
    title: "Let the adapter before serve again?",
    text: `${current.id} stops serving at once, and the one before it, or the base model, answers. You can promote it again.`,
    verb: "Roll back",
    danger: true,
    work: async () => {
      await api.post("/v1/adapters/rollback");
      await again();
    },
  });
}

function suites({ suites: data, seeds, tasks, by, at }) {
  if (!data.length)
    return empty(
      "No suite is declared, so nothing can be judged. Declare one:",
      "apprentice suites declare --site 'maple 27'",
    );
  return [
    table(
      "Suites",
      ["Name", "Role", "World", "Site", "Tasks"],
      data.map((one) => [one.name, one.role ?? "by its name", one.world, one.site, String(one.n)]),
    ),
    facts([
      ["Seeds", seeds.join(", ")],
      ["Held out of memory", plural(tasks, "task")],
      ["Declared by", by && el("code", {}, by)],
      ["At", at && when(at)],
    ]),
  ];
}
