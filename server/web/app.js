// Which page is shown: by what follows # in the address. One page at a time; what a page left open is closed.
import * as api from "./api.js";
import { button, dialog, el, field, notice } from "./dom.js";

const PAGES = {
  chat: "Chat",
  tasks: "Tasks",
  memory: "Memory",
  constitution: "Constitution",
  learning: "Learning",
  distillations: "Distillations",
  settings: "Settings",
};
const MODULES = { ...Object.fromEntries(Object.keys(PAGES).map((name) => [name, name])), episodes: "episode" };
const THEMES = ["auto", "light", "dark"];
const main = document.getElementById("main");
let leaving = new AbortController();
let hasMoved = false;

async function go() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, query = ""] = (location.hash.replace(/^#\/?/, "") || "chat").split("?");
  const [name, ...args] = path.split("/").map(decodeURIComponent);
  delete document.body.dataset.ready;
  marked(name);
  main.replaceChildren(el("p", { class: "soft" }, "Loading…"));
  try {
    if (!(name in MODULES)) throw new Error(`there is no page ${name}`);
    const page = await import(`./pages/${MODULES[name]}.js`);
    await page.show(main, { args, query: new URLSearchParams(query), api, signal });
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(
      el("h1", {}, PAGES[name] ?? "Not here"),
      notice(error.message, "error"),
      el("p", {}, button("Try again", go)),
    );
  }
  if (signal.aborted) return;
  const heading = main.querySelector("h1");
  document.title = `${heading?.textContent ?? "Apprentice"} · Apprentice`;
  // Whoever comes first begins at the top; whoever goes on is told where they are.
  if (heading && hasMoved && document.activeElement === document.body) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  document.body.dataset.ready = location.hash;
}

function marked(name) {
  const shown = name === "episodes" ? "tasks" : name;
  document
    .getElementById("pages")
    .replaceChildren(
      ...Object.entries(PAGES).map(([one, title]) =>
        el("li", {}, el("a", { href: `#/${one}`, "aria-current": one === shown ? "page" : null }, title)),
      ),
    );
}

/** Ask for a key; resolves to whether one was given. */
function askForKey(why) {
  return new Promise((resolve) => {
    let given = false;
    const input = el("input", { type: "password", autocomplete: "off", required: true });
    const keep = () => {
      given = Boolean(input.value.trim());
      if (given) api.keepKey(input.value.trim());
      return given;
    };
    const form = el(
      "form",
      {
        on: {
          submit: (event) => {
            event.preventDefault();
            if (keep()) box.close();
          },
        },
      },
      why && notice(why, "error"),
      field("API key", input, "Kept in this tab alone, until it is closed."),
      el(
        "p",
        { class: "soft" },
        "The first key lies in the data folder: ",
        el("code", {}, "cat data/operator.key"),
        "; another is made by ",
        el("code", {}, "apprentice keys create"),
        ".",
      ),
    );
    const box = dialog("Which key?", form, [{ label: "Use it", run: async () => keep() }]);
    box.addEventListener("close", () => resolve(given));
    input.focus();
  });
}

function themed(theme) {
  localStorage.setItem("apprentice.theme", theme);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = `Theme: ${theme}`;
}

api.onKeyWanted(askForKey);
document
  .getElementById("theme")
  .addEventListener("click", () =>
    themed(THEMES[(THEMES.indexOf(localStorage.getItem("apprentice.theme") ?? "auto") + 1) % THEMES.length]),
  );
themed(localStorage.getItem("apprentice.theme") ?? "auto");
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  hasMoved = true;
  document.activeElement?.blur?.();
  go();
});
go();
