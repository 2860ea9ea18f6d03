// Chat: an answer as it comes, and beside it what memory told the model and why.
import { button, el, empty, field, notice } from "../dom.js";
import { act, link, number, told } from "../parts.js";
import { explain, fate } from "./item.js";

const MODES = { "": "as the namespace says", learn: "learn", frozen: "recall, learn nothing", off: "off" };
const NEAR_PX = 160; // of the end: whoever reads further up is not moved

export async function show(main, { api, signal }) {
  const models = (await api.get("/v1/models", {}, { signal })).data;
  const chat = new Chat(api, signal);
  const model = el(
    "select",
    {},
    models.map((one) => el("option", { value: one.id, selected: one.default }, one.id)),
  );
  const mode = el(
    "select",
    {},
    Object.entries(MODES).map(([value, text]) => el("option", { value }, text)),
  );
  const text = el("textarea", { rows: "2", required: true });
  const send = el("button", { type: "submit" }, "Send");
  const stop = button("Stop", () => chat.stop());
  stop.disabled = true;
  const submit = async (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (!said || chat.isBusy) return;
    text.value = "";
    [send.disabled, stop.disabled] = [true, false];
    const isAnswered = await chat.say(said, model.value, mode.value);
    [send.disabled, stop.disabled] = [false, true];
    if (!isAnswered) text.value ||= said;
    text.focus();
  };
  const form = el(
    "form",
    { class: "ask", on: { submit } },
    field("Message", text, "Control and Enter send it."),
    el(
      "div",
      { class: "row-of" },
      field("Model", model),
      field("Memory", mode),
      send,
      stop,
      button("New conversation", () => chat.clear()),
    ),
  );
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  main.replaceChildren(el("h1", {}, "Chat"), chat.node, form);
}

/** A conversation: one episode until somebody says how it went, or another model or mode is chosen. */
class Chat {
  constructor(api, signal) {
    Object.assign(this, { api, signal, isBusy: false, stopping: null });
    this.node = el("div", { class: "talk", "aria-live": "polite" });
    this.clear();
  }

  clear() {
    this.stop();
    this.messages = [];
    this.end();
    this.node.replaceChildren(
      el(
        "div",
        { class: "turn-none" },
        empty(
          "Nothing was said yet. A conversation is one episode; memory learns from it once you say how it went. " +
            "Any client of OpenAI's does the same with this server as its base URL:",
          `${location.origin}/v1`,
        ),
      ),
    );
  }

  stop() {
    this.stopping?.abort();
  }

  /** The episode has ended: what is said next begins another. */
  end() {
    this.rollout = null;
    this.verdict = null;
  }

  /** The base URL of the episode that this conversation is. */
  base(model, mode) {
    const kind = `${model} ${mode}`;
    if (this.rollout?.kind !== kind) this.end();
    this.rollout ??= { kind, id: `web-${drawn()}` };
    return `/v1/rollout/${this.rollout.id}`;
  }

  /** Resolves to whether anything was answered. */
  async say(text, model, mode) {
    const { messages } = this;
    if (!messages.length) this.node.replaceChildren();
    messages.push({ role: "user", content: text });
    const answer = el("div", { class: "turn", "aria-busy": "true" });
    const aside = el("div", { class: "aside" });
    this.node.append(el("div", { class: "turn user" }, text), el("div", { class: "aside" }), answer, aside);
    answer.scrollIntoView({ block: "nearest" });
    const { said, told: memory } = await this.answered(answer, aside, model, mode);
    if (this.messages !== messages) return true; // another conversation was begun meanwhile
    if (!said && !memory) {
      // What was never answered is no part of the conversation.
      messages.pop();
      answer.remove();
      return false;
    }
    messages.push({ role: "assistant", content: said });
    if (memory && !this.signal.aborted) await this.beside(aside, memory, text);
    return true;
  }

  async answered(answer, aside, model, mode) {
    this.isBusy = true;
    this.stopping = new AbortController();
    const found = { said: "", told: null };
    try {
      const body = { model, messages: this.messages, stream: true };
      await this.api.converse(`${this.base(model, mode)}/chat/completions`, body, {
        signal: AbortSignal.any([this.signal, this.stopping.signal]),
        headers: mode ? { "X-Apprentice-Memory": mode } : {},
        onEvent: ({ data }) => {
          if (data?.error) throw new Error(data.error.message);
          found.said += data?.choices?.[0]?.delta?.content ?? "";
          found.told = data?.apprentice ?? found.told;
          written(answer, found.said);
        },
      });
    } catch (error) {
      if (error.status === 409) this.end();
      aside.append(error.name === "AbortError" ? notice("Stopped.") : notice(error.message, "error"));
    } finally {
      answer.removeAttribute("aria-busy");
      this.isBusy = false;
    }
    return found;
  }

  /** What was recalled, how long it took, and a word on how it went. */
  async beside(aside, memory, question) {
    const spent = Object.entries(memory.timing ?? {})
      .map(([stage, ms]) => `${stage} ${ms} ms`)
      .join(" · ");
    if (!memory.episode) {
      aside.append(el("p", {}, `Memory was off. ${spent}`));
      return;
    }
    aside.append(
      el("p", {}, `Memory: ${memory.mode}. `, link(`#/episodes/${memory.episode}`, "Its episode"), ` · ${spent}`),
    );
    try {
      aside.append(await recalled(memory, question, this.api, this.signal));
    } catch (error) {
      if (error.name !== "AbortError") aside.append(told(error));
    }
    // The episode is judged as a whole: where its last answer stands.
    this.verdict?.remove();
    this.verdict = feedback(memory.episode, this.api, () => this.end());
    aside.append(this.verdict);
  }
}

/** Put what was said so far in place, and keep its end in sight of whoever reads there. */
function written(answer, said) {
  const { documentElement: page } = document;
  const isNear = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_PX;
  answer.textContent = said;
  if (isNear) page.scrollTop = page.scrollHeight;
}

/** Of 64 bits; also where a page came over plain HTTP, which has no `randomUUID`. */
function drawn() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function recalled(memory, question, api, signal) {
  if (!memory.items.length) return el("p", {}, "Nothing was recalled for it.");
  const { recall } = await api.get(`/v1/episodes/${memory.episode}`, {}, { signal });
  const of = Object.fromEntries((recall?.items ?? []).map((one) => [one.item, one]));
  const items = await Promise.all(memory.items.map((id) => api.get(`/v1/memory/${id}`, {}, { signal })));
  const asked = recall?.query.text ?? question;
  const isEarlier = recall != null && !asked.includes(question);
  return el(
    "div",
    {},
    el("p", {}, isEarlier ? "It was told, as the conversation began:" : "It was told:"),
    el(
      "ul",
      {},
      items.map((item) =>
        el(
          "li",
          {},
          link(`#/memory/${item.id}`, item.text),
          ` ${item.kind}, score ${number(of[item.id]?.score)} · `,
          el(
            "a",
            {
              href: `#/memory/${item.id}?${new URLSearchParams({ query: asked })}`,
              "aria-label": `Why was “${item.text}” recalled?`,
            },
            "why",
          ),
          parts(item, asked, recall?.query.family, api, signal),
        ),
      ),
    ),
  );
}

/** The parts of an item's score, asked for when somebody wants to know. */
function parts(item, asked, family, api, signal) {
  const found = el("div", { role: "status" });
  const show = async () => {
    if (!box.open || found.children.length) return;
    try {
      const { candidates } = await explain(api, asked, family, [item.kind], signal);
      found.replaceChildren(fate(candidates, item));
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(told(error));
    }
  };
  const box = el("details", { on: { toggle: show } }, el("summary", {}, "Its score by parts"), found);
  return box;
}

function feedback(episode, api, ended) {
  const note = el("input", { type: "text" });
  const said = el("div", { role: "status" });
  const give = (outcome) => async () => {
    const values = note.value.trim() ? { note: note.value.trim() } : {};
    await api.post(`/v1/episodes/${episode}/feedback`, { outcome, reward: outcome === "success" ? 1 : 0, values });
    said.replaceChildren(notice("Thank you: it will be learned from. What you say next is another episode.", "good"));
    ended();
  };
  return el(
    "details",
    { class: "verdict" },
    el("summary", {}, "How was that?"),
    field("Note", note),
    el("p", { class: "actions" }, act("It was right", give("success")), act("It was wrong", give("failure"))),
    said,
  );
}
