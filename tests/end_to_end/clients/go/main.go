// The scenario by OpenTelemetry's SDK for Go, over OTLP/HTTP: GenAI attributes, and Langfuse's for what those have no
// word for. Told nothing but its environment; its clock is told the times.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type object = map[string]any

var (
	scenario, said object
	raw            map[string]map[string]json.RawMessage // the same, as it is written
)

func main() {
	read(os.Args[1])
	said = scenario["trace"].(object)
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx)
	check(err)
	about, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK())
	check(err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	tracer := provider.Tracer("support-app")

	inRoot, root := begin(ctx, tracer, "root", append(common("root"), ofTheTrace()...))
	_, event := begin(inRoot, tracer, "event", append(common("event"), attribute.String("langfuse.observation.type", "event")))
	event.End(trace.WithTimestamp(at("event", 0)))
	_, retrieval := begin(inRoot, tracer, "retrieval", common("retrieval"))
	retrieval.End(trace.WithTimestamp(at("retrieval", 1)))
	_, failed := begin(inRoot, tracer, "failed", common("failed"))
	failed.SetStatus(codes.Error, scenario["failed"].(object)["status_message"].(string))
	failed.End(trace.WithTimestamp(at("failed", 1)))
	_, wrote := begin(inRoot, tracer, "generation", generation())
	wrote.End(trace.WithTimestamp(at("generation", 1)))
	root.End(trace.WithTimestamp(at("root", 1)))
	check(provider.Shutdown(ctx))
	sendScores(root.SpanContext().TraceID().String(), wrote.SpanContext().SpanID().String())
}

func begin(ctx context.Context, tracer trace.Tracer, part string, with []attribute.KeyValue) (context.Context, trace.Span) {
	name := scenario[part].(object)["name"].(string)
	return tracer.Start(ctx, name, trace.WithTimestamp(at(part, 0)), trace.WithAttributes(with...))
}

// ofTheTrace says whose the trace is; on the root alone.
func ofTheTrace() []attribute.KeyValue {
	var tags []string
	for _, tag := range said["tags"].([]any) {
		tags = append(tags, tag.(string))
	}
	return []attribute.KeyValue{
		attribute.String("user.id", said["user_id"].(string)),
		attribute.String("session.id", said["session_id"].(string)),
		attribute.String("langfuse.trace.name", said["name"].(string)),
		attribute.StringSlice("langfuse.trace.tags", tags),
		attribute.Bool("langfuse.trace.public", true),
		attribute.String("langfuse.trace.metadata", text(said["metadata"])),
	}
}

// common is input, output, metadata and level of any observation; a failed one says its level by its status.
func common(part string) []attribute.KeyValue {
	var found []attribute.KeyValue
	for _, name := range []string{"input", "output", "metadata"} {
		if value, has := raw[part][name]; has {
			found = append(found, attribute.String("langfuse.observation."+name, string(value)))
		}
	}
	if level, has := scenario[part].(object)["level"]; has && part != "failed" {
		found = append(found, attribute.String("langfuse.observation.level", level.(string)))
	}
	return found
}

// generation speaks the GenAI conventions, where the input's tokens include the cached ones.
func generation() []attribute.KeyValue {
	of := scenario["generation"].(object)
	parameters, usage, prompt := of["model_parameters"].(object), of["usage"].(object), of["prompt"].(object)
	cached := int(usage["cache_read_input_tokens"].(float64))
	return []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", "chat"),
		attribute.String("gen_ai.request.model", of["model"].(string)),
		attribute.String("gen_ai.response.model", of["model"].(string)),
		attribute.Float64("gen_ai.request.temperature", parameters["temperature"].(float64)),
		attribute.Int("gen_ai.request.max_tokens", int(parameters["max_tokens"].(float64))),
		attribute.String("gen_ai.input.messages", string(raw["generation"]["input"])),
		attribute.String("gen_ai.output.messages", string(raw["generation"]["output"])),
		attribute.Int("gen_ai.usage.input_tokens", int(usage["input"].(float64))+cached),
		attribute.Int("gen_ai.usage.cache_read.input_tokens", cached),
		attribute.Int("gen_ai.usage.output_tokens", int(usage["output"].(float64))),
		attribute.Float64("gen_ai.response.time_to_first_chunk", at("first token", 0).Sub(at("generation", 0)).Seconds()),
		attribute.String("langfuse.observation.prompt.name", prompt["name"].(string)),
		attribute.Int("langfuse.observation.prompt.version", int(prompt["version"].(float64))),
		attribute.String("langfuse.observation.metadata", text(of["metadata"])),
	}
}

// sendScores uses Langfuse's API: spans carry no scores.
func sendScores(traceID, generationID string) {
	for _, one := range scenario["scores"].([]any) {
		score := one.(object)
		body := object{
			"traceId": traceID, "name": score["name"], "value": score["value"], "dataType": score["data_type"],
			"comment": score["comment"], "environment": said["environment"], "timestamp": at("scores", 0).Format(time.RFC3339Nano),
		}
		if _, of := score["of"]; of {
			body["observationId"] = generationID
		}
		request, err := http.NewRequest("POST", os.Getenv("LANGFUSE_BASE_URL")+"/api/public/scores", bytes.NewBufferString(text(body)))
		check(err)
		request.SetBasicAuth(os.Getenv("LANGFUSE_PUBLIC_KEY"), os.Getenv("LANGFUSE_SECRET_KEY"))
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		check(err)
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			check(fmt.Errorf("a score was answered with %s", answer.Status))
		}
	}
}

func at(part string, end int) time.Time {
	clock := scenario["clock"].(object)
	start, err := time.Parse(time.RFC3339Nano, clock["start"].(string))
	check(err)
	milliseconds := clock["milliseconds"].(object)[part]
	if both, is := milliseconds.([]any); is {
		milliseconds = both[end]
	}
	return start.Add(time.Duration(milliseconds.(float64)) * time.Millisecond)
}

func text(value any) string {
	encoded, err := json.Marshal(value)
	check(err)
	return string(encoded)
}

func read(path string) {
	content, err := os.ReadFile(path)
	check(err)
	check(json.Unmarshal(content, &scenario))
	var parts map[string]json.RawMessage
	check(json.Unmarshal(content, &parts))
	raw = map[string]map[string]json.RawMessage{}
	for _, name := range []string{"root", "event", "retrieval", "failed", "generation"} {
		var of map[string]json.RawMessage
		check(json.Unmarshal(parts[name], &of))
		raw[name] = of
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
