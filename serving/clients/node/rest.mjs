// Asks a served `sentiment` model over REST. Node 18 or newer, nothing to install.
//
//   node rest.mjs "A joyless film." "Warm, sly and very funny."
//   SERVING_URL=https://models.example.com node rest.mjs --deadline 2 "A joyless film."
//
// Node's fetch keeps connections open between requests. A refused or lost request is asked again, later and later (a
// prediction changes nothing, so asking twice is safe), until the deadline, which holds for all tries together.
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

// Full or starting (503), or told so by a proxy. 504 is not among them: the time is over.
const AGAIN = new Set([429, 502, 503]);

const sleep = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

/**
 * Asks for all texts in one request.
 *
 * @param {string[]} texts
 * @param {{url: string, model?: string, deadline?: number, retries?: number}} settings deadline in seconds
 * @returns {Promise<{label: string, score: number, probabilities: number[]}[]>} in the order of the texts
 */
export async function predict(texts, { url, model = "sentiment", deadline = 5, retries = 4 }) {
  const signal = AbortSignal.timeout(deadline * 1000);
  const endpoint = `${url.replace(/\/$/, "")}/v1/models/${encodeURIComponent(model)}:predict`;
  const body = JSON.stringify({ instances: texts });
  try {
    for (let attempt = 0; ; attempt++) {
      let response, why;
      try {
        const headers = { "Content-Type": "application/json" };
        response = await fetch(endpoint, { method: "POST", headers, body, signal });
        const text = await response.text();
        if (response.ok) return JSON.parse(text).predictions;
        why = `HTTP ${response.status}: ${errorOf(text)}`;
      } catch (error) {
        // fetch throws a TypeError when there was no answer, or not a whole one.
        if (!(error instanceof TypeError)) throw error;
        response = null;
        why = error.cause?.message || error.message;
      }
      if (response && !AGAIN.has(response.status)) throw new Error(why);
      if (attempt >= retries) throw new Error(`gave up: ${why}`);
      // Doubled each time, and a random part, so that clients do not come back at once.
      await sleep((0.5 + Math.random() / 2) * Math.min(2000, 100 * 2 ** attempt), signal);
    }
  } catch (error) {
    if (signal.aborted) throw new Error(`no answer within ${deadline} s`);
    throw error;
  }
}

function errorOf(text) {
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return "no JSON: is this a model server?";
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: "string", default: process.env.SERVING_URL ?? "http://127.0.0.1:8501" },
      model: { type: "string", default: process.env.SERVING_MODEL ?? "sentiment" },
      deadline: { type: "string", default: process.env.SERVING_DEADLINE ?? "5" },
      retries: { type: "string", default: "4" },
    },
  });
  if (!positionals.length) throw new Error("expected texts. Try: node rest.mjs 'A joyless film.'");
  const settings = { ...values, deadline: Number(values.deadline), retries: Number(values.retries) };
  const answers = await predict(positionals, settings);
  answers.forEach(({ label, score, probabilities }, row) =>
    console.log(JSON.stringify({ text: positionals[row], label, score, probabilities })),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    console.error(`Error: ${error.message}`);
    process.exitCode = 1;
  });
}
