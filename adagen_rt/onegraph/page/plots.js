// Draws what was chosen at each step: a plot an action, from numbers that may be NaN.
const WIDTH = 260, HEIGHT = 96, LEFT = 40, BOTTOM = 18, TOP = 8;

export function plot(name, values) {
  const box = document.createElement("div");
  const title = document.createElement("h2");
  title.textContent = name.replaceAll("_", " ");
  box.append(title, drawing(name, values));
  return box;
}

function drawing(name, values) {
  const known = values.filter(Number.isFinite);
  const low = Math.min(0, ...known), high = Math.max(...known, low + 1e-6);
  const x = (i) => LEFT + (i / Math.max(1, values.length - 1)) * (WIDTH - LEFT - 8);
  const y = (v) => TOP + (1 - (v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const points = values.map((v, i) => [x(i), y(v)]).filter(([, at]) => Number.isFinite(at));
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  svg.append(text(node("title"), `${name}: ${values.map(shown).join(", ")}`));
  for (const value of [low, high]) {
    svg.append(node("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), class: "axis" }));
    svg.append(text(node("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end", class: "tick" }), shown(value)));
  }
  for (const [at, call] of [[x(0), 0], [x(values.length - 1), values.length - 1]]) {
    svg.append(text(node("text", { x: at, y: HEIGHT - 3, "text-anchor": "middle", class: "tick" }), call));
  }
  svg.append(node("polyline", { points: points.map((p) => p.join(",")).join(" "), class: "chosen" }));
  for (const [cx, cy] of points) svg.append(node("circle", { cx, cy, r: 3, class: "dot" }));
  return svg;
}

function node(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(made, content) {
  made.textContent = content;
  return made;
}

function shown(value) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "-";
}
