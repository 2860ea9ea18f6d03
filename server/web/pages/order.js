// The form in which a task is set.
import { el, field, notice } from "../dom.js";

const MODES = {
  "": "as the namespace says",
  learn: "learn",
  frozen: "recall, learn nothing",
  shadow: "learn, show nothing",
  off: "off",
};
const DEFAULT = "the server's default";

export async function order(api, signal) {
  const [worlds, models] = await Promise.all([
    api.get("/v1/worlds", {}, { signal }),
    api.get("/v1/models", {}, { signal }),
  ]);
  const inputs = made(worlds, models.data);
  const said = el("div", { role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const task = await api.post("/v1/tasks", body(inputs));
      location.hash = `#/tasks/${task.id}`;
    } catch (error) {
      said.replaceChildren(notice(error.message, "error"));
    }
  };
  return el(
    "form",
    { on: { submit } },
    field("World", inputs.world),
    ...what(inputs, worlds),
    more(inputs),
    el("p", {}, el("button", { type: "submit" }, "Set it")),
    said,
  );
}

function made(worlds, models) {
  const whole = (given) => el("input", { type: "number", min: "1", ...given });
  return {
    world: choose(worlds.map((one) => [one.name, one.name, one.tools.length > 0])),
    text: el("textarea", { rows: "2" }),
    site: el("input", { type: "text" }),
    seed: el("input", { type: "number", value: "0", step: "1" }),
    model: choose([["", DEFAULT], ...models.map((one) => [one.id, one.id])]),
    planner: el("input", { type: "text", placeholder: DEFAULT }),
    memory: choose(Object.entries(MODES)),
    max_steps: whole({ value: "30", max: "1000" }),
    max_tokens: whole({ placeholder: "no limit" }),
    max_seconds: whole({ placeholder: "600" }),
    policy: el("textarea", { rows: "2", spellcheck: "false" }),
  };
}

function choose(options) {
  const each = ([value, text, selected]) => el("option", { value, selected }, text);
  return el("select", {}, options.map(each));
}

/** Words for a world that has none of its own, else one of its tasks. */
function what({ world, text, site, seed }, worlds) {
  const words = field("What is to be done", text);
  const place = field("Site", site, "Such as maple 27.");
  const places = el("div", { class: "columns" }, place, field("Seed", seed, "Which task of the site."));
  const chosen = () => {
    const isListed = worlds.find((one) => one.name === world.value)?.listed ?? false;
    [words.hidden, places.hidden] = [isListed, !isListed];
    [text.required, site.required] = [!isListed, isListed];
  };
  world.addEventListener("change", chosen);
  chosen();
  return [words, places];
}

function more({ model, planner, memory, max_steps, max_tokens, max_seconds, policy }) {
  const columns = (...fields) => el("div", { class: "columns" }, ...fields);
  return el(
    "details",
    {},
    el("summary", {}, "More"),
    columns(field("Model", model), field("Planner", planner), field("Memory", memory)),
    columns(field("Most steps", max_steps), field("Most tokens", max_tokens), field("Most seconds", max_seconds)),
    field("Policy, as JSON", policy, "Rules its calls must keep beside the server's."),
  );
}

function body({ world, text, site, seed, model, planner, memory, policy, ...limits }) {
  const given = Object.entries(limits).filter(([, input]) => input.value);
  const asked = {
    world: world.value,
    budget: Object.fromEntries(given.map(([name, { value }]) => [name, Number(value)])),
  };
  if (site.required) Object.assign(asked, { site: site.value.trim(), seed: Number(seed.value) });
  else asked.text = text.value.trim();
  for (const [name, input] of Object.entries({ model, planner, memory })) {
    if (input.value.trim()) asked[name] = input.value.trim();
  }
  if (policy.value.trim()) asked.policy = parsed(policy.value);
  return asked;
}

function parsed(policy) {
  try {
    return JSON.parse(policy);
  } catch (error) {
    throw new Error(`the policy is not JSON: ${error.message}`);
  }
}
