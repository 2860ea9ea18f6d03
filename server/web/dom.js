// Elements from data. Text is always text: nothing a model or a stranger wrote is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";
let count = 0;

export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value === true) node.setAttribute(name, "");
    else if (value != null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((one) => one != null && one !== false));
  return node;
}

/** What is said where there is nothing yet, and the command that changes it. */
export function empty(text, command) {
  return el("div", { class: "empty" }, el("p", {}, text), command && el("p", {}, el("code", {}, command)));
}

/** Rows of text or elements; wide ones scroll by themselves. */
export function table(caption, heads, rows) {
  const head = el(
    "thead",
    {},
    el(
      "tr",
      {},
      heads.map((one) => el("th", { scope: "col" }, one)),
    ),
  );
  const body = el(
    "tbody",
    {},
    rows.map((row) =>
      el(
        "tr",
        {},
        row.map((cell) => el("td", {}, cell)),
      ),
    ),
  );
  return el(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    el("table", {}, el("caption", {}, caption), head, body),
  );
}

/** A moment, in seconds since 1970, as people say it; in full where one points at it. */
export function when(seconds) {
  const at = new Date(seconds * 1000);
  return el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, ago(Date.now() / 1000 - seconds, at));
}

function ago(seconds, at) {
  if (seconds >= 0 && seconds < 60) return "just now";
  if (seconds >= 60 && seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds >= 3600 && seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return at.toISOString().slice(0, 16).replace("T", " ");
}

export function field(label, input, hint) {
  const id = `field-${++count}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    input,
    hint && el("small", { id: `${id}-hint` }, hint),
  );
}

/** `kind` is `info`, `good` or `error`; the last is read out at once. */
export function notice(text, kind = "info") {
  return el("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, text);
}

export function button(label, onclick) {
  return el("button", { type: "button", on: { click: onclick } }, label);
}

/** Actions are `{label, danger, run}`: the dialog closes once `run` answers true. Escape closes it. */
export function dialog(title, body, actions = []) {
  const id = `dialog-${++count}`;
  const said = el("div", { class: "said" });
  const buttons = actions.map(({ label, danger, run }) => {
    const one = button(label, async () => {
      one.disabled = true;
      try {
        if (await run()) box.close();
      } catch (error) {
        said.replaceChildren(notice(error.message, "error"));
      } finally {
        one.disabled = false;
      }
    });
    if (danger) one.classList.add("danger");
    return one;
  });
  const box = el(
    "dialog",
    { "aria-labelledby": id, on: { close: () => box.remove() } },
    el("h2", { id }, title),
    body,
    said,
    el(
      "div",
      { class: "actions" },
      buttons,
      button("Close", () => box.close()),
    ),
  );
  document.body.append(box);
  box.showModal();
  return box;
}
