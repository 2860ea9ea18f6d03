// What happened to an item, and what would happen to all that rests on it.
import { act, asked, change, el, link, plural, short, soft, table, told, when } from "../parts.js";
import { empty } from "../dom.js";

const QUIET = new Set(["reinforce"]);

/** Every change, the newest undoable. */
export function history(api, id, entries, again) {
  const kept = entries.filter((entry) => !QUIET.has(entry.op));
  const quiet = entries.length - kept.length;
  const newest = kept.at(-1);
  const rows = kept
    .map((entry, place) => [
      String(entry.version ?? ""),
      entry.op,
      el("code", {}, entry.principal),
      when(entry.at),
      difference(api, id, kept[place - 1], entry),
      entry === newest && place > 0 ? undoing(api, entry, again) : "",
    ])
    .toReversed();
  return [
    table("Changes, newest first", ["Version", "Change", "By", "When", "What", "Actions"], rows),
    soft(quiet ? `Beside these, ${plural(quiet, "episode")} counted for it.` : "No episode has counted for it yet."),
  ];
}

function difference(api, id, before, entry) {
  if (!before?.version || !entry.version || before.version === entry.version) return el("span", { class: "soft" }, "–");
  const found = el("div", {});
  const load = async () => {
    const span = { from_version: before.version, to_version: entry.version };
    try {
      const { data } = await api.get(`/v1/memory/${id}/diff`, span);
      found.replaceChildren(
        ...(data.length ? data.map((one) => change(one.field, one.before, one.after)) : [soft("Nothing it says.")]),
      );
    } catch (error) {
      found.replaceChildren(told(error));
    }
  };
  return el(
    "details",
    { on: { toggle: (event) => event.target.open && load() } },
    el("summary", {}, "Difference"),
    found,
  );
}

function undoing(api, entry, again) {
  return asked("Undo…", {
    title: `Undo “${entry.op}”?`,
    text: "The item says again what it said before, as a new version. The undoing can be undone in turn.",
    verb: "Undo",
    work: async () => {
      await api.post("/v1/memory/undo", { seq: entry.seq });
      await again();
    },
  });
}

/** Adapters that were trained with it in view, and what would fall with it or its source. */
export function rests(api, item, adapters, again) {
  const made = adapters.length
    ? el("ul", {}, ...adapters.map((one) => el("li", {}, el("code", {}, one.id), one.promoted ? " (serving)" : "")))
    : empty("No adapter was trained with it in view.");
  const found = el("div", { role: "status" });
  const { source } = item.lineage;
  const looks = [
    act("What would fall with it?", () =>
      falling(api, found, {
        path: "/v1/memory/forget",
        body: { kind: "item", id: item.id },
        verb: "Forget all of it",
        again,
      }),
    ),
  ];
  if (source) {
    looks.push(
      act("What would fall with its source?", () =>
        falling(api, found, { path: "/v1/memory/revoke", body: { source }, verb: "Take the source back", again }),
      ),
    );
  }
  return [made, el("p", { class: "actions" }, ...looks), found];
}

/** What would be touched, and the act itself behind another question. */
async function falling(api, found, { path, body, verb, again }) {
  const all = await api.post(path, { ...body, dry_run: true });
  const reach = `${plural(all.cascade.episodes.length, "episode")} would teach no more, ${plural(all.adapters.length, "adapter")} would serve no more.`;
  found.replaceChildren(
    table(
      "What would fall",
      ["Item", "Fate", "Why"],
      all.cascade.items.map((one) => [link(`#/memory/${one.item}`, short(one.item)), one.fate, one.reason]),
    ),
    soft(`${reach} Nothing was changed.`),
    asked(`${verb}…`, {
      title: `${verb}?`,
      text: [
        `${plural(all.cascade.items.length, "item")} would fall. ${reach}`,
        "Nothing is deleted: what is retired can be undone from its page. Adapters that fell are made again of what is left.",
      ],
      verb,
      danger: true,
      work: async () => {
        await api.post(path, body);
        await again();
      },
    }),
  );
}
