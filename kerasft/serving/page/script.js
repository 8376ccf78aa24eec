// The form: which models there are, what their signatures take, and one request at a time.

import { make, show } from "./show.js";

const at = (id) => document.getElementById(id);
const STEP = 8; // tokens a request while text is streamed
const INTEGERS = ["DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16", "DT_UINT32", "DT_UINT64"];
const NUMBERS = [...INTEGERS, "DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16"];

let server = { models: [], grpc_port: 0 };
let signatures = {};
let running = null;

async function fetched(path, options) {
  const reply = await fetch(path, options);
  const text = await reply.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // NaN and Infinity stand bare in the server's JSON. Strings are matched too, to be left as they are.
    body = JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (one) => (one[0] === '"' ? one : `"${one}"`)));
  }
  if (!reply.ok) throw new Error(body.error ?? `HTTP ${reply.status}`);
  return body;
}

const model = () => server.models.find((one) => one.name === at("model").value);
const signature = () => signatures[at("signature").value];
const isStreamed = () => at("signature").value === "continue" && "so_far" in signature().inputs;

// Inputs that the page fills in by itself while it streams.
const hidden = (name) => isStreamed() && name === "so_far";

function oneOf(tensor) {
  // A default of a signature: a TensorProto as JSON.
  for (const field of ["float_val", "double_val", "int_val", "int64_val"]) {
    if (tensor[field]?.length) return String(tensor[field][0]);
  }
  if (tensor.string_val?.length) {
    return new TextDecoder().decode(Uint8Array.from(atob(tensor.string_val[0]), (one) => one.charCodeAt(0)));
  }
  return tensor.dtype === "DT_STRING" ? "" : "0";
}

const isPlain = (info) => !info.tensor_shape.unknown_rank && (info.tensor_shape.dim ?? []).length <= 1;

function field(name, info, value) {
  const id = `input-${name}`;
  const text = info.dtype === "DT_STRING" && isPlain(info);
  const number = NUMBERS.includes(info.dtype) && isPlain(info);
  const kind = text ? "" : number ? (INTEGERS.includes(info.dtype) ? "a whole number" : "a number") : "as JSON";
  const label = make("label", { for: id, text: `${name} ` }, make("span", { class: "kind", text: kind }));
  const short = value !== undefined || number;
  const input = make(short ? "input" : "textarea", { id, name, spellcheck: "false" });
  if (number) {
    input.inputMode = "decimal";
    input.required = true;
  }
  input.value = value ?? "";
  return make("div", { class: "field" }, label, input);
}

function showFields() {
  const kept = Object.fromEntries(Array.from(at("fields").querySelectorAll("[name]"), (one) => [one.name, one.value]));
  const { inputs, defaults = {} } = signature();
  const columns = model()?.columns ?? [];
  const place = (name) => (columns.includes(name) ? columns.indexOf(name) : columns.length);
  const names = Object.keys(inputs).filter((name) => !hidden(name));
  names.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  const knobs = names.filter((name) => name in defaults);
  at("fields").replaceChildren(...names.filter((name) => !knobs.includes(name)).map((name) => field(name, inputs[name])));
  at("knob-fields").replaceChildren(...knobs.map((name) => field(name, inputs[name], oneOf(defaults[name]))));
  at("knobs").hidden = knobs.length === 0;
  for (const input of at("fields").querySelectorAll("[name]")) if (kept[input.name]) input.value = kept[input.name];
  at("ask").disabled = false;
  at("result").hidden = at("requests").hidden = true;
}

async function showModel() {
  at("ask").disabled = true;
  const path = `/v1/models/${encodeURIComponent(at("model").value)}`;
  try {
    const found = await fetched(`${path}/metadata`);
    // Signatures for tf.Example and for the loader are not for a form.
    signatures = Object.fromEntries(
      Object.entries(found.metadata.signature_def.signature_def).filter(
        ([name, one]) => !/\/(classify|regress)$/.test(one.method_name ?? "") && !name.startsWith("__"),
      ),
    );
    const names = Object.keys(signatures).sort();
    at("signature").replaceChildren(
      ...names.map((name) => make("option", { value: name, text: name === "continue" ? "continue (as it is written)" : name })),
    );
    at("signature").value = ["continue", "serving_default", ...names].find((name) => name in signatures) ?? "";
    const task = model()?.task;
    at("state").textContent = `version ${found.model_spec.version}${task ? `, ${task}` : ""}`;
    showFields();
  } catch (error) {
    at("state").textContent = `${at("model").value}: ${error.message}`;
  }
}

function valueOf(name, info, text) {
  if (isPlain(info) && info.dtype === "DT_STRING") return text;
  if (isPlain(info) && NUMBERS.includes(info.dtype)) {
    const number = Number(text);
    if (text.trim() === "" || !Number.isFinite(number)) throw new Error(`${name} must be a number; found "${text}".`);
    return number;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name} must be JSON, such as [1.0]; found "${text}".`);
  }
}

function row() {
  const { inputs } = signature();
  const given = {};
  for (const input of at("form").querySelectorAll("#fields [name], #knob-fields [name]")) {
    given[input.name] = valueOf(input.name, inputs[input.name], input.value);
  }
  return given;
}

const bodyOf = (given) => ({ signature_name: at("signature").value, instances: [given] });

async function predicted(given, signal) {
  const path = `/v1/models/${encodeURIComponent(at("model").value)}:predict`;
  const found = await fetched(path, { method: "POST", body: JSON.stringify(bodyOf(given)), signal });
  const first = found.predictions[0];
  const names = Object.keys(signature().outputs);
  return names.length === 1 ? { [names[0]]: first } : first;
}

async function streamed(given, signal, seen) {
  let left = Math.max(1, given.max_new_tokens);
  let so_far = "";
  for (;;) {
    const answer = await predicted({ ...given, so_far, max_new_tokens: Math.min(STEP, left) }, signal);
    left -= STEP;
    seen(answer);
    if (answer.finish_reason !== "length" || left <= 0 || answer.text === so_far) return;
    so_far = answer.text;
  }
}

function showAnswer(given, answer, began) {
  at("latency").textContent = `${(performance.now() - began).toFixed(0)} ms`;
  at("raw").textContent = JSON.stringify(answer, null, 1);
  show(at("answer"), answer, given, model()?.labels);
}

async function ask(event) {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  at("ask").disabled = true;
  at("error").hidden = true;
  at("answer").replaceChildren();
  at("raw").textContent = at("latency").textContent = "";
  at("result").hidden = false;
  const began = performance.now();
  try {
    const given = row();
    const whole = isStreamed() ? { ...given, so_far: "" } : given;
    showRequests(whole);
    if (isStreamed()) {
      at("stop").hidden = false;
      await streamed(given, running.signal, (answer) => showAnswer(given, answer, began));
    } else {
      showAnswer(given, await predicted(given, running.signal), began);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      at("error").textContent = error.message;
      at("error").hidden = false;
    }
  }
  running = null;
  at("stop").hidden = true;
  at("ask").disabled = false;
}

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function inPython(name, info, value) {
  const known = { DT_FLOAT: "float32", DT_DOUBLE: "float64" };
  const dtype = info.dtype === "DT_STRING" ? "" : `, tf.${known[info.dtype] ?? info.dtype.slice(3).toLowerCase()}`;
  const literal = typeof value === "boolean" ? (value ? "[True]" : "[False]") : JSON.stringify([value]);
  return `request.inputs[${JSON.stringify(name)}].CopyFrom(tf.make_tensor_proto(${literal}${dtype}))`;
}

function showRequests(given) {
  const name = at("model").value;
  const url = `${location.origin}/v1/models/${encodeURIComponent(name)}:predict`;
  at("curl").textContent = `curl -d ${inShell(JSON.stringify(bodyOf(given)))} \\\n  ${inShell(url)}`;
  const address = JSON.stringify(`${location.hostname}:${server.grpc_port}`);
  const channel = server.grpc_tls
    ? `grpc.secure_channel(${address}, grpc.ssl_channel_credentials(open("ca.pem", "rb").read()))`
    : `grpc.insecure_channel(${address})`;
  at("grpc").textContent = [
    "import grpc",
    "import tensorflow as tf",
    "from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc",
    "",
    `channel = ${channel}`,
    "stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)",
    "request = predict_pb2.PredictRequest()",
    `request.model_spec.name = ${JSON.stringify(name)}`,
    `request.model_spec.signature_name = ${JSON.stringify(at("signature").value)}`,
    ...Object.entries(given).map(([one, value]) => inPython(one, signature().inputs[one], value)),
    "print(stub.Predict(request, timeout=30))",
  ].join("\n");
  at("requests").hidden = false;
  at("grpc-request").hidden = !server.grpc_port;
}

async function copy(event) {
  const button = event.currentTarget;
  const text = at(button.dataset.of).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP from another machine there is no clipboard: select it, for the person to copy.
    getSelection().selectAllChildren(at(button.dataset.of));
    return;
  }
  const before = button.firstChild.textContent;
  button.firstChild.textContent = "Copied";
  setTimeout(() => (button.firstChild.textContent = before), 1500);
}

async function start() {
  at("form").addEventListener("submit", ask);
  at("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
  });
  at("stop").addEventListener("click", () => running?.abort());
  at("model").addEventListener("change", showModel);
  at("signature").addEventListener("change", showFields);
  for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", copy);
  try {
    server = await fetched("/page/models.json");
  } catch (error) {
    at("state").textContent = `The server does not answer: ${error.message}`;
    return;
  }
  at("model").replaceChildren(...server.models.map((one) => make("option", { value: one.name, text: one.name })));
  if (server.models.length) await showModel();
  else at("state").textContent = "No model is served.";
}

start();
