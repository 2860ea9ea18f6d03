// Learning: the curve with its control arm, what memory is worth, whether it still learns and what waits.
import {
  act,
  badge,
  choice,
  el,
  facts,
  field,
  link,
  number,
  page,
  plural,
  section,
  signed,
  soft,
  table,
  when,
} from "../parts.js";
import { bars, lines } from "../chart.js";
import { empty } from "../dom.js";

const ARMS = { memory: "with memory", control: "control: held out by the coin", unshown: "shown nothing by its mode" };
const MODES = ["learn", "frozen", "shadow", "off"];

export async function show(main, { query, api, signal }) {
  const family = new URLSearchParams(query).get("family") ?? "";
  const get = (path, asking) => api.get(path, asking, { signal });
  await page(
    main,
    [el("h1", {}, "Learning")],
    section("The curve", async () => [
      narrowing(family),
      ...curve(await get("/v1/learning/curve", family ? { family } : {})),
    ]),
    section("What memory is worth", async () => worth((await get("/v1/policies")).data)),
    section("Does it still learn?", async (reload) => {
      const [learning, dials] = await Promise.all([get("/v1/health/learning"), get("/v1/dials")]);
      return [pulse(learning), canary(api, learning.canary, reload), mode(api, dials, reload)];
    }),
    section("What waits", async () => waiting((await get("/v1/jobs", { kind: "learn", limit: 20 })).data)),
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
          location.hash = input.value ? `#/learning?${new URLSearchParams({ family: input.value })}` : "#/learning";
        },
      },
    },
    field("Site or family", input),
    el("button", { type: "submit" }, "Show"),
  );
}

function curve({ data, episodes }) {
  if (!data.length) {
    return [
      empty(
        episodes
          ? `${plural(episodes, "episode")}, none with a known outcome. Say how one went:`
          : "No episode yet. Set a task and let it be learned from:",
        episodes ? "apprentice task feedback TASK success" : "apprentice task run --site 'maple 27'",
      ),
    ];
  }
  const arms = Object.keys(ARMS).filter((arm) => data.some((point) => point.arm === arm));
  const series = (value, low, high) =>
    arms.map((arm) => ({
      name: ARMS[arm],
      points: data
        .filter((point) => point.arm === arm)
        .map((point) => ({
          x: (point.first + point.last) / 2,
          y: point[value],
          ...(low ? { low: point[low], high: point[high] } : {}),
        })),
    }));
  const control = arms.includes("control")
    ? []
    : [
        soft(
          "There is no control arm: a share of episodes that is shown nothing tells what memory adds. ",
          el("code", {}, "APPRENTICE_RECALL_HOLD_OUT=0.1"),
          " holds out a tenth.",
        ),
      ];
  return [
    lines(series("success", "low", "high"), {
      x: "episodes",
      y: "share that succeeded",
      title: "Success by block of episodes, with 95 % intervals",
    }),
    lines(series("steps"), { x: "episodes", y: "steps", title: "Steps by block of episodes" }),
    soft(`The newest ${plural(episodes, "episode")}; those without a known outcome are left out.`),
    ...control,
  ];
}

function worth(policies) {
  if (!policies.length) {
    return empty(
      "No coin was tossed, so nothing tells what memory adds. Hold a share of recalls out, then set tasks:",
      "APPRENTICE_RECALL_HOLD_OUT=0.1 apprentice serve",
    );
  }
  const name = (one) => (one.policy === "nothing" ? "nothing (control)" : one.policy);
  const rows = policies.map((one) => [
    name(one),
    String(one.n),
    number(one.value),
    `${number(one.low)} to ${number(one.high)}`,
    one.lift.n ? `${signed(one.lift.mean)} (${signed(one.lift_low)} to ${signed(one.lift_high)})` : "compared with",
  ]);
  const clamp = (value) => Math.max(0, Math.min(1, value));
  return [
    bars(
      policies.map((one) => ({ name: name(one), value: clamp(one.value), low: one.low, high: one.high })),
      { title: "Mean reward if all episodes were read so" },
    ),
    table("By the coins", ["Read by", "Episodes", "Mean reward", "95 % interval", "Adds"], rows),
    soft(
      "By inverse propensity: while episodes are few the estimate may lie outside 0 to 1. The intervals hold whenever one looks.",
    ),
  ];
}

function pulse(told) {
  const ago = (at) => (at ? when(at) : "never");
  const spent = told.spent_today;
  return facts([
    ["Mode", told.mode],
    ["Last episode", ago(told.last_episode_at)],
    ["Last learned from", ago(told.last_reflection_at)],
    ["Last promotion", ago(told.last_promotion_at)],
    ["Last fall", ago(told.last_retirement_at)],
    ["Last distillation", ago(told.last_distillation_at)],
    [
      "Waiting",
      `${plural(told.waiting, "episode")}${told.oldest_waiting_s == null ? "" : `, the first for ${Math.round(told.oldest_waiting_s)} s`}`,
    ],
    [
      "Tokens today",
      `${spent.work} at work, ${spent.learning} on learning${told.tokens_day == null ? "" : ` of ${told.tokens_day}`}`,
    ],
    ["Bound", told.is_spent ? badge("used up: counters alone go on", "warn") : null],
  ]);
}

function canary(api, report, reload) {
  const stages = report?.seconds
    ? Object.entries(report.seconds)
        .map(([stage, s]) => `${stage} ${number(s, 3)} s`)
        .join(", ")
    : "";
  const said = report
    ? el(
        "p",
        {},
        badge(report.ok ? "came through" : `lost at ${report.failed}`, report.ok ? "good" : "bad"),
        " ",
        when(report.at),
        `. ${report.reason || stages}`,
      )
    : soft("No canary lesson has come back yet.");
  return el(
    "div",
    {},
    el("h3", {}, "The canary"),
    soft("A made-up lesson sent through the whole path: task, reflection, memory, recall."),
    said,
    act("Send one now", async () => {
      await api.post("/v1/health/learning/canary");
      await reload();
    }),
  );
}

function mode(api, dials, reload) {
  const chosen = choice("For requests that do not say", "mode", MODES, dials.mode, "as the server's setting says");
  return el(
    "div",
    {},
    el("h3", {}, "Mode"),
    soft("learn: shown and learned from; frozen: shown alone; shadow: learned from and not shown; off: neither."),
    el(
      "form",
      { class: "filters", "aria-label": "Mode", on: { submit: (event) => event.preventDefault() } },
      chosen,
      act("Turn", async () => {
        await api.patch("/v1/dials", { mode: chosen.querySelector("select").value || null });
        await reload();
      }),
    ),
  );
}

function waiting(jobs) {
  const open = jobs.filter((job) => job.ended_at == null || job.state === "failed");
  if (!open.length) return empty("Nothing waits and nothing failed.");
  return [
    table(
      "Episodes to be learned from",
      ["Episode", "State", "Since", "Error"],
      open.map((job) => [
        link(`#/episodes/${job.id}`, job.id),
        badge(job.state, job.state === "failed" ? "bad" : "warn"),
        when(job.created_at),
        job.error ?? "–",
      ]),
    ),
    soft("Failed ones are tried again in ", link("#/settings", "Settings"), ", under jobs."),
  ];
}
