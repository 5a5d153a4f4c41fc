package clients

import (
	"io/fs"
	"os"
)

// own does nothing: the file inherits what its folder says.
func own(*os.File, fs.FileInfo) error { return nil }
