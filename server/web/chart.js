// Two kinds of picture, each with its numbers beside it for whoever cannot see it.
import { el, svg, table } from "./dom.js";

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 48;
const BOTTOM = 36;
const TOP = 24;
const KINDS = 4; // as many looks as app.css has

const rounded = (value) => (value == null ? "" : String(Math.round(value * 1000) / 1000));

/** `series` is [{name, points: [{x, y, low, high}]}]; the span from low to high is drawn behind the line. */
export function lines(series, { x, y, title }) {
  const points = series.flatMap((one) => one.points);
  const xs = scale(
    points.map((one) => one.x),
    LEFT,
    WIDTH - 12,
  );
  const ys = scale([0, ...points.flatMap((one) => [one.y, one.low, one.high])], HEIGHT - BOTTOM, TOP);
  const drawn = series.map((one, place) =>
    svg(
      "g",
      { class: `series kind-${place % KINDS}` },
      band(one.points, xs, ys),
      svg("polyline", { class: "line", points: one.points.map((p) => `${xs(p.x)},${ys(p.y)}`).join(" ") }),
      one.points.map((p) => svg("circle", { class: "dot", cx: xs(p.x), cy: ys(p.y), r: 3 })),
    ),
  );
  const picture = framed(title, [...axes(xs, ys, x, y), ...drawn]);
  const rows = series.flatMap((one) =>
    one.points.map((p) => [
      one.name,
      rounded(p.x),
      rounded(p.y),
      p.low == null ? "" : `${rounded(p.low)} to ${rounded(p.high)}`,
    ]),
  );
  return figure(
    title,
    picture,
    series.map((one) => one.name),
    [["", x, y, "interval"], rows],
  );
}

function band(points, xs, ys) {
  const known = points.filter((p) => p.low != null && p.high != null);
  if (!known.length) return null;
  const upper = known.map((p) => `${xs(p.x)},${ys(p.high)}`);
  const lower = known.map((p) => `${xs(p.x)},${ys(p.low)}`).reverse();
  return svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") });
}

/** `rows` is [{name, value, low, high}], shares from 0 to 1. */
export function bars(rows, { title }) {
  const height = 34;
  const left = 170;
  const at = (value) => left + value * (WIDTH - left - 60);
  const drawn = rows.map((one, place) => {
    const middle = place * height + height / 2 + TOP / 2;
    return svg(
      "g",
      { class: "series kind-0" },
      svg("text", { x: left - 10, y: middle, class: "name" }, one.name),
      svg("rect", { class: "bar", x: left, y: middle - 9, width: Math.max(1, at(one.value) - left), height: 18 }),
      one.low != null && svg("line", { class: "span", x1: at(one.low), x2: at(one.high), y1: middle, y2: middle }),
      svg(
        "text",
        { x: at(Math.max(one.value, one.high ?? 0)) + 8, y: middle, class: "value" },
        `${Math.round(100 * one.value)} %`,
      ),
    );
  });
  const picture = framed(title, drawn, rows.length * height + TOP);
  const cells = rows.map((one) => [
    one.name,
    rounded(one.value),
    one.low == null ? "" : `${rounded(one.low)} to ${rounded(one.high)}`,
  ]);
  return figure(title, picture, [], [["", "share", "interval"], cells]);
}

function framed(title, drawn, height = HEIGHT) {
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": title, class: "chart" }, drawn);
}

function figure(title, picture, names, [heads, rows]) {
  const legend =
    names.length > 1 &&
    el(
      "ul",
      { class: "legend" },
      names.map((name, place) =>
        el("li", { class: `kind-${place % KINDS}` }, el("span", { class: "swatch", "aria-hidden": "true" }), name),
      ),
    );
  return el(
    "figure",
    {},
    el("figcaption", {}, title),
    picture,
    legend,
    el("details", {}, el("summary", {}, "As a table"), table(title, heads, rows)),
  );
}

function scale(values, from, to) {
  const known = values.filter((one) => one != null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const place = (value) => Math.round(10 * (from + ((value - low) / (high - low || 1)) * (to - from))) / 10;
  return Object.assign(place, { low, high });
}

function axes(xs, ys, x, y) {
  const middle = (ys.low + ys.high) / 2;
  const marks = [ys.low, middle, ys.high].flatMap((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 12, y1: ys(value), y2: ys(value) }),
    svg("text", { class: "mark", x: LEFT - 6, y: ys(value) }, String(Math.round(value * 100) / 100)),
  ]);
  const ends = [xs.low, xs.high].map((value) =>
    svg("text", { class: "end", x: xs(value), y: HEIGHT - BOTTOM + 16 }, String(Math.round(value * 100) / 100)),
  );
  return [
    ...marks,
    ...ends,
    svg("text", { class: "axis", x: (LEFT + WIDTH) / 2, y: HEIGHT - 4 }, x),
    svg("text", { class: "axis-y", x: LEFT, y: TOP - 10 }, y),
  ];
}
