// Rows of a dataset as people read them: what trains is green, what is unlearned red, what memory told blue.
import { badge, el, link, number, short } from "../parts.js";

/** One row: a line a message, its words coloured by their weight. `line` is one of `messages.jsonl`. */
export function row(line) {
  const { meta } = line;
  const messages = JSON.parse(meta.source);
  const lines = messages.map((message, place) => message_line(message, meta.indices[place]));
  if (meta.rejected) {
    const text = words(JSON.parse(meta.rejected));
    lines.push(said("–", "rejected", -1, [piece(text, -1, "against")], true));
  }
  const from = meta.episode ? link(`#/episodes/${meta.episode}`, short(meta.episode, 30)) : "general";
  return el(
    "article",
    { class: "row" },
    el("h3", {}, "Episode ", from, ` (${meta.stream})`),
    el("ol", { class: "masks" }, ...lines),
  );
}

export function legend() {
  return el(
    "p",
    { class: "legend" },
    ...[
      ["trains", "trains"],
      ["against", "is unlearned"],
      ["memory", "memory told it: never trains"],
      ["context", "is only read"],
    ].map(([kind, text]) => el("span", { class: `piece ${kind}` }, text)),
    " ",
    badge("wrong", "bad"),
    " a step that went wrong",
  );
}

function message_line(message, index) {
  const weight = message.weight ?? 0;
  const wrong = message.role === "assistant" && message.ok === false;
  return said(index < 0 ? "new" : String(index), message.role, weight, pieces(message, weight), wrong);
}

function said(place, speaker, weight, parts, wrong) {
  return el(
    "li",
    { class: wrong ? "wrong" : "" },
    el("span", { class: "place" }, place),
    el("span", { class: "weight" }, number(weight)),
    el("span", { class: "speaker" }, speaker),
    el("span", { class: "words" }, ...parts, ...(wrong ? [" ", badge("wrong", "bad")] : [])),
  );
}

function words(message) {
  const text =
    typeof message.content === "string" ? message.content : message.content.map((part) => part.text ?? "").join("");
  return text || (message.tool_calls ?? []).map((call) => `${call.name} ${JSON.stringify(call.arguments)}`).join(" ");
}

/** The text cut where spans begin and end. Spans count characters as Python does: by code point. */
function pieces(message, weight) {
  const text = [...words(message)];
  const found = [];
  let at = 0;
  const cut = (end, own) => {
    if (end > at) found.push(piece(text.slice(at, end).join(""), own, fate(message, own)));
    at = Math.max(at, end);
  };
  for (const span of [...(message.spans ?? [])].sort((a, b) => a.begin - b.begin)) {
    cut(span.begin, weight);
    cut(span.end, weight ? span.weight : 0);
  }
  cut(text.length, weight);
  return found;
}

function fate(message, weight) {
  if (message.kind === "memory") return "memory";
  return weight > 0 ? "trains" : weight < 0 ? "against" : "context";
}

function piece(text, weight, kind) {
  const strong = Math.abs(weight) >= 0.5 ? "strong" : "";
  return el("span", { class: `piece ${kind} ${strong}`.trim() }, text);
}
