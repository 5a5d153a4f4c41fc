package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	notrace "go.opentelemetry.io/otel/trace/noop"
)

// Options are what Start works with beside its plan.
type Options struct {
	Mode     string // wrap or hub
	Version  string // of mcpx
	Instance string // of this process: an id that no other has
	Warn     func(text string, err error)
	Debug    func(text string, err error)
}

// A Telemetry makes spans and measurements, and sends them.
type Telemetry struct {
	report   *reporter
	leaving  chan struct{}
	cutOff   context.CancelFunc // ends what is being sent
	once     sync.Once
	provider *sdktrace.TracerProvider // nil: no traces
	spans    *spanExporter            // nil: no traces
	ended    endings
	meter    *sdkmetric.MeterProvider // nil: no metrics

	tracer        trace.Tracer
	requests      sides
	sessions      sides
	mu            sync.Mutex
	servers       map[serverKey]*server // guarded by mu
	open          map[*link]struct{}    // sessions; guarded by mu
	now           func() time.Time
	codesOfErrors *names
}

// sides are the measurements of what is asked of mcpx, and of what it asks of others.
type sides struct{ served, asked metric.Float64Histogram }

// scope names what our spans and metrics are made by.
const scope = "github.com/rohitgs28/mcpx"

// Start gets ready what a plan that is on asks for. It opens no connection. Close ends it.
func Start(p Plan, opt Options) (*Telemetry, error) {
	life, cutOff := context.WithCancel(context.Background())
	t := &Telemetry{
		report: &reporter{warn: opt.Warn, debug: opt.Debug}, leaving: make(chan struct{}), cutOff: cutOff,
		tracer:  notrace.NewTracerProvider().Tracer(scope),
		servers: make(map[serverKey]*server), open: make(map[*link]struct{}),
		now: time.Now, codesOfErrors: newNames(maxCodes),
	}
	// The SDK has one place for what it has to say, such as of variables that it cannot read.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.report.failed("telemetry", err) }))
	about, err := describe(p, opt)
	if err != nil {
		t.report.failed("telemetry", fmt.Errorf("describe this process: %w", err)) // what is wrong in it is left out
	}
	agent := "mcpx/" + opt.Version
	meter := metric.Meter(noop.Meter{})
	if p.metrics.on() {
		e, err := newExporter(life, p.metrics, agent, t.leaving)
		if err != nil {
			t.abandon()
			return nil, err
		}
		var reading []sdkmetric.PeriodicReaderOption
		if p.interval != 0 {
			reading = append(reading, sdkmetric.WithInterval(p.interval))
		}
		t.meter = sdkmetric.NewMeterProvider(sdkmetric.WithResource(about),
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(&metricExporter{exporter: e, report: t.report, temporality: p.temporality}, reading...)))
		meter = t.meter.Meter(scope, metric.WithInstrumentationVersion(opt.Version))
	}
	if p.traces.on() {
		e, err := newExporter(life, p.traces, agent, t.leaving)
		if err != nil {
			t.abandon()
			return nil, err
		}
		t.spans = &spanExporter{exporter: e, report: t.report}
		options := []sdktrace.TracerProviderOption{
			sdktrace.WithResource(about), sdktrace.WithSpanProcessor(&t.ended), sdktrace.WithBatcher(t.spans),
		}
		if p.sample != nil {
			options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(*p.sample))))
		}
		t.provider = sdktrace.NewTracerProvider(options...)
		t.tracer = t.provider.Tracer(scope, trace.WithInstrumentationVersion(opt.Version))
	}
	if err := t.instruments(meter); err != nil {
		t.abandon()
		return nil, err
	}
	return t, nil
}

// abandon ends what Start has begun.
func (t *Telemetry) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	t.Close(ctx)
}

// describe gives the attributes of this process; those of the environment win.
func describe(p Plan, opt Options) (*resource.Resource, error) {
	about := []attribute.KeyValue{
		attribute.String("service.name", shorten(p.service, maxText)),
		attribute.String("service.version", opt.Version),
		attribute.String("service.instance.id", opt.Instance),
		attribute.Int("process.pid", os.Getpid()),
		attribute.String("mcpx.mode", opt.Mode),
	}
	if host, err := os.Hostname(); err == nil {
		about = append(about, attribute.String("host.name", shorten(host, maxText)))
	}
	return resource.New(context.Background(), resource.WithAttributes(about...), resource.WithTelemetrySDK(), resource.WithFromEnv())
}

// instruments makes the four measurements that the conventions name, with their buckets.
func (t *Telemetry) instruments(m metric.Meter) error {
	buckets := metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
	var errs []error
	for _, i := range []struct {
		into       *metric.Float64Histogram
		name, text string
	}{
		{&t.requests.served, "mcp.server.operation.duration", "How long a request took, as seen by mcpx, which was asked."},
		{&t.requests.asked, "mcp.client.operation.duration", "How long a request took, as seen by mcpx, which passed it on."},
		{&t.sessions.served, "mcp.server.session.duration", "How long a session with a client took."},
		{&t.sessions.asked, "mcp.client.session.duration", "How long a session with a server took."},
	} {
		var err error
		*i.into, err = m.Float64Histogram(i.name, metric.WithUnit("s"), metric.WithDescription(i.text), buckets)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close sends what is there, for as long as ctx lasts, and says what was lost. Spans that end afterwards go nowhere.
func (t *Telemetry) Close(ctx context.Context) {
	t.once.Do(func() {
		t.closeSessions()
		close(t.leaving)
		var both sync.WaitGroup
		if t.meter != nil {
			both.Go(func() { _ = t.meter.Shutdown(ctx) }) // the exporter has told the reporter
		}
		if t.provider != nil {
			both.Go(func() { _ = t.provider.Shutdown(ctx) })
		}
		both.Wait()
		t.cutOff()
		if t.spans == nil {
			return
		}
		if ended, delivered := t.ended.Load(), t.spans.delivered.Load(); delivered < ended {
			t.report.warn(fmt.Sprintf("%d of %d spans did not reach the collector of traces", ended-delivered, ended), nil)
		}
	})
}

// endings count the spans that have ended and are to be sent.
type endings struct{ atomic.Int64 }

func (*endings) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (n *endings) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		n.Add(1)
	}
}

func (*endings) Shutdown(context.Context) error   { return nil }
func (*endings) ForceFlush(context.Context) error { return nil }

// A reporter tells the first trouble with each of its subjects as a warning, the rest to whoever looks for it.
type reporter struct {
	warn, debug func(text string, err error)
	told        sync.Map // subjects
}

func (r *reporter) failed(subject string, err error) {
	text := "the collector of " + subject + " cannot be used; nothing waits for it, and further trouble is told at the level debug"
	if subject == "telemetry" {
		text = "trouble with telemetry"
	}
	if _, again := r.told.LoadOrStore(subject, true); again {
		r.debug(text, err)
		return
	}
	r.warn(text, err)
}
