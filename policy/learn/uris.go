package learn

import (
	"maps"
	"slices"
	"strings"

	"github.com/rohitgs28/mcpx/policy"
)

const (
	fewURIs       = 8  // that are listed one by one
	maxURIFolders = 20 // patterns; beyond, URIs are listed again: a wider pattern would hold what nobody has read
)

// urisOf returns patterns for resources: each by itself where they are few, else their folders.
func urisOf(uris map[string]int) []string {
	var each []string
	for uri := range uris {
		each = append(each, policy.Literal(uri))
	}
	if len(each) <= fewURIs {
		return each
	}
	folders := map[string]bool{}
	for uri := range uris {
		folder, ok := folderOfURI(uri)
		if !ok {
			return each
		}
		folders[policy.Literal(folder)+"*"] = true
	}
	patterns := slices.Collect(maps.Keys(folders))
	if len(patterns) > maxURIFolders {
		return each
	}
	e, err := policy.Compile(policy.Config{AllowResources: patterns})
	if err != nil {
		return each
	}
	for uri := range uris {
		if !e.Resource([]byte(uri)).Allow { // such as one with an encoded slash in its query
			return each
		}
	}
	return patterns
}

// folderOfURI returns a URI up to the last slash of its path. Of files, the folders that belong to everybody are none.
func folderOfURI(uri string) (folder string, ok bool) {
	uri, _, _ = strings.Cut(uri, "?")
	folder = uri[:strings.LastIndexByte(uri, '/')+1]
	if strings.HasSuffix(folder, "://") { // it ends with its host, and everybody's would begin like this
		return "", false
	}
	if p, file := strings.CutPrefix(folder, "file://"); file && depth(strings.TrimSuffix(p, "/")) < ownDepth {
		return "", false
	}
	return folder, folder != ""
}
