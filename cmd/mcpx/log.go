package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

var logLevels = []string{"debug", "info", "warn", "error"}

func (a *app) checkLogLevel() error {
	if slices.Contains(logLevels, a.logLevel) {
		return nil
	}
	return fmt.Errorf("--log-level: unknown level %q: use %s", a.logLevel, choices(logLevels))
}

// logger writes lines for people to stderr, from --log-level up. It is no audit log.
func (a *app) logger() zerolog.Logger {
	level, err := zerolog.ParseLevel(a.logLevel)
	if err != nil {
		level = zerolog.WarnLevel
	}
	console := zerolog.ConsoleWriter{Out: a.err, NoColor: true, TimeFormat: time.TimeOnly}
	return zerolog.New(console).Level(level).With().Timestamp().Logger()
}
