// What the pages of memory, learning and weights share: parts that load by themselves, questions before acts.
import { button, dialog, el, field, notice, table, when } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

export const percent = (share) => (share == null ? "–" : `${Math.round(100 * share)} %`);
export const number = (value, digits = 2) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
export const signed = (value, digits = 2) => (value == null ? "–" : (value > 0 ? "+" : "") + number(value, digits));
export const short = (id, length = 18) => (id.length > length ? `${id.slice(0, length - 1)}…` : id);
export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
export const link = (to, ...children) => el("a", { href: to }, ...children);
export const badge = (text, kind = "") => el("span", { class: `badge ${kind}`.trim() }, text);
export const soft = (...children) => el("p", { class: "soft" }, ...children);
export const code = (text) => el("code", {}, text);
export const STATES = {
  active: "good",
  done: "good",
  trial: "warn",
  running: "warn",
  queued: "warn",
  quarantined: "bad",
  failed: "bad",
};

/** A part of a page that loads by itself. What a role may not see, or what went wrong, is said in its place. */
export function section(title, load) {
  const body = el("div", { class: "section-body" }, soft("Loading…"));
  const node = el("section", { class: "part" }, el("h2", {}, title), body);
  const reload = async () => {
    node.setAttribute("aria-busy", "true");
    try {
      const made = await load(reload);
      body.replaceChildren(...[made].flat().filter((one) => one != null));
    } catch (error) {
      if (error.name === "AbortError") return;
      body.replaceChildren(told(error));
    } finally {
      node.removeAttribute("aria-busy");
    }
  };
  return { node, reload, ready: reload() };
}

/** Put the heads and sections of a page in place; resolves when all have loaded. */
export async function page(main, head, ...sections) {
  main.replaceChildren(...head, ...sections.map((one) => one.node));
  await Promise.all(sections.map((one) => one.ready));
}

/** An error as people read it: a role's bounds are no fault. */
export function told(error) {
  if (error.status === 403) return notice(`Not with this key: ${error.message}.`, "info");
  if (error.status === undefined) return notice(`The server did not answer: ${error.message}.`, "error");
  return notice(error.message, "error");
}

/** Do it at once and say what went wrong beside the button. */
export function act(label, work, kind = "") {
  const beside = el("span", { class: "beside", role: "status" });
  const pressed = button(label, async () => {
    pressed.disabled = true;
    try {
      beside.replaceChildren();
      await work();
    } catch (error) {
      beside.replaceChildren(told(error));
    } finally {
      pressed.disabled = false;
    }
  });
  if (kind) pressed.classList.add(kind);
  return el("span", { class: "act" }, pressed, beside);
}

/** The same, after a question that says what it does and what can be undone. `body()` makes what is asked. */
export function asked(label, { title, text, body = () => [], verb = label, work, danger = false }) {
  return button(label, () => {
    const parts = body();
    const beside = el("div", { role: "status" });
    const content = el("div", {}, ...[text].flat().map((line) => el("p", {}, line)), ...parts, beside);
    const run = async () => {
      beside.replaceChildren();
      try {
        await work();
        return true;
      } catch (error) {
        beside.replaceChildren(told(error));
        return false;
      }
    };
    question(title, content, verb, run, danger);
  });
}

/** Names and values; what is empty is left out. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value != null && value !== "");
  return el(
    "dl",
    { class: "facts" },
    ...given.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, ...[value].flat())]),
  );
}

/** A choice among words, or among [value, word] pairs; the empty one is any. */
export function choice(label, name, options, chosen, any = "any") {
  const made = options
    .map((one) => [one].flat())
    .map(([value, word = value]) => el("option", { value, selected: value === chosen }, word));
  const first = any === null ? [] : [el("option", { value: "" }, any)];
  return field(label, el("select", { name }, ...first, ...made));
}

/** Pages that follow each other: `rows(page)` are added below until there is no `next`. */
export async function paged(load, show) {
  const holder = el("div", {});
  const first = await load(undefined);
  const more = async (page) => {
    holder.append(...[show(page)].flat());
    if (page.next == null) return;
    const step = act("Show more", async () => {
      const next = await load(page.next);
      step.remove();
      await more(next);
    });
    holder.append(step);
  };
  await more(first);
  return holder;
}

/** An effect between -1 and 1 with its interval: drawn, and in words beside. */
export function effect(mean, low, high, n) {
  const at = (value) => 60 + 58 * Math.max(-1, Math.min(1, value));
  const kind = low > 0 ? "good" : high < 0 ? "bad" : "open";
  const words = `${signed(mean)} (${signed(low)} to ${signed(high)})`;
  const drawn = svg(
    "svg",
    { class: `effect ${kind}`, viewBox: "0 0 120 16", "aria-hidden": "true" },
    svg("line", { class: "zero", x1: 60, x2: 60, y1: 1, y2: 15 }),
    svg("line", { class: "span", x1: at(low), x2: at(high), y1: 8, y2: 8 }),
    svg("circle", { class: "dot", cx: at(mean), cy: 8, r: 4 }),
  );
  return el(
    "span",
    { class: "effect-cell" },
    drawn,
    el("span", {}, words),
    n == null ? "" : el("span", { class: "soft" }, ` ${plural(n, "episode")}`),
  );
}

/** How far something has come, 0..1. */
export function progress(share, label) {
  return el("progress", { max: "1", value: String(Math.max(0, Math.min(1, share))), "aria-label": label });
}

/** Before and after of one field. */
export function change(name, before, after) {
  const words = (value) =>
    value == null || value === "" ? "nothing" : typeof value === "string" ? value : JSON.stringify(value, null, 1);
  return el(
    "div",
    { class: "change" },
    el("span", { class: "name" }, name),
    el("del", {}, words(before)),
    el("ins", {}, words(after)),
  );
}

/** A drawn element. */
export function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** Keep a file that the server wrote. */
export function keep(blob, name) {
  const url = URL.createObjectURL(blob);
  const made = el("a", { href: url, download: name });
  made.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function question(title, content, verb, run, danger) {
  dialog(title, content, [{ label: verb, danger, run }]);
}

export { button, el, field, notice, table, when };
