// Asks a served `sentiment` model over gRPC.
//
//   npm install @grpc/grpc-js protobufjs
//   node grpc.mjs "A joyless film." "Warm, sly and very funny."
//   node grpc.mjs --target dns:///sentiment-pods:8500 --ca ca.pem "A joyless film."
//
// No generated code: the fields of TensorFlow Serving's messages that a prediction takes are below. One client for the
// life of the process. gRPC itself asks again when a server is full or going (UNAVAILABLE), later and later, and waits
// for one that is starting; the deadline holds for all tries together.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Dim { int64 size = 1; }
  message Shape { repeated Dim dim = 2; }
  message Tensor {
    int32 dtype = 1;
    Shape tensor_shape = 2;
    bytes tensor_content = 4;
    repeated float float_val = 5;
    repeated bytes string_val = 8;
  }
  message ModelSpec { string name = 1; string signature_name = 3; string version_label = 4; }
  message Request { ModelSpec model_spec = 1; map<string, Tensor> inputs = 2; repeated string output_filter = 3; }
  message Response { map<string, Tensor> outputs = 1; }
`, { keepCase: true });
const [Request, Response] = ["Request", "Response"].map((name) => root.lookupType(name));
const METHOD = "/tensorflow.serving.PredictionService/Predict";
const STRING = 7; // DT_STRING

/** Opens a client; `close()` it at the end of the process. */
export function connect({ target, ca, retries = 4 }) {
  const method = { name: [{ service: "tensorflow.serving.PredictionService" }] };
  if (retries)
    method.retryPolicy = {
      maxAttempts: Math.min(retries + 1, 5), // gRPC allows no more
      initialBackoff: "0.1s",
      maxBackoff: "2s",
      backoffMultiplier: 2,
      retryableStatusCodes: ["UNAVAILABLE"],
    };
  const config = { loadBalancingConfig: [{ round_robin: {} }], methodConfig: [method] };
  const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
  return new grpc.Client(target, credentials, {
    "grpc.service_config": JSON.stringify(config),
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2000,
  });
}

/**
 * Asks for all texts in one request.
 *
 * @returns {Promise<{label: string, score: number, probabilities: number[]}[]>} in the order of the texts
 */
export function predict(client, texts, { model = "sentiment", deadline = 5 } = {}) {
  const text = {
    dtype: STRING,
    tensor_shape: { dim: [{ size: texts.length }] },
    string_val: texts.map((each) => Buffer.from(each)),
  };
  const request = { model_spec: { name: model }, inputs: { text } };
  const metadata = new grpc.Metadata({ waitForReady: true });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      METHOD,
      (value) => Buffer.from(Request.encode(Request.fromObject(value)).finish()),
      (bytes) => Response.decode(bytes),
      request,
      metadata,
      { deadline: Date.now() + deadline * 1000 },
      (error, response) => (error ? reject(error) : resolve(response.outputs)),
    );
  }).then(answers);
}

function answers({ label, score, probabilities }) {
  const [scores, flat] = [floats(score), floats(probabilities)];
  const width = Number(probabilities.tensor_shape.dim[1].size);
  return label.string_val.map((bytes, row) => ({
    label: Buffer.from(bytes).toString("utf8"),
    score: scores[row],
    probabilities: flat.slice(row * width, (row + 1) * width),
  }));
}

// Whichever of the two ways the server wrote it; one value may stand for all. A float32 has 9 digits at the most.
function floats({ tensor_content, float_val: listed, tensor_shape: shape }) {
  const content = Buffer.from(tensor_content);
  const size = shape.dim.reduce((product, dim) => product * Number(dim.size), 1);
  const values = content.length ? Array.from({ length: size }, (_, i) => content.readFloatLE(4 * i)) : [...listed];
  while (values.length < size) values.push(values.at(-1) ?? 0);
  return values.map((value) => Number(value.toPrecision(9)));
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      target: { type: "string", default: process.env.SERVING_TARGET ?? "127.0.0.1:8500" },
      model: { type: "string", default: process.env.SERVING_MODEL ?? "sentiment" },
      deadline: { type: "string", default: process.env.SERVING_DEADLINE ?? "5" },
      retries: { type: "string", default: "4" },
      ca: { type: "string" },
    },
  });
  if (!positionals.length) throw new Error("expected texts. Try: node grpc.mjs 'A joyless film.'");
  const client = connect({ ...values, retries: Number(values.retries) });
  try {
    const found = await predict(client, positionals, { model: values.model, deadline: Number(values.deadline) });
    found.forEach((answer, row) => console.log(JSON.stringify({ text: positionals[row], ...answer })));
  } finally {
    client.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    console.error(`Error: ${error.message}`);
    process.exitCode = 1;
  });
}
