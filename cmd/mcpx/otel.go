package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/rohitgs28/mcpx/policy"
	"github.com/rohitgs28/mcpx/policy/telemetry"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// An otelConfig says where spans and metrics go. The variables OTEL_* win over it.
type otelConfig struct {
	Endpoint    string            `yaml:"endpoint"` // "": http://localhost:4318
	Headers     map[string]secret `yaml:"headers"`
	Traces      bool              `yaml:"traces"`
	Metrics     bool              `yaml:"metrics"`
	Sample      float64           `yaml:"sample"` // share of the traces that begin here
	ServiceName string            `yaml:"service_name"`
	Interval    time.Duration     `yaml:"interval"` // between two reports of metrics

	Given bool `yaml:"-"` // the section stands in the file
}

func (c otelConfig) Validate() error { return c.telemetry().Validate() }

func (c otelConfig) telemetry() *telemetry.Config {
	out := &telemetry.Config{
		Endpoint: c.Endpoint, Traces: c.Traces, Metrics: c.Metrics, Sample: c.Sample, ServiceName: c.ServiceName, Interval: c.Interval,
	}
	for name, value := range c.Headers {
		if out.Headers == nil {
			out.Headers = make(map[string]string, len(c.Headers))
		}
		out.Headers[name] = string(value)
	}
	return out
}

// How long the end of mcpx may take for what has not been sent yet. A client that has ended a wrapper waits two seconds or so.
const (
	wrapFlush = 1500 * time.Millisecond
	hubFlush  = 5 * time.Second
)

// telemetryPlan says what is to be sent; a zero one: nothing. It looks at variables only.
func telemetryPlan(c otelConfig, log zerolog.Logger) telemetry.Plan {
	var section *telemetry.Config
	if c.Given {
		section = c.telemetry()
	}
	plan, warnings := telemetry.NewPlan(section, os.Getenv)
	for _, w := range warnings {
		log.Warn().Err(w).Msg("telemetry")
	}
	return plan
}

// startTelemetry begins what a plan asks for. Where that cannot be, such as without the certificate that it names, nothing is
// sent, and contexts of traces pass as they come.
func startTelemetry(plan telemetry.Plan, mode string, log zerolog.Logger) *telemetry.Telemetry {
	opt := telemetry.Options{
		Mode: mode, Version: buildVersion().Version, Instance: uuid.NewString(),
		Warn:  func(text string, err error) { log.Warn().Err(err).Msg(text) },
		Debug: func(text string, err error) { log.Debug().Err(err).Msg(text) },
	}
	t, err := telemetry.Start(plan, opt)
	if err != nil {
		log.Warn().Err(err).Msg("no traces and metrics are sent")
		t, _ = telemetry.Start(telemetry.Plan{}, opt) // sends nothing, so nothing can fail
	}
	return t
}

// A wrapTelemetry is that of a wrapper: it is set up beside the server's start, for which the client waits.
type wrapTelemetry struct {
	started func() wrapSession // sets it up; further calls give the same
	setup   sync.WaitGroup     // runs started
}

type wrapSession struct {
	*telemetry.Telemetry
	tracer policy.Tracer
}

// wrapTelemetry gives the telemetry of a wrapped server, nil for none.
func (a *app) wrapTelemetry(c *config, w wrapped, log zerolog.Logger) *wrapTelemetry {
	plan := telemetryPlan(c.Otel, log)
	if !plan.On() {
		return nil
	}
	return &wrapTelemetry{started: sync.OnceValue(func() wrapSession {
		t := startTelemetry(plan, "wrap", log)
		address := ""
		if w.remote != nil {
			address = w.remote.URL
		}
		return wrapSession{t, t.Session(policy.LinkInfo{Server: w.name, Inbound: policy.Peer{Transport: "pipe"}, Outbound: policy.PeerAt(address)})}
	})}
}

// Tracer returns what makes the spans, nil for nothing.
func (t *wrapTelemetry) Tracer() policy.Tracer {
	if t == nil {
		return nil
	}
	return t
}

// Begin makes a span ([policy.Tracer]). The first one may find that the setup is still under way: tens of microseconds.
func (t *wrapTelemetry) Begin(r *policy.TracedRequest) policy.Span {
	return t.started().tracer.Begin(r)
}

// after has the setup begin once the server's process has.
func (t *wrapTelemetry) after(start func(stdio.Command) (*stdio.Child, error)) func(stdio.Command) (*stdio.Child, error) {
	if t == nil {
		return start
	}
	return func(c stdio.Command) (*stdio.Child, error) {
		child, err := start(c)
		if err == nil {
			t.setup.Go(func() { t.started() })
		}
		return child, err
	}
}

// close sends what is left, for a bounded time.
func (t *wrapTelemetry) close() {
	if t == nil {
		return
	}
	t.setup.Wait()
	closeTelemetry(t.started().Telemetry, wrapFlush)
}

func closeTelemetry(t *telemetry.Telemetry, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t.Close(ctx)
}
