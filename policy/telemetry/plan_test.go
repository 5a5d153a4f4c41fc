package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	file := &Config{Endpoint: "https://file.example:4318/", Headers: map[string]string{"x": "file"}, Traces: true, Metrics: true, Sample: 0.25, ServiceName: "gate", Interval: 5 * time.Second}
	type want struct {
		traces, metrics string
		headers         map[string]string // of traces
		timeout         time.Duration     // of traces; 0: ten seconds
		plain           bool              // no gzip
		warning         string            // a piece of the only one
	}
	for _, row := range []struct {
		name string
		file *Config
		env  map[string]string
		want want
	}{
		{"nothing says anything", nil, nil, want{}},
		{"an empty variable is none", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_TRACES_EXPORTER": " "}, want{}},
		{"variables that switch nothing on", nil, map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "console"}, want{}},
		{"an address for all", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, want{traces: "http://c:4318/v1/traces", metrics: "http://c:4318/v1/metrics"}},
		{"an address with a path", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/otlp/"}, want{traces: "http://c/otlp/v1/traces", metrics: "http://c/otlp/v1/metrics"}},
		{"an address of a signal is whole", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:1/x"}, want{traces: "http://c:1/x"}},
		{"and gets a slash if it has no path", nil, map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:1"}, want{metrics: "http://c:1/"}},
		{"the signal's wins", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d/t"}, want{traces: "http://d/t", metrics: "http://c/v1/metrics"}},
		{"an exporter alone", nil, map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, want{traces: "http://localhost:4318/v1/traces"}},
		{"one of several", nil, map[string]string{"OTEL_METRICS_EXPORTER": "console, otlp"}, want{metrics: "http://localhost:4318/v1/metrics"}},
		{"none wins over an address", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, want{traces: "http://c/v1/traces"}},
		{"another exporter", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "prometheus"}, want{traces: "http://c/v1/traces", warning: `OTEL_METRICS_EXPORTER is "prometheus"`}},
		{"the file", file, nil, want{traces: "https://file.example:4318/v1/traces", metrics: "https://file.example:4318/v1/metrics", headers: map[string]string{"x": "file"}}},
		{"the file without an address", &Config{Traces: true}, nil, want{traces: "http://localhost:4318/v1/traces"}},
		{"an address does not switch on what the file switches off", &Config{Metrics: true}, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, want{metrics: "http://c/v1/metrics"}},
		{"an exporter does", &Config{}, map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, want{traces: "http://localhost:4318/v1/traces"}},
		{"the environment's address wins", file, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}, want{traces: "https://c/v1/traces", metrics: "https://c/v1/metrics", headers: map[string]string{"x": "file"}}},
		{"disabled", file, map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, want{}},
		{"grpc", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "none"}, want{warning: `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": mcpx sends http/protobuf only`}},
		{"json for one signal", nil, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, want{metrics: "http://c/v1/metrics", warning: `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "http/json"`}},
		{"protobuf", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, want{traces: "http://c/t"}},
		{"no scheme", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "localhost:4318"}, want{warning: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no usable address"}},
		{"a credential in the address", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://user:hunter2@c/t"}, want{warning: "put it into headers"}},
		{"headers", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/t", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b%3D , x=1=2"}, want{traces: "https://c/t", headers: map[string]string{"api-key": "a b=", "x": "1=2"}}},
		{"headers of the signal", file, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=2", "OTEL_METRICS_EXPORTER": "none"}, want{traces: "https://file.example:4318/v1/traces", headers: map[string]string{"b": "2"}}},
		{"a header that is none", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/t", "OTEL_EXPORTER_OTLP_HEADERS": "hunter2,b=2"}, want{traces: "https://c/t", headers: map[string]string{"b": "2"}, warning: "OTEL_EXPORTER_OTLP_HEADERS: entry 1 is not of the form"}},
		{"a header with a line break", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/t", "OTEL_EXPORTER_OTLP_HEADERS": "b=hunter2%0d%0ax:y"}, want{traces: "https://c/t", headers: map[string]string{}, warning: "entry 1 holds a line break"}},
		{"headers in the clear", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_HEADERS": "b=hunter2"}, want{traces: "http://c/t", headers: map[string]string{"b": "hunter2"}, warning: "plain http to another machine"}},
		{"headers in the clear to this machine", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/t", "OTEL_EXPORTER_OTLP_HEADERS": "b=2"}, want{traces: "http://127.0.0.1:1/t", headers: map[string]string{"b": "2"}}},
		{"timeout", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_TIMEOUT": "250"}, want{traces: "http://c/t", timeout: 250 * time.Millisecond}},
		{"a timeout that is none", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, want{traces: "http://c/t", warning: `OTEL_EXPORTER_OTLP_TIMEOUT is "10s"`}},
		{"no compression", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}, want{traces: "http://c/t", plain: true}},
		{"another compression", nil, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "zstd"}, want{traces: "http://c/t", plain: true, warning: `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION is "zstd"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p, warnings := NewPlan(row.file, func(name string) string { return row.env[name] })
			if p.traces.url != row.want.traces || p.metrics.url != row.want.metrics || p.On() != (row.want.traces+row.want.metrics != "") {
				t.Errorf("traces to %q, metrics to %q, want %q and %q", p.traces.url, p.metrics.url, row.want.traces, row.want.metrics)
			}
			switch {
			case row.want.warning == "" && len(warnings) > 0, len(warnings) > 1:
				t.Errorf("warnings %q", warnings)
			case row.want.warning != "" && (len(warnings) == 0 || !strings.Contains(warnings[0].Error(), row.want.warning)):
				t.Errorf("warnings %q, want %q", warnings, row.want.warning)
			case len(warnings) > 0 && strings.Contains(warnings[0].Error(), "hunter2"):
				t.Errorf("a secret is told: %q", warnings)
			}
			if row.want.traces == "" {
				return
			}
			if diff := cmp.Diff(row.want.headers, p.traces.headers); diff != "" {
				t.Errorf("headers (-want +got)\n%s", diff)
			}
			if want := max(row.want.timeout, 0); want != 0 && p.traces.timeout != want || want == 0 && p.traces.timeout != 10*time.Second {
				t.Errorf("timeout %v", p.traces.timeout)
			}
			if p.traces.gzip == row.want.plain {
				t.Errorf("gzip: %v", p.traces.gzip)
			}
		})
	}
}

func TestPlanLeavesToTheSDKWhatItReads(t *testing.T) {
	t.Parallel()
	file := &Config{Traces: true, Metrics: true, Sample: 0.25, Interval: 5 * time.Second}
	p, _ := NewPlan(file, func(string) string { return "" })
	if p.sample == nil || *p.sample != 0.25 || p.interval != 5*time.Second || p.service != "mcpx" || p.temporality != "cumulative" {
		t.Errorf("without variables: %+v", p)
	}
	env := map[string]string{"OTEL_TRACES_SAMPLER": "always_off", "OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta"}
	p, warnings := NewPlan(file, func(name string) string { return env[name] })
	if p.sample != nil || p.interval != 0 || p.temporality != "delta" || len(warnings) > 0 {
		t.Errorf("with variables: %+v, %q", p, warnings)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	good := Config{Endpoint: "https://c.example/otlp", Headers: map[string]string{"Authorization": "Bearer x"}, Sample: 1, Interval: time.Minute}
	for _, row := range []struct {
		name   string
		change func(*Config)
		want   string // ""; none
	}{
		{"good", func(*Config) {}, ""},
		{"no scheme", func(c *Config) { c.Endpoint = "c:4318" }, "endpoint: is no usable"},
		{"a credential", func(c *Config) { c.Endpoint = "https://a:hunter2@c" }, "endpoint: holds a credential"},
		{"a header's name", func(c *Config) { c.Headers["a b"] = "c" }, "headers.a b: is no header name"},
		{"a header of ours", func(c *Config) { c.Headers["Content-Type"] = "c" }, "headers.Content-Type: is set by mcpx"},
		{"a header's value", func(c *Config) { c.Headers["a"] = "hunter2\r\nb: c" }, "headers.a: holds a line break"},
		{"sample", func(c *Config) { c.Sample = 1.5 }, "sample: 1.5 is out of range"},
		{"interval", func(c *Config) { c.Interval = time.Millisecond }, "interval: 1ms is out of range"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := good
			c.Headers = map[string]string{"Authorization": "Bearer x"}
			row.change(&c)
			err := c.Validate()
			if (err == nil) != (row.want == "") || err != nil && (!strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
