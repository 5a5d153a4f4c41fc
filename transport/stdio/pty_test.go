//go:build unix

package stdio

func playTTY() int { return 0 }
