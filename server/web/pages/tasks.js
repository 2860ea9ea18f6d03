// Tasks: set one, see all, follow one step by step, answer what it asks, stop it.
import { el, empty, notice, table, when } from "../dom.js";
import { STATES, act, badge, link, page, paged, section, short, soft } from "../parts.js";
import { OUTCOMES, step } from "./episode.js";
import { order } from "./order.js";

const ENDED = ["done", "failed", "cancelled"];
const LOOK_MS = 2000;

export async function show(main, context) {
  return context.args.length ? showOne(main, context) : showAll(main, context);
}

async function showAll(main, { api, signal }) {
  let isOpen = false;
  const shown = ({ data }) => {
    isOpen = data.some((task) => !ENDED.includes(task.state));
    return data.length
      ? table("Tasks, newest first", ["Task", "State", "World", "Model", "Outcome", "Set"], data.map(row))
      : empty("No task was set yet. Set one here, or:", 'apprentice task run --site "maple 27"');
  };
  const list = section("All tasks", async () =>
    paged((after) => api.get("/v1/tasks", { limit: 25, after }, { signal }), shown),
  );
  const form = section("Set a task", async () => order(api, signal));
  const also = el("p", {}, link("#/episodes", "All episodes"), ", those of chats too");
  await page(main, [el("h1", {}, "Tasks"), also], form, list);
  // Not while somebody is in it: what has the focus would be gone.
  watch(signal, () => isOpen && !list.node.contains(document.activeElement) && list.reload());
}

function row(task) {
  return [
    link(`#/tasks/${task.id}`, short(task.text, 80)),
    badge(task.state, STATES[task.state] ?? ""),
    task.family || task.world,
    task.model,
    task.outcome ? badge(task.outcome, OUTCOMES[task.outcome] ?? "") : "–",
    when(task.created_at),
  ];
}

/** Look again now and then, as long as the page is shown and somebody sees it. */
function watch(signal, look) {
  const again = setInterval(() => document.hidden || document.querySelector("dialog[open]") || look(), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(again));
}

async function showOne(main, context) {
  const { args, api, signal } = context;
  const path = `/v1/tasks/${encodeURIComponent(args[0])}`;
  const head = el("div", {});
  const asks = el("div", {});
  const steps = el("ol", { class: "steps", "aria-live": "polite" });
  let asked = null;
  let task = await api.get(path, {}, { signal });
  const again = async () => {
    task = await api.get(path, {}, { signal });
    said();
  };
  const said = () => {
    head.replaceChildren(
      ...standing(task),
      doings(task, path, api, again, () => showOne(main, context)),
    );
    // The same question stays: somebody may be about to answer it.
    if (asked === (task.asks?.question ?? null)) return;
    asked = task.asks?.question ?? null;
    asks.replaceChildren(...(task.asks ? [question(task.asks, path, api, again)] : []));
  };
  said();
  main.replaceChildren(el("h1", {}, task.text), head, asks, el("h2", {}, "Steps"), steps);
  follow(path, { api, signal, steps, again });
}

function standing(task) {
  const about = ` ${task.family || task.world} · ${task.model} · memory ${task.memory} · set `;
  const reward = task.reward == null ? "" : `, reward ${task.reward}`;
  return [
    el("p", {}, badge(task.state, STATES[task.state] ?? ""), about, when(task.created_at)),
    ...(task.error ? [notice(task.error, "error")] : []),
    ...(task.outcome ? [el("p", {}, "Outcome: ", badge(task.outcome, OUTCOMES[task.outcome] ?? ""), reward)] : []),
  ];
}

function doings(task, path, api, again, anew) {
  const stop = async () => {
    await api.post(`${path}/cancel`);
    await again();
  };
  const goOn = async () => {
    await api.post(`${path}/resume`);
    await anew();
  };
  return el(
    "div",
    { class: "actions" },
    !ENDED.includes(task.state) && act("Stop it", stop, "danger"),
    ["failed", "cancelled"].includes(task.state) && act("Go on", goOn),
    task.episode && ENDED.includes(task.state) && link(`#/episodes/${task.episode}`, "Its episode"),
  );
}

/** Its events as they come, from the first on. */
async function follow(path, { api, signal, steps, again }) {
  const failed = (error) => error.name === "AbortError" || steps.after(notice(error.message, "error"));
  const onEvent = ({ event, data }) => {
    if (event === "step") steps.append(step(data));
    else if (event === "start") steps.append(beginning(data));
    else again().catch(failed);
  };
  try {
    await api.stream(`${path}/events`, { signal, onEvent });
    await again();
    if (!steps.children.length) steps.replaceWith(soft("It has not made a step."));
  } catch (error) {
    failed(error);
  }
}

function beginning({ model, recalled, constitution }) {
  const told = `with ${model}; ${recalled.length} recalled, ${constitution.length} principles`;
  return el("li", {}, el("span", { class: "who" }, "begins"), told);
}

function question(one, path, api, again) {
  const answer = (approve) => async () => {
    await api.post(`${path}/approvals/${one.question}`, { approve });
    await again();
  };
  const call = el("code", {}, `${one.tool} ${JSON.stringify(one.arguments)}`);
  return el(
    "section",
    { class: "notice", "aria-label": `Question ${one.question}` },
    el("p", {}, "It asks to call ", call, ` (${one.reason}); without an answer it is a no.`),
    el("div", { class: "actions" }, act("Allow it", answer(true)), act("Refuse it", answer(false), "danger")),
  );
}
