package stdio

import "os"

// polled returns the file itself: an anonymous pipe knows blocking calls only.
func polled(f *os.File) (*os.File, error) { return f, nil }
