// One distillation: how far it is, how the arms did with their intervals, what was kept and masked, row by row.
import {
  asked,
  el,
  facts,
  link,
  number,
  page,
  paged,
  percent,
  plural,
  section,
  short,
  signed,
  soft,
  table,
  told,
  when,
} from "../parts.js";
import { bars } from "../chart.js";
import { empty } from "../dom.js";
import { changing, serving, standing, verdict } from "./distillations.js";
import { legend, row } from "./masks.js";

const ROWS = 5;
const ENDED = new Set(["done", "failed", "cancelled"]);

/** The page `#/distillations/<id>`. */
export async function showOne(main, { args, api, signal }) {
  const id = args[0];
  const path = `/v1/distillations/${id}`;
  const get = (to, query) => api.get(to, query, { signal });
  const parts = [];
  const again = () => Promise.all(parts.map((one) => one.reload()));
  const live = el("div", { role: "status", "aria-live": "polite" });
  let following = false;
  parts.push(
    section("How it stands", async () => {
      const one = await get(path);
      if (!ENDED.has(one.state) && !following) {
        following = true;
        follow(api, path, live, signal, again);
      }
      return [head(one), live, ...(ENDED.has(one.state) ? [] : [cancelling(api, path, again)])];
    }),
    section("Report", async () => {
      const one = await get(path);
      if (one.report?.dry_run) return dryReport(one.report);
      return one.report?.adapter
        ? fullReport(one.report)
        : empty(one.error ? "It ended without a report." : "The report is here when it has ended.");
    }),
    section("Its adapter", async () => adapter(await get(path), (await get("/v1/adapters")).data, api, again)),
    section("Rows, with what trains in colour", async () =>
      ENDED.has((await get(path)).state) ? rows(get, path) : empty("The rows are here when it has ended."),
    ),
  );
  const back = el("p", {}, link("#/distillations", "All distillations"));
  await page(main, [back, el("h1", {}, "A distillation")], ...parts);
}

function head(one) {
  return facts([
    ["State", standing(one)],
    ["Verdict", verdict(one)],
    ["Recipe", one.recipe],
    ["Base", one.base],
    ["Asked for by", one.proposer && el("span", {}, el("code", {}, one.proposer), " (cannot let its adapter serve)")],
    ["In the place of", one.rebuilds && el("code", {}, one.rebuilds)],
    ["Begun", when(one.created_at)],
    ["Ended", one.ended_at && when(one.ended_at)],
    ["Id", el("code", {}, one.id)],
  ]);
}

async function follow(api, path, live, signal, again) {
  try {
    await api.stream(`${path}/events`, {
      signal,
      onEvent: ({ event, data }) => {
        if (event !== "progress") return;
        live.replaceChildren(standing({ state: "running", progress: data }), soft(data.message || data.stage));
      },
    });
    live.replaceChildren();
    await again();
  } catch (error) {
    if (error.name !== "AbortError") live.replaceChildren(told(error));
  }
}

function cancelling(api, path, again) {
  return asked("Cancel…", {
    title: "Stop this distillation?",
    text: "Its process ends and no adapter comes of it. What serves stays. You can start another at any time.",
    verb: "Stop it",
    danger: true,
    work: async () => {
      await api.post(`${path}/cancel`);
      await again();
    },
  });
}

function dryReport({ kept, masked, rejected }) {
  const counts = (of) => Object.entries(of).map(([reason, n]) => [reason, String(n)]);
  const trained = kept.rows.reduce((sum, one) => sum + one.trained, 0);
  const why = counts(rejected.reasons);
  return [
    facts([
      [
        "Kept",
        `${plural(kept.rows.length, "row")} of ${plural(kept.episodes.length, "episode")}, ${plural(trained, "message")} train`,
      ],
      ["Dataset", el("code", {}, short(kept.hash, 20))],
    ]),
    Object.keys(masked).length
      ? table("Masked messages", ["Why", "Messages"], counts(masked))
      : soft("Nothing is masked."),
    why.length ? table("Rejected episodes", ["Why", "Episodes"], why) : soft("No episode is rejected."),
    rejected.episodes.length
      ? el(
          "details",
          {},
          el("summary", {}, "Which ones"),
          table(
            "Rejected",
            ["Episode", "Why"],
            rejected.episodes.map((one) => [link(`#/episodes/${one.episode}`, short(one.episode, 30)), one.reason]),
          ),
        )
      : "",
  ];
}

function fullReport(report) {
  const { dataset, train } = report;
  const suites = Object.entries(report.arms ?? {});
  return [
    ...suites.flatMap(([suite, arms]) => arm(suite, arms)),
    differences(report.difference ?? {}),
    facts([
      [
        "Dataset",
        `${plural(dataset.rows, "row")} of ${plural(dataset.episodes, "episode")}, ${dataset.tokens} tokens train in a pass`,
      ],
      ["Left out", plural(dataset.rejected.length, "episode")],
      [
        "Training",
        `${plural(train.updates, "update")} in ${number(train.seconds, 1)} s; loss ${number(train.first_loss)} to ${number(train.last_loss)}`,
      ],
      ["Seconds a point gained", train.seconds_per_point == null ? null : number(train.seconds_per_point)],
    ]),
    reasons(dataset.rejected),
  ];
}

function arm(suite, arms) {
  const entries = Object.entries(arms);
  const rows = entries.map(([name, one]) => [
    name,
    percent(one.success),
    `${percent(one.ci[0])} to ${percent(one.ci[1])}`,
    number(one.steps, 1),
    String(one.n),
    number(one.violations),
    one.tokens_per_success == null ? "–" : String(Math.round(one.tokens_per_success)),
  ]);
  return [
    bars(
      entries.map(([name, one]) => ({ name, value: one.success, low: one.ci[0], high: one.ci[1] })),
      { title: `Success on ${suite}` },
    ),
    table(`Arms on ${suite}`, ["Arm", "Success", "95 %", "Steps", "Tasks", "Rules broken", "Tokens a success"], rows),
  ];
}

function differences(found) {
  const rows = Object.entries(found).map(([suite, one]) => [
    suite,
    one.role,
    `${signed(one.success)} (${signed(one.ci[0])} to ${signed(one.ci[1])})`,
    String(one.pairs),
    number(one.p, 3),
  ]);
  return rows.length
    ? table("Adapter against base", ["Suite", "Role", "Success", "Pairs", "p"], rows)
    : soft("No suite was run, so nothing is proved.");
}

function reasons(rejected) {
  if (!rejected.length) return "";
  const counts = new Map();
  for (const one of rejected) counts.set(one.reason, (counts.get(one.reason) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).map(([reason, n]) => [reason, String(n)]);
  return table("Why episodes were left out", ["Why", "Episodes"], sorted);
}

function adapter(one, all, api, again) {
  const made = all.find((other) => other.id === one.report?.adapter);
  if (!made) return empty(one.report?.dry_run ? "A dry run makes none." : "There is none yet.");
  const { manifest } = made;
  return [
    facts([
      ["Adapter", el("code", {}, made.id)],
      ["Model", el("code", {}, made.model)],
      ["Serves", serving(made)],
      ["First served", manifest.served_at && when(manifest.served_at)],
      [
        "Let in by",
        manifest.overrides?.length
          ? el("ul", {}, ...manifest.overrides.map((by) => el("li", {}, `${by.by}: ${by.reason}`)))
          : manifest.gate?.promoted
            ? "the gate"
            : "nobody",
      ],
      ["Made of", `${plural(manifest.episodes.length, "episode")}, ${plural(manifest.items.length, "item")} in view`],
    ]),
    changing(made, api, again),
  ];
}

async function rows(get, path) {
  const shown = await paged(
    async (start = 0) => {
      const found = await get(`${path}/rows`, { start, limit: ROWS });
      const next = start + found.data.length;
      return { ...found, next: next < found.total ? next : null };
    },
    (found) => (found.total ? found.data.map(row) : empty("The dataset has no rows.")),
  );
  return [legend(), shown];
}
