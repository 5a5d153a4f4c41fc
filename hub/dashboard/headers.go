package dashboard

import "net/http"

// contentPolicy lets a page use our style and script, talk to us, and nothing else. Text can never become code or mark-up in the
// script either: Trusted Types refuse it, as no policy may be made that would allow it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// SecurityHeaders sets what every answer under /dashboard carries.
func SecurityHeaders(header http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      contentPolicy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "same-origin", // permalinks hold what was searched for; with no-referrer a form has no Origin
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Cache-Control":                "no-store", // assets say otherwise
	} {
		header.Set(name, value)
	}
}
