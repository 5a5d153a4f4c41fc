package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
)

//go:embed assets/dashboard.css assets/dashboard.js assets/icon.svg
var assetFiles embed.FS

// An asset is a file that is the same for everybody. Its address holds its hash, so that a browser never has a stale one.
type asset struct {
	path, tag, kind string
	body            []byte
}

// assets is made when it is first asked for: a wrapper, which is the same program, never does.
var assets = sync.OnceValue(func() map[string]asset {
	made := map[string]asset{}
	for name, kind := range map[string]string{
		"dashboard.css": "text/css; charset=utf-8",
		"dashboard.js":  "text/javascript; charset=utf-8",
		"icon.svg":      "image/svg+xml",
	} {
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // the line above the variable says otherwise
		}
		sum := sha256.Sum256(body)
		tag := hex.EncodeToString(sum[:8])
		made[name] = asset{path: AssetsPath + tag + "/" + name, tag: `"` + tag + `"`, kind: kind, body: body}
	}
	return made
})

func assetPath(name string) string { return assets()[name].path }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	a, ok := assets()[name]
	if !ok || a.path != r.URL.Path {
		ErrorPage(w, r, http.StatusNotFound, "No such file", "Reload the page: mcpx has changed since it was made.")
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", a.tag)
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.kind)
	_, _ = w.Write(a.body) // the reader may be gone
}
