//go:build unix

package integrity

import "os"

func rename(from, to string) error { return os.Rename(from, to) }

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
