// Settings: who one is, what one may use, what runs, who else has a key, and how the parts are.
import {
  STATES,
  act,
  asked,
  badge,
  choice,
  el,
  facts,
  link,
  page,
  paged,
  plural,
  section,
  short,
  soft,
  table,
  when,
} from "../parts.js";
import { empty } from "../dom.js";
import { keys, making, webhooks } from "./access.js";

const JOB_STATES = ["queued", "running", "done", "failed", "cancelled"];
const MAY = {
  operator: "everything in its namespace",
  user: "chats, sets tasks, reads and writes memory",
  agent: "chats, sets tasks, follows those whose ids it was given, and recalls",
  "read-only": "looks at what a user sees and changes nothing",
};

export async function show(main, { query, api, signal }) {
  const wanted = Object.fromEntries(new URLSearchParams(query));
  const get = (path, asking) => api.get(path, asking, { signal });
  await page(
    main,
    [el("h1", {}, "Settings")],
    section("Who am I?", async () => caller(await get("/v1/me"))),
    section("How the parts are", async () => health(get)),
    section("Quotas", async () => quota(await get("/v1/quotas"))),
    section("Jobs", async (reload) => [
      narrowing(wanted),
      await paged(
        (after) => get("/v1/jobs", { ...only(wanted), limit: 20, after }),
        (found) => jobs(found.data, wanted, api, reload),
      ),
    ]),
    section("Schedules", async (reload) => schedules((await get("/v1/schedules")).data, api, reload)),
    section("Webhooks", async (reload) => webhooks((await get("/v1/webhooks")).data, api, reload)),
    section("Keys", async (reload) => [
      await paged(
        (after) => get("/v1/keys", { limit: 50, after }),
        (found) => keys(found.data, api, reload),
      ),
      making(api, reload),
    ]),
  );
}

function caller(me) {
  return facts([
    ["Namespace", el("code", {}, me.namespace)],
    ["Known as", el("code", {}, me.principal)],
    ["Role", `${me.role}: ${MAY[me.role]}`],
    ["Scopes", me.scopes ? me.scopes.join(", ") : "all that the role allows"],
  ]);
}

async function health(get) {
  const [ready, learning] = await Promise.all([
    get("/health/ready"),
    get("/v1/health/learning").catch((error) => error),
  ]);
  const { memory } = ready;
  const lag = memory.index === "none" ? 0 : memory.log_seq - memory.applied_seq;
  const index = memory.index === "none" ? "none needed: everything is looked at" : memory.index;
  const learns =
    learning instanceof Error
      ? learning.message
      : el(
          "span",
          {},
          badge(learning.waiting ? `${learning.waiting} waiting` : "nothing waits", learning.waiting ? "warn" : "good"),
          " ",
          link("#/learning", "Learning"),
        );
  return facts([
    ["Server", badge(ready.status, "good")],
    ["Memory", `${plural(memory.items, "item")}, ${plural(memory.episodes, "episode")}, over all namespaces`],
    [
      "Index",
      el(
        "span",
        {},
        badge(lag ? `${lag} behind` : "up to date", lag ? "warn" : "good"),
        ` ${index}${memory.index_note ? `: ${memory.index_note}` : ""}`,
      ),
    ],
    ["Encoder", el("span", {}, el("code", {}, memory.encoder), memory.encoder_note ? ` ${memory.encoder_note}` : "")],
    ["Last write", memory.last_write_at && when(memory.last_write_at)],
    ["Model", el("code", {}, ready.default_model)],
    ["Learning", learns],
    ["More", el("span", {}, el("code", {}, "apprentice doctor"), " looks deeper and mends on request.")],
  ]);
}

function quota(told) {
  const used = (spent, most) => (most == null ? `${spent}, no bound` : `${spent} of ${most}`);
  return [
    facts([
      ["Tasks at once", told.running == null ? "no bound" : String(told.running)],
      ["Tasks that wait or run", used(told.living_tasks, told.tasks)],
      ["Tokens today", used(told.spent_tokens, told.tokens_day)],
      ["Dollars today", used(told.spent_usd.toFixed(2), told.usd_day)],
    ]),
    soft("Set by operators of all namespaces, or in the server's settings."),
  ];
}

function only(wanted) {
  return Object.fromEntries(["kind", "state"].filter((one) => wanted[one]).map((one) => [one, wanted[one]]));
}

function narrowing(wanted) {
  const form = el(
    "form",
    {
      class: "filters",
      "aria-label": "Filter jobs",
      on: {
        submit: (event) => {
          event.preventDefault();
          const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
          location.hash = `#/settings?${new URLSearchParams(given)}`;
        },
      },
    },
    choice(
      "Kind",
      "kind",
      ["task", "batch", "learn", "consolidate", "advise", "distill", "flow", "propose", "delivery"],
      wanted.kind,
    ),
    choice("State", "state", JOB_STATES, wanted.state),
    el("button", { type: "submit" }, "Filter"),
  );
  return form;
}

const PAGES = { task: "tasks", learn: "episodes", distill: "distillations" };

function jobs(data, wanted, api, reload) {
  if (!data.length) {
    return Object.keys(only(wanted)).length
      ? empty("No job fits this filter.")
      : empty("Nothing has run yet. A task is the first job:", "apprentice task run --site 'maple 27'");
  }
  return table(
    "Jobs, newest first",
    ["Job", "Kind", "State", "Begun", "Error", "Actions"],
    data.map((job) => [
      PAGES[job.kind] ? link(`#/${PAGES[job.kind]}/${job.id}`, short(job.id, 26)) : el("code", {}, short(job.id, 26)),
      job.kind,
      el("span", {}, badge(job.state, STATES[job.state] ?? ""), job.attempts > 1 ? ` begun ${job.attempts} times` : ""),
      when(job.created_at),
      job.error ?? "–",
      handling(job, api, reload),
    ]),
  );
}

function handling(job, api, reload) {
  const path = `/v1/jobs/${job.kind}/${job.id}`;
  const made = [];
  if (job.can_cancel) {
    made.push(
      asked("Cancel…", {
        title: "Stop this job?",
        text: `The ${job.kind} ${job.id} ends where it is. What it did so far stays; you can try it again afterwards.`,
        verb: "Stop it",
        danger: true,
        work: async () => {
          await api.post(`${path}/cancel`);
          await reload();
        },
      }),
    );
  }
  if (job.can_retry) {
    made.push(
      act("Try again", async () => {
        await api.post(`${path}/retry`);
        await reload();
      }),
    );
  }
  return made.length ? el("span", { class: "actions" }, ...made) : "";
}

function schedules(data, api, reload) {
  if (!data.length)
    return empty(
      "No schedule. One sets a task again and again, by the clock:",
      `curl -X POST $URL/v1/schedules -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"cron": "0 7 * * *", "task": {"world": "household", "site": "maple 27"}}'`,
    );
  return table(
    "Schedules, oldest first",
    ["Schedule", "When", "Next", "Last", "Actions"],
    data.map((one) => [
      one.label || short(one.id),
      el("span", {}, el("code", {}, one.cron), ` ${one.time_zone}`),
      one.paused ? badge("paused", "warn") : one.next_at ? when(one.next_at) : "never",
      one.last_error ?? (one.last_task ? link(`#/tasks/${one.last_task}`, when(one.last_at)) : "not yet"),
      el(
        "span",
        { class: "actions" },
        act(one.paused ? "Go on" : "Pause", async () => {
          await api.post(`/v1/schedules/${one.id}/${one.paused ? "resume" : "pause"}`);
          await reload();
        }),
        asked("Delete…", {
          title: "Delete this schedule?",
          text: "It sets no more tasks; those it has set stay. This cannot be undone: you would have to make it again. To stop it for a while, pause it.",
          verb: "Delete",
          danger: true,
          work: async () => {
            await api.del(`/v1/schedules/${one.id}`);
            await reload();
          },
        }),
      ),
    ]),
  );
}
