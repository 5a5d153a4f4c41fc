//go:build !linux

package stdio

const guardSupported = false

func guard() {}
