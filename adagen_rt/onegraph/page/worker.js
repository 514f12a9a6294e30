// Runs the model, away from the page's thread. It is told {labels, seeds, fidelity} and tells
// {images, schedule, failed, milliseconds}, or {error}; first of all {ready}.
import * as ort from "./ort.wasm.min.mjs";

// More threads would need headers that make the page isolated, which plain file servers do not send.
ort.env.wasm.numThreads = 1;
const wanted = ["images", "schedule", "failed"];
const session = ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });

session.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ error: `The model cannot be loaded: ${error.message}` }),
);

onmessage = async ({ data }) => {
  try {
    const runner = await session;
    const feeds = {
      labels: new ort.Tensor("int64", BigInt64Array.from(data.labels, BigInt)),
      seeds: new ort.Tensor("int64", BigInt64Array.from(data.seeds)),
    };
    if (data.fidelity) feeds.fidelity = new ort.Tensor("float32", Float32Array.from(data.fidelity));
    const start = performance.now();
    const done = await runner.run(feeds, wanted);
    const milliseconds = performance.now() - start;
    const answer = { milliseconds, shape: done.images.dims };
    for (const name of wanted) answer[name] = done[name].data;
    postMessage(answer);
  } catch (error) {
    postMessage({ error: `The model failed: ${error.message}` });
  }
};
