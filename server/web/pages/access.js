// Who else may come in, and who is told of what happens: keys and webhooks, for operators.
import { STATES, act, asked, badge, choice, el, field, plural, table, when } from "../parts.js";
import { dialog, empty } from "../dom.js";

const ROLES = ["operator", "user", "agent", "read-only"];
const EVENTS = ["task.ended", "task.asks", "batch.ended", "episode.learned", "distillation.ended", "adapter.promoted"];

/** Who is told of what. */
export function webhooks(data, api, reload) {
  const url = el("input", { type: "url", name: "url", placeholder: "https://" });
  const events = EVENTS.map((name) =>
    el("input", { type: "checkbox", name, ...(name === "task.ended" ? { checked: "" } : {}) }),
  );
  const said = el("div", { role: "status" });
  const add = asked("Add a webhook…", {
    title: "Add a webhook",
    text: "Its secret is shown once, on this page, when it is made.",
    body: () => [field("Address", url), ...events.map((box, place) => field(EVENTS[place], box))],
    verb: "Add",
    work: async () => {
      const made = await api.post("/v1/webhooks", {
        url: url.value,
        events: EVENTS.filter((_, place) => events[place].checked),
      });
      await reload();
      secret(made);
    },
  });
  if (!data.length)
    return [
      empty(
        "Nobody is told of anything. A webhook is told of tasks that end, questions and more.",
        `curl -X POST $URL/v1/webhooks -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"url": "https://example.com/told", "events": ["task.ended"]}'`,
      ),
      add,
      said,
    ];
  return [
    table(
      "Webhooks, oldest first",
      ["Address", "Events", "State", "Actions"],
      data.map((one) => [
        el("span", {}, one.url, one.label ? ` (${one.label})` : ""),
        one.events.join(", "),
        one.disabled
          ? el("span", {}, badge("off", "bad"), ` ${one.disabled}`)
          : badge(one.failures ? `${plural(one.failures, "failure")} in a row` : "on", one.failures ? "warn" : "good"),
        hooking(one, api, reload, said),
      ]),
    ),
    add,
    said,
  ];
}

function hooking(one, api, reload, said) {
  const path = `/v1/webhooks/${one.id}`;
  const made = [
    act("Test", async () => {
      const sent = await api.post(`${path}/test`);
      said.replaceChildren(
        el(
          "p",
          {},
          badge(sent.state, STATES[sent.state] ?? ""),
          ` ${sent.error ?? sent.last?.error ?? `answered ${sent.last?.status ?? "nothing yet"}`}`,
        ),
      );
    }),
  ];
  if (one.disabled)
    made.push(
      act("Switch on", async () => {
        await api.post(`${path}/enable`);
        await reload();
      }),
    );
  made.push(
    asked("Delete…", {
      title: "Delete this webhook?",
      text: "Nothing is sent there any more, and what is on its way is given up. This cannot be undone: a new one has another secret.",
      verb: "Delete",
      danger: true,
      work: async () => {
        await api.del(path);
        await reload();
      },
    }),
  );
  return el("span", { class: "actions" }, ...made);
}

/** A page of keys. */
export function keys(data, api, reload) {
  return table(
    "Keys, oldest first",
    ["Key", "Role", "State", "Made by", "Last used", "Actions"],
    data.map((one) => [
      el("span", {}, el("code", {}, one.id), one.label ? ` ${one.label}` : ""),
      one.scopes ? `${one.role}: ${one.scopes.join(", ")}` : one.role,
      badge(one.state, one.state === "valid" ? "good" : "bad"),
      one.made_by ? el("code", {}, one.made_by) : "in the data folder",
      one.last_used_at ? when(one.last_used_at) : "never seen",
      one.state === "valid" ? revoking(one, api, reload) : "",
    ]),
  );
}

function revoking(one, api, reload) {
  return el(
    "span",
    { class: "actions" },
    asked("Rotate…", {
      title: "Give this key a new secret?",
      text: "The new secret is shown once. The old one opens nothing from now on; what the log says of this key stays.",
      verb: "Rotate",
      danger: true,
      work: async () => {
        const made = await api.post(`/v1/keys/${one.id}/rotate`, {});
        await reload();
        secret(made);
      },
    }),
    asked("Revoke…", {
      title: "Revoke this key?",
      text: `${one.label || one.id} opens nothing from now on, this page too if it is yours. This cannot be undone; you can make another key.`,
      verb: "Revoke",
      danger: true,
      work: async () => {
        await api.del(`/v1/keys/${one.id}`);
        await reload();
      },
    }),
  );
}

/** Another key. */
export function making(api, reload) {
  const role = choice("Role", "role", ROLES, "user", null);
  const label = el("input", { name: "label" });
  const days = el("input", { type: "number", name: "days", min: "1" });
  return asked("Make a key…", {
    title: "Make a key",
    text: "For this namespace. Its secret is shown once; only its hash is kept.",
    body: () => [role, field("Label", label), field("Days until it expires", days, "Empty: never")],
    verb: "Make it",
    work: async () => {
      const made = await api.post("/v1/keys", {
        role: role.querySelector("select").value,
        label: label.value,
        days: days.value ? Number(days.value) : null,
      });
      await reload();
      secret(made);
    },
  });
}

/** What is shown once: the secret of a key or webhook that was just made. */
function secret({ id, secret: words }) {
  const shown = el("input", { readonly: "", value: words, on: { focus: (event) => event.target.select() } });
  dialog(
    "Its secret, shown this once",
    el("div", {}, el("p", {}, `Keep the secret of ${id} now: only its hash stays here.`), field("Secret", shown)),
    [],
  );
}
