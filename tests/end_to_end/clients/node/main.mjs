// The scenario by @langfuse/tracing and @langfuse/client; keys, address, release and environment are variables.
import { readFileSync } from "node:fs";
import { LangfuseClient } from "@langfuse/client";
import { LangfuseSpanProcessor } from "@langfuse/otel";
import { propagateAttributes, startObservation } from "@langfuse/tracing";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const scenario = JSON.parse(readFileSync(process.argv[2], "utf8"));
const said = ({ name, input, output, metadata, level, status_message }) => [
  name,
  { input, output, metadata, level, statusMessage: status_message, version: scenario.trace.version },
];

const provider = new NodeTracerProvider({ spanProcessors: [new LangfuseSpanProcessor()] });
provider.register();
const client = new LangfuseClient();
const { name, user_id, session_id, tags, metadata, version } = scenario.trace;
const whose = { traceName: name, userId: user_id, sessionId: session_id, tags, metadata, version };

const [traceId, generationId] = propagateAttributes(whose, () => {
  const root = startObservation(...said(scenario.root)).setTraceAsPublic();
  root.startObservation(...said(scenario.event), { asType: "event" });
  root.startObservation(...said(scenario.retrieval)).end();
  root.startObservation(...said(scenario.failed)).end();
  const { model, model_parameters, usage, prompt } = scenario.generation;
  const [called, attributes] = said(scenario.generation);
  const more = { model, modelParameters: model_parameters, prompt: { ...prompt, isFallback: false } };
  const generation = root.startObservation(called, { ...attributes, ...more }, { asType: "generation" });
  generation.update({ completionStartTime: new Date(), usageDetails: usage }).end();
  root.end();
  return [root.traceId, generation.id];
});
for (const { name, value, data_type, comment, of } of scenario.scores) {
  const observationId = of ? generationId : undefined;
  client.score.create({ traceId, observationId, name, value, dataType: data_type, comment });
}
await client.flush();
await provider.shutdown();
