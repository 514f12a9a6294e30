// A run: images of consecutive seeds, each by the policy and, beside it, by the static schedule.
const OFTEN = 1, NEVER = 1000, LONGEST_NAME = 60;

function clearResult() {
  for (const id of ["film", "final", "final-static", "facts", "gallery"]) $(id).replaceChildren();
  $("film-hint").hidden = false;
  $("final-caption").textContent = "Nothing generated yet.";
  $("static-caption").textContent = "";
  $("static-figure").hidden = !compares();
  $("more").hidden = $("link").hidden = true;
}

const compares = () => $("compare").checked && !$("compare").disabled;
const picture = (data, alt) => element("img", { src: `data:image/png;base64,${data}`, alt });

function showStep(data, name) {
  const item = element("li");
  const figure = element("figure");
  const frame = element("div", { class: "frame" });
  frame.append(picture(data.image, `${name} after step ${data.step} of ${data.steps}`));
  figure.append(frame, element("figcaption", {}, `step ${data.step}`));
  item.append(figure);
  $("film").append(item);
  $("film-hint").hidden = true;
  show("final", "final-caption", data, name, `step ${data.step} of ${data.steps}`);
}

function show(frame, caption, data, name, text) {
  $(frame).replaceChildren(picture(data.image, `${name}, ${text}`));
  $(caption).textContent = `${name}, ${text}`;
}

function download(one, data) {
  const file = `${one.model.id}-${one.name}-${data.seed}${one.fixed ? "-static" : ""}.png`.replaceAll(/[^\w.-]+/g, "-");
  return element("a", { href: `data:image/png;base64,${data.image}`, download: file }, "Download");
}

function showDone(one, data) {
  const text = one.fixed ? "static schedule" : one.model.supports.policy ? "chosen for this image" : "finished";
  if (one.first) {
    show(one.fixed ? "final-static" : "final", one.fixed ? "static-caption" : "final-caption", data, one.name, text);
    $(one.fixed ? "static-caption" : "final-caption").append(" ", download(one, data));
  }
  if (one.first && !one.fixed) showFacts(data);
  const frame = element("div", { class: "frame" });
  frame.append(picture(data.image, `${one.name}, seed ${data.seed}, ${text}`));
  const caption = element("figcaption", {}, `seed ${data.seed}, ${one.fixed ? "static" : "chosen"} `);
  caption.append(download(one, data));
  one.figure.append(frame, caption);
}

function showFacts(data) {
  const facts = [
    ["seed", data.seed], ["time", `${(data.seconds * 1000).toFixed(0)} ms`],
    ...(data.cut ? [["cut", data.cut]] : []),
    ["queued", `${(data.queued_seconds * 1000).toFixed(0)} ms`], ["evaluations", data.evaluations],
    ["backbone rows", data.backbone_rows],
  ];
  $("facts").replaceChildren(...facts.flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, value)]));
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The connection was lost before the image was done.");
    }
    if (part.done) return;
    text += part.value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const one of parts) {
      const fields = Object.fromEntries(one.split("\n").map((line) => line.split(/: (.*)/s)));
      if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

async function make(one, signal) {
  const every = one.first && !one.fixed ? OFTEN : NEVER;
  const options = { method: "POST", body: body(one.model, one.seed, one.fixed, every), signal };
  const response = await ask("events", options);
  if (!response.ok) throw new Error(await refusal(response));
  let fixed = one.model.static_schedule, finished = false;
  for await (const { name, data } of events(response)) {
    if (signal.aborted) return;
    if (name === "queued") fixed = data.static_schedule;
    if (name === "error") throw new Error(data.message);
    if (name === "step" && every === OFTEN) { showStep(data, one.name); say(`Step ${data.step} of ${data.steps}`); }
    if ((name === "step" || name === "done") && one.first && !one.fixed) draw(one.model, fixed, data.schedule);
    if (name === "done") { showDone(one, data); finished = true; }
  }
  if (!finished) throw new Error("The server closed the connection before the image was done.");
}

function nameOf(model) {
  if (!takesPrompts(model)) return namesOf(model)[$("class").value] ?? `class ${$("class-number").value}`;
  const text = $("prompt").value.trim() || "no prompt";
  return text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME)}…` : text;
}

function plan(model) {
  const name = nameOf(model);
  const runs = [];
  for (let i = 0; i < Number($("count").value); i++) {
    const item = element("li", { class: "twins" });
    $("gallery").append(item);
    for (const fixed of compares() ? [false, true] : [false]) {
      const figure = element("figure");
      item.append(figure);
      runs.push({ model, name, fixed, figure, first: i === 0, seed: BigInt($("seed").value) + BigInt(i) });
    }
  }
  $("more").hidden = Number($("count").value) === 1;
  return runs;
}

async function generate() {
  const model = state.engines.get($("engine").value);
  const run = { abort: new AbortController() };
  state.run = run;
  state.ran = true;
  clearResult();
  draw(model, model.static_schedule, {});
  busy(true);
  say("Queued…");
  $("link").href = link(model);
  history.replaceState(null, "", $("link").href);
  reveal();
  try {
    await Promise.all(plan(model).map((one) => make(one, run.abort.signal)));
    $("link").hidden = false;
    say("Done.");
  } catch (error) {
    if (error.name === "AbortError") say("Stopped.");
    else complain(error.message);
    run.abort.abort();
  } finally {
    busy(false);
    state.run = null;
  }
}

function complain(message) {
  say(message, true);
  // On a phone it may be above what is seen.
  $("status").scrollIntoView({ block: "nearest" });
}

function reveal() {
  // In one column, as on a phone, the image is below the form.
  const box = $("image").getBoundingClientRect();
  if (box.top > innerHeight * 0.6) $("image").scrollIntoView({ block: "start" });
}

function busy(on) {
  disable("go", on);
  disable("stop", !on);
}

function start() {
  loadEngines().catch((error) => say(error.message, true));
}

for (const id of Object.keys(SLIDERS)) {
  $(id).addEventListener("input", () => { $(`${id}-value`).textContent = $(id).value; });
}
$("token").value = remembered();
$("engine").addEventListener("change", chooseEngine);
$("token").addEventListener("change", () => { if (!$("token").value.trim()) remember(""); start(); });
$("dice").addEventListener("click", randomSeed);
$("compare").addEventListener("change", () => { $("static-figure").hidden = !compares(); });
$("stop").addEventListener("click", () => state.run?.abort.abort());
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (enabled("go")) generate();
});
start();
