// Plots and table of a schedule.
const words = (name) => name.replaceAll("_", " ");
const round = (value) => value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toString();

function draw(model, fixed, chosen) {
  const names = model.actions.map((action) => action.name);
  $("plots").replaceChildren(...names.map((name) => plot(name, fixed[name], chosen[name] ?? [])));
  fillTable(names, fixed, chosen);
}

function plot(name, fixed, chosen) {
  const width = 320, height = 150, left = 40, right = 8, top = 8, bottom = 22;
  const known = [...fixed, ...chosen].filter((value) => value !== null);
  const most = niceTop(Math.max(...known, 1e-6));
  const x = (i) => left + (fixed.length > 1 ? i / (fixed.length - 1) : 0.5) * (width - left - right);
  const y = (value) => height - bottom - value / most * (height - top - bottom);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(name, fixed, chosen) });
  for (const part of [0, 0.5, 1]) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(part * most), y2: y(part * most) }));
    svg.append(shape("text", { class: "tick", x: left - 6, y: y(part * most) + 4, "text-anchor": "end" }, round(part * most)));
  }
  const stride = Math.ceil(fixed.length / 10);
  fixed.forEach((_, i) => {
    if (i % stride === 0) svg.append(shape("text", { class: "tick", x: x(i), y: height - 5, "text-anchor": "middle" }, i + 1));
  });
  const points = (values) => values.map((value, i) => value === null ? null : [x(i), y(value)]).filter(Boolean);
  const line = (values) => points(values).map((point) => point.map((v) => v.toFixed(1)).join(",")).join(" ");
  svg.append(shape("polyline", { class: "static", points: line(fixed) }));
  svg.append(shape("polyline", { class: "chosen", points: line(chosen) }));
  for (const [cx, cy] of points(chosen)) svg.append(shape("circle", { class: "dot", cx, cy, r: 3.5 }));
  const box = element("div", { class: "plot" });
  box.append(element("h3", {}, words(name)), svg);
  return box;
}

function niceTop(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * unit).find((end) => end >= value * 0.999);
}

function describe(name, fixed, chosen) {
  const list = (values) => values.map(round).join(", ");
  const own = chosen.length ? `chosen ${list(chosen)}; ` : "";
  return `${words(name)} by policy call: ${own}static ${list(fixed)}`;
}

function fillTable(names, fixed, chosen) {
  const calls = fixed[names[0]].length;
  const head = element("tr");
  head.append(element("th", { scope: "col" }, "parameter"));
  for (let i = 0; i < calls; i++) head.append(element("th", { scope: "col" }, i + 1));
  const rows = names.flatMap((name) => [["chosen", chosen[name] ?? []], ["static", fixed[name]]].map(([kind, values]) => {
    const row = element("tr");
    row.append(element("th", { scope: "row" }, `${words(name)}, ${kind}`));
    for (let i = 0; i < calls; i++) row.append(element("td", {}, round(values[i])));
    return row;
  }));
  const thead = element("thead"), tbody = element("tbody");
  thead.append(head);
  tbody.append(...rows);
  $("table").replaceChildren(thead, tbody);
}
