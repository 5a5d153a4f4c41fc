package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Plan is what configuration and environment together ask for. The zero Plan asks for nothing.
type Plan struct {
	traces, metrics target
	service         string
	sample          *float64      // nil: the environment says it
	interval        time.Duration // 0: the environment says it
	temporality     string        // of metrics: cumulative, delta or lowmemory
}

// On reports whether anything is to be sent.
func (p *Plan) On() bool { return p.traces.on() || p.metrics.on() }

// A target is where one signal goes.
type target struct {
	url     string // "": it is off
	headers map[string]string
	timeout time.Duration // of one request
	gzip    bool

	// PEM files. "": the system's authorities, no certificate of ours.
	authority, certificate, key string
}

func (t *target) on() bool { return t.url != "" }

// NewPlan reads the variables of the OpenTelemetry specification ("OpenTelemetry Environment Variable Specification" and
// "OpenTelemetry Protocol Exporter") over the section of the configuration; nil: there is none. What it cannot do as it is told
// is off, and a warning says why. What the SDK reads by itself is left to it: OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME,
// OTEL_TRACES_SAMPLER(_ARG), OTEL_BSP_*, OTEL_METRIC_EXPORT_*, OTEL_METRICS_EXEMPLAR_FILTER and the limits of spans.
func NewPlan(c *Config, getenv func(string) string) (Plan, []error) {
	r := planner{getenv: getenv, file: c}
	if strings.EqualFold(r.get("OTEL_SDK_DISABLED"), "true") {
		return Plan{}, nil
	}
	p := Plan{service: DefaultService}
	p.traces = r.target("TRACES")
	p.metrics = r.target("METRICS")
	if !p.On() {
		return Plan{}, r.warnings
	}
	sample := 1.0
	if c != nil {
		sample = c.Sample
		if c.ServiceName != "" {
			p.service = c.ServiceName
		}
	}
	if r.get("OTEL_TRACES_SAMPLER") == "" {
		p.sample = &sample
	}
	if r.get("OTEL_METRIC_EXPORT_INTERVAL") == "" {
		p.interval = DefaultInterval
		if c != nil && c.Interval != 0 {
			p.interval = c.Interval
		}
	}
	p.temporality = r.word("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", "delta", "lowmemory")
	return p, r.warnings
}

// A planner reads variables and gathers what is wrong with them. An empty variable is one that is not set.
type planner struct {
	getenv   func(string) string
	file     *Config
	warnings []error
}

func (r *planner) get(name string) string { return strings.TrimSpace(r.getenv(name)) }

// either gives the variable of a signal, or else the one of all, and the name of that which is set.
func (r *planner) either(signal, option string) (name, value string) {
	for _, name = range []string{"OTEL_EXPORTER_OTLP_" + signal + "_" + option, "OTEL_EXPORTER_OTLP_" + option} {
		if value = r.get(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

func (r *planner) warn(format string, values ...any) {
	err := fmt.Errorf(format, values...)
	if !slices.ContainsFunc(r.warnings, func(w error) bool { return w.Error() == err.Error() }) { // both signals may have it
		r.warnings = append(r.warnings, err)
	}
}

// target plans one signal, TRACES or METRICS.
func (r *planner) target(signal string) target {
	if !r.wanted(signal) {
		return target{}
	}
	if name, protocol := r.either(signal, "PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		r.warn("%s is %q: mcpx sends http/protobuf only, so nothing is sent for it; set it to http/protobuf, with an address such as %s, or OTEL_%s_EXPORTER=none", name, protocol, DefaultEndpoint, signal)
		return target{}
	}
	t := target{timeout: defaultTimeout, gzip: true}
	name, endpoint := r.endpoint(signal)
	if err := validEndpoint(endpoint); err != nil {
		r.warn("%s %w: nothing is sent there", name, err)
		return target{}
	}
	t.url = endpoint
	t.headers = r.headers(signal)
	if u, err := url.Parse(endpoint); err == nil && u.Scheme == "http" && len(t.headers) > 0 && !loopback(u.Hostname()) {
		r.warn("%s is plain http to another machine: the headers, and what they prove, can be read on the way; use https", name)
	}
	if name, value := r.either(signal, "TIMEOUT"); value != "" {
		if ms, err := strconv.ParseInt(value, 10, 32); err != nil || ms <= 0 {
			r.warn("%s is %q: write milliseconds, such as 10000; %v it is", name, value, defaultTimeout)
		} else {
			t.timeout = time.Duration(ms) * time.Millisecond
		}
	}
	if name, value := r.either(signal, "COMPRESSION"); value != "" {
		t.gzip = value == "gzip"
		if !t.gzip && value != "none" {
			r.warn("%s is %q: mcpx knows gzip and none; none it is", name, value)
		}
	}
	_, t.authority = r.either(signal, "CERTIFICATE")
	_, t.certificate = r.either(signal, "CLIENT_CERTIFICATE")
	_, t.key = r.either(signal, "CLIENT_KEY")
	return t
}

// wanted reports whether a signal is to be sent: what OTEL_*_EXPORTER says, else the section, else whether an address is set.
func (r *planner) wanted(signal string) bool {
	_, address := r.either(signal, "ENDPOINT")
	on := address != ""
	if r.file != nil {
		on = map[string]bool{"TRACES": r.file.Traces, "METRICS": r.file.Metrics}[signal]
	}
	name := "OTEL_" + signal + "_EXPORTER"
	value := r.get(name)
	if value == "" {
		return on
	}
	words := strings.Split(value, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	if slices.Contains(words, "otlp") {
		return true
	}
	if on && !slices.Equal(words, []string{"none"}) { // else it may well be meant for others
		r.warn("%s is %q: mcpx knows otlp and none, so nothing is sent for it", name, value)
	}
	return false
}

// endpoint gives the whole address of a signal, and who says it.
func (r *planner) endpoint(signal string) (name, endpoint string) {
	name = "OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT"
	if endpoint = r.get(name); endpoint != "" {
		if u, err := url.Parse(endpoint); err == nil && u.Path == "" {
			endpoint += "/" // "as-is", but a request has a path
		}
		return name, endpoint
	}
	name = "OTEL_EXPORTER_OTLP_ENDPOINT"
	if endpoint = r.get(name); endpoint == "" {
		name, endpoint = "otel.endpoint", DefaultEndpoint
		if r.file != nil && r.file.Endpoint != "" {
			endpoint = r.file.Endpoint
		}
	}
	return name, strings.TrimRight(endpoint, "/") + "/v1/" + strings.ToLower(signal)
}

// headers gives what is sent with each request: names and values with percent-encoding, as in W3C Baggage. Values are never shown.
func (r *planner) headers(signal string) map[string]string {
	name, text := r.either(signal, "HEADERS")
	if text == "" {
		if r.file == nil {
			return nil
		}
		return maps.Clone(r.file.Headers)
	}
	headers := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key, keyErr := url.PathUnescape(strings.TrimSpace(key))
		value, valueErr := url.PathUnescape(strings.TrimSpace(value))
		err := errors.Join(keyErr, valueErr)
		if !ok || err != nil {
			r.warn("%s: entry %d is not of the form name=value, percent-encoded: it is left out", name, i+1)
			continue
		}
		if err := validHeader(key, value); err != nil {
			r.warn("%s: entry %d %w: it is left out", name, i+1, err)
			continue
		}
		headers[key] = value
	}
	return headers
}

// word gives a variable that takes one of a few words, the first where it is not set.
func (r *planner) word(name string, words ...string) string {
	value := strings.ToLower(r.get(name))
	switch {
	case value == "":
		return words[0]
	case slices.Contains(words, value):
		return value
	default:
		r.warn("%s is %q: mcpx knows %s; %s it is", name, value, strings.Join(words, ", "), words[0])
		return words[0]
	}
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
