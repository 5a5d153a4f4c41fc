package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A promQuery is what a query of PromQL needs to have an answer: the metrics, each with the labels that are asked of it, and the labels
// that are asked of the outcome.
type promQuery struct {
	metrics map[string][]string
	grouped []string
	unknown []string // words that are nothing that we know
}

var (
	promSelector = regexp.MustCompile(`([a-zA-Z_:][\w:]*)?\{([^}]*)\}`)
	promMatcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"`)
	promGrouping = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
	promRange    = regexp.MustCompile(`\[[^\]]*\]|\boffset\s+\w+`)
	promWord     = regexp.MustCompile(`[a-zA-Z_][\w:]*`)
	promNames    = []string{"sum", "topk", "max", "rate", "increase", "changes", "deriv", "absent", "min_over_time", "histogram_quantile",
		"vector", "or", "and", "unless"}
)

func parsePromQuery(expr string) promQuery {
	q := promQuery{metrics: map[string][]string{}}
	for _, match := range promGrouping.FindAllStringSubmatch(expr, -1) {
		q.grouped = append(q.grouped, promWord.FindAllString(match[1], -1)...)
	}
	expr = promGrouping.ReplaceAllString(expr, " ")
	for _, match := range promSelector.FindAllStringSubmatch(expr, -1) {
		names, labels := []string{match[1]}, []string(nil)
		for _, matcher := range promMatcher.FindAllStringSubmatch(match[2], -1) {
			if matcher[1] == "__name__" {
				names = strings.Split(matcher[2], "|")
				continue
			}
			labels = append(labels, matcher[1])
		}
		for _, name := range names {
			q.metrics[name] = append(q.metrics[name], labels...)
		}
	}
	expr = promRange.ReplaceAllString(promSelector.ReplaceAllString(expr, " "), " ")
	for _, word := range promWord.FindAllString(expr, -1) {
		switch {
		case strings.HasPrefix(word, "mcpx_"), word == "up":
			q.metrics[word] = append(q.metrics[word], nil...)
		case !slices.Contains(promNames, word):
			q.unknown = append(q.unknown, word)
		}
	}
	return q
}

// unanswered says why a hub that exports these metrics, each with its labels, has no answer.
func (q promQuery) unanswered(exported map[string]map[string]bool) (why []string) {
	for _, word := range q.unknown {
		why = append(why, "what is "+word)
	}
	labels := map[string]bool{"job": true, "instance": true} // Prometheus adds these
	for name, asked := range q.metrics {
		has, ok := exported[name]
		if !ok && name != "up" { // of Prometheus itself
			why = append(why, "there is no metric "+name)
			continue
		}
		maps.Copy(labels, has)
		for _, label := range asked {
			if !has[label] && label != "job" && label != "instance" {
				why = append(why, name+" has no label "+label)
			}
		}
	}
	for _, label := range q.grouped {
		if !labels[label] {
			why = append(why, "nothing has the label "+label)
		}
	}
	if len(q.metrics) == 0 {
		why = append(why, "it asks for no metric")
	}
	return why
}

func TestQueriesThatCannotBeAnsweredAreFound(t *testing.T) {
	exported := map[string]map[string]bool{"mcpx_requests_total": {"server": true, "method": true}, "mcpx_sessions_open": {}}
	for expr, want := range map[string][]string{
		`sum by (server) (rate(mcpx_requests_total{method="x",job=~"$job"}[$__rate_interval])) > 0.5`: nil,
		`mcpx_sessions_open > 5 and on (job, instance) (up offset 15m == 1)`:                          nil,
		`sum({__name__=~"mcpx_requests_total|mcpx_gone",job="x"})`:                                    {"there is no metric mcpx_gone"},
		`sum(mcpx_request_total)`:             {"there is no metric mcpx_request_total"},
		`sum by (tool) (mcpx_requests_total)`: {"nothing has the label tool"},
		`mcpx_requests_total{tool="x"}`:       {"mcpx_requests_total has no label tool"},
		`averge(mcpx_requests_total)`:         {"what is averge"},
		`1`:                                   {"it asks for no metric"},
		`rate(mcpx_requests_total[5m]) / mcpx_wrappers{server="a"}`: {"there is no metric mcpx_wrappers"},
	} {
		if diff := cmp.Diff(want, parsePromQuery(expr).unanswered(exported)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expr, diff)
		}
	}
}
