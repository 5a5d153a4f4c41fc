package main

import (
	"errors"
	"time"

	"github.com/zalando/go-keyring"
)

// keyringService is under what the keyring of the system shows our entries.
const keyringService = "mcpx hub token"

// How long the keyring may take: it may ask its user for a password first.
const (
	keyringPatience      = 10 * time.Second // in the background
	keyringLoginPatience = time.Minute      // while somebody waits for it
)

var errKeyringSilent = errors.New("the keyring does not answer")

func keyringGet(account string) (string, error) {
	return within(keyringPatience, func() (string, error) { return keyring.Get(keyringService, account) })
}

func keyringSet(account, text string) error {
	_, err := within(keyringLoginPatience, func() (string, error) { return "", keyring.Set(keyringService, account, text) })
	return err
}

func keyringDelete(account string) error {
	_, err := within(keyringLoginPatience, func() (string, error) { return "", keyring.Delete(keyringService, account) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// within bounds a call that knows no deadline. What does not end is left to itself: nothing else can be done about it.
func within(patience time.Duration, call func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := call()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-time.After(patience):
		return "", errKeyringSilent
	}
}
