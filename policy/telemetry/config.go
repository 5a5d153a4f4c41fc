package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What holds where nobody says otherwise.
const (
	DefaultEndpoint = "http://localhost:4318" // the standard's
	DefaultService  = "mcpx"
	DefaultInterval = time.Minute

	defaultTimeout = 10 * time.Second // of one request to the collector; the standard's
)

// A Config is what the section `otel` says. Variables of the environment win over it, see [NewPlan].
type Config struct {
	Endpoint    string            // of the collector, without /v1/traces; "": DefaultEndpoint
	Headers     map[string]string // sent with every request, such as a credential
	Traces      bool
	Metrics     bool
	Sample      float64       // share of traces that begin here and are kept, 0 to 1; others are kept as their caller says
	ServiceName string        // "": DefaultService
	Interval    time.Duration // between two reports of metrics; 0: DefaultInterval
}

// Validate reports what cannot be meant.
func (c Config) Validate() error {
	var errs []error
	if c.Endpoint != "" {
		if err := validEndpoint(c.Endpoint); err != nil {
			errs = append(errs, fmt.Errorf("endpoint: %w", err))
		}
	}
	for name, value := range c.Headers {
		if err := validHeader(name, value); err != nil {
			errs = append(errs, fmt.Errorf("headers.%s: %w", name, err))
		}
	}
	if !(c.Sample >= 0 && c.Sample <= 1) { // also for what is no number
		errs = append(errs, fmt.Errorf("sample: %v is out of range: use 0 to 1, such as 0.1 for a tenth of the traces", c.Sample))
	}
	if c.Interval != 0 && (c.Interval < time.Second || c.Interval > 24*time.Hour) {
		errs = append(errs, fmt.Errorf("interval: %v is out of range: use 1s to 24h", c.Interval))
	}
	return errors.Join(errs...)
}

// validEndpoint names nothing of a URL that holds a credential.
func validEndpoint(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Fragment != "", u.RawQuery != "":
		return fmt.Errorf("is no usable address of a collector: write %s or https://host", DefaultEndpoint)
	case u.User != nil:
		return errors.New("holds a credential: put it into headers")
	default:
		return nil
	}
}

// ownHeaders are set by the exporter.
func ownHeaders() []string {
	return []string{"content-type", "content-encoding", "content-length", "host", "connection", "transfer-encoding", "user-agent"}
}

func validHeader(name, value string) error {
	const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" // RFC 9110, section 5.6.2
	switch {
	case name == "" || strings.Trim(name, tchar) != "":
		return errors.New("is no header name")
	case slices.Contains(ownHeaders(), strings.ToLower(name)):
		return errors.New("is set by mcpx: remove it")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return errors.New("holds a line break or another control character")
	default:
		return nil
	}
}
