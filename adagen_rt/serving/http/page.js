// The form: what is asked for, and what a link or this browser remembers of it.
"use strict";
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = { engines: new Map(), run: null, ran: false, wanted: new URLSearchParams(location.hash.slice(1)) };
const SLIDERS = { refine: "This engine has no critic.", fidelity: "This engine has no fidelity policy.", best_of: "This engine has no reward model." };
const TOKEN = "adagen-rt token";
const UNREACHABLE = "The server cannot be reached. Is it still running?";

function element(name, attributes = {}, text = "") {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
  return node;
}

function shape(name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
  return node;
}

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function remember(token) {
  try {
    if (token) localStorage.setItem(TOKEN, token);
    else localStorage.removeItem(TOKEN);
  } catch { /* a browser may forbid it */ }
}

function remembered() {
  try { return localStorage.getItem(TOKEN) ?? ""; } catch { return ""; }
}

function headers() {
  const token = $("token").value.trim();
  const plain = { "Content-Type": "application/json" };
  return token ? { ...plain, Authorization: `Bearer ${token}` } : plain;
}

async function ask(path, options = {}) {
  try {
    return await fetch(path, { headers: headers(), ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(UNREACHABLE);
  }
}

async function refusal(response) {
  if (response.status === 401) return askForToken();
  let message = `The server answered ${response.status}.`;
  try { message = (await response.json()).error.message; } catch { /* not JSON: the status says it */ }
  const wait = response.headers.get("Retry-After");
  return wait ? `${message}. Try again in ${wait} s.` : message;
}

function askForToken() {
  const given = $("token").value.trim() !== "";
  $("token-field").hidden = false;
  $("token").focus();
  return given ? "This is not the server's access token." : "This server asks for an access token.";
}

async function loadEngines() {
  const response = await ask("v1/models");
  if (!response.ok) throw new Error(await refusal(response));
  remember($("token").value.trim());
  const models = (await response.json()).data;
  const fresh = models.filter((model) => !state.engines.has(model.id));
  const first = state.engines.size === 0;
  state.engines = new Map(models.map((model) => [model.id, model]));
  $("engine").append(...fresh.map((model) => element("option", { value: model.id }, model.id)));
  if (first && models.length) {
    restore(state.wanted);
    disable("go", false);
  }
  // An engine comes into the list when it is warm.
  const ready = (await ask("v2/health/ready")).ok;
  // What a run says stays.
  if (!state.ran) say(models.length === 0 ? "Engines are warming up…" : ready ? "Ready." : "Ready. More engines are warming up…");
  if (!ready) setTimeout(start, 1000);
}

function disable(id, on) {
  // A button that is really disabled would drop the focus.
  $(id).setAttribute("aria-disabled", String(on));
}

const enabled = (id) => $(id).getAttribute("aria-disabled") !== "true";

// Prompts that are offered at most.
const EXAMPLES = 6;
const takesPrompts = (model) => model.condition?.kind === "prompt";
const namesOf = (model) => model.class_names ?? [];

function chooseEngine() {
  state.run?.abort.abort();
  const model = state.engines.get($("engine").value);
  const { size, channels } = model.image;
  const [height, width] = Array.isArray(size) ? size : [size, size];
  $("engine-hint").textContent =
    `${model.family}, ${model.steps} steps, ${width} × ${height} ${channels === 1 ? "grey" : "colour"}, schedule ${model.schedule}`;
  askForPrompt(model);
  const named = namesOf(model).length > 0;
  $("class").hidden = !named;
  $("class-number").hidden = named;
  $("class-number").max = (model.class_count ?? 1) - 1;
  document.querySelector('label[for^="class"]').htmlFor = named ? "class" : "class-number";
  const kept = $("class").value;
  $("class").replaceChildren(...namesOf(model).map((name, i) => element("option", { value: i }, name)));
  if (kept !== "" && kept < namesOf(model).length) $("class").value = kept;
  $("steps").placeholder = model.steps;
  $("size-field").hidden = $("size").disabled = !model.sizes;
  $("size").placeholder = `${width}x${height}`;
  if (model.sizes) $("size-hint").textContent = `Width first. Multiples of ${model.sizes.multiple}, at most ${model.sizes.largest}.`;
  for (const [id, reason] of Object.entries(SLIDERS)) limit(id, model.supports[id], reason);
  $("compare").disabled = !model.supports.policy;
  clearResult();
  draw(model, model.static_schedule, {});
}

function askForPrompt(model) {
  const prompts = takesPrompts(model), samples = (prompts && model.condition.samples) || [];
  $("class-field").hidden = prompts;
  $("prompt-field").hidden = !prompts;
  $("negative-field").hidden = !prompts || model.condition.guidance !== "classifier-free";
  if (prompts && $("prompt").value === "") $("prompt").value = samples[0] ?? "";
  $("examples").replaceChildren(...samples.slice(0, EXAMPLES).map(exampleButton));
  $("negative_prompt").placeholder = model.condition?.negative ?? "";
}

function exampleButton(text) {
  const button = element("button", { type: "button" }, text);
  button.addEventListener("click", () => { $("prompt").value = text; });
  return button;
}

// The fields that say what an image is of.
function asked(model) {
  if (!takesPrompts(model)) return [namesOf(model).length ? "class" : "class-number"];
  return $("negative-field").hidden ? ["prompt"] : ["prompt", "negative_prompt"];
}

function limit(id, possible, reason) {
  const hint = $(`${id}-hint`);
  hint.dataset.usual ??= hint.textContent;
  hint.textContent = possible ? hint.dataset.usual : reason;
  $(id).disabled = !possible;
  if (!possible) $(id).value = $(id).min;
  $(`${id}-value`).textContent = $(id).value;
}

function restore(link) {
  if (state.engines.has(link.get("engine"))) $("engine").value = link.get("engine");
  chooseEngine();
  for (const id of ["class", "class-number", "prompt", "negative_prompt", "seed", "count", "steps", "size", ...Object.keys(SLIDERS)]) {
    if (link.has(id) && !$(id).disabled) $(id).value = link.get(id);
  }
  for (const id of Object.keys(SLIDERS)) $(`${id}-value`).textContent = $(id).value;
  if (link.has("compare")) $("compare").checked = link.get("compare") === "1";
}

function link(model) {
  const ids = [...asked(model), "seed", "count", ...Object.keys(SLIDERS)];
  const values = Object.fromEntries(ids.map((id) => [id, $(id).value]));
  if ($("steps").value) values.steps = $("steps").value;
  if (model.sizes && $("size").value) values.size = $("size").value;
  values.compare = $("compare").checked ? "1" : "0";
  return `#${new URLSearchParams({ engine: model.id, ...values })}`;
}

function body(model, seed, fixed, every) {
  const plain = { model: model.id, every, best_of: Number($("best_of").value) };
  const [what, ...more] = asked(model);
  if (what === "prompt") plain.prompt = $("prompt").value;
  else plain.label = Number($(what).value);
  for (const id of more) if ($(id).value !== "") plain[id] = $(id).value;
  if ($("steps").value) plain.steps = Number($("steps").value);
  if (model.sizes && $("size").value) plain.size = $("size").value;
  if (fixed) plain.schedule = "static";
  else Object.assign(plain, { refine: Number($("refine").value), fidelity: Number($("fidelity").value) });
  // Seeds have more digits than a JavaScript number keeps.
  return JSON.stringify(plain).replace(/}$/, `,"seed":${seed}}`);
}

function randomSeed() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  $("seed").value = String(BigInt(high % (1 << 16)) << 32n | BigInt(low));
}
