// The page around the model: asks the worker for an image, and shows it with its schedule.
import { plot } from "./plots.js";

const LAST_SEED = (1n << 63n) - 1n;
const byId = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const facts = await (await fetch("model.json")).json();
let asked;

describe();
worker.onmessage = ({ data }) => (data.error ? say(data.error, true) : data.ready ? say("Ready.") : show(data));
worker.onerror = (event) => say(`The worker failed: ${event.message ?? "it cannot be loaded"}`, true);
byId("form").addEventListener("submit", (event) => { event.preventDefault(); generate(); });
byId("next").addEventListener("click", () => {
  const seed = readSeed();
  if (seed === null) return;
  byId("seed").value = String(seed < LAST_SEED ? seed + 1n : 0n);
  generate();
});

function describe() {
  document.title = `${facts.name} - adagen-rt`;
  byId("name").textContent = facts.name;
  byId("about").textContent = `A whole generation runs in this browser: ${facts.steps} steps, schedule: ${facts.schedule}.`;
  byId("share").hidden = !facts.fidelity_input;
  facts.classes.forEach((name, number) => byId("label").append(new Option(name, number)));
}

function readSeed() {
  const text = byId("seed").value.trim();
  if (/^\d{1,19}$/.test(text) && BigInt(text) <= LAST_SEED) return BigInt(text);
  say(`Seed: got ${text || "nothing"}, expected a whole number from 0 to ${LAST_SEED}.`, true);
  return null;
}

function generate() {
  const seed = readSeed();
  if (seed === null) return;
  const label = Number(byId("label").value);
  asked = { labels: [label], seeds: [seed] };
  if (facts.fidelity_input) asked.fidelity = [Number(byId("fidelity").value)];
  say("Generating.");
  enable(false);
  worker.postMessage(asked);
}

function show(made) {
  const [, height, width, channels] = made.shape, canvas = byId("image");
  enable(true);
  byId("result").hidden = false;
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(colours(made.images, width, height, channels), 0, 0);
  const title = `${facts.classes[asked.labels[0]]}, seed ${asked.seeds[0]}`;
  byId("caption").textContent = title;
  canvas.setAttribute("aria-label", title);
  const columns = facts.actions.length;
  byId("plots").replaceChildren(...facts.actions.map((name, column) =>
    plot(name, [...made.schedule].filter((_, place) => place % columns === column))));
  const failed = made.failed[0];
  if (failed !== 0n) return say(failed < 0n ? "The model has no such class or seed." : `A number was not finite at step ${failed}.`, true);
  say(`Done in ${Math.round(made.milliseconds)} ms.`);
  canvas.toBlob((blob) => {
    const link = byId("save");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
    link.download = `${facts.name}-${facts.classes[asked.labels[0]]}-${asked.seeds[0]}.png`.replaceAll(/[^\w.-]+/g, "-");
  });
}

function colours(pixels, width, height, channels) {
  const image = new ImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const from = place * channels;
    const colour = channels === 1 ? [pixels[from], pixels[from], pixels[from]] : pixels.slice(from, from + 3);
    image.data.set(colour, 4 * place);
    image.data[4 * place + 3] = 255;
  }
  return image;
}

function enable(ready) {
  for (const id of ["go", "next"]) byId(id).disabled = !ready;
}

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
  if (text === "Ready." || bad) enable(true);
}
