// Package printable makes texts of strangers safe for logs.
package printable

// Cut returns at most limit bytes of text, with "?" for every byte other than printable
// ASCII. "..." follows a text that was longer.
func Cut(text string, limit int) string {
	end := ""
	if len(text) > limit {
		text, end = text[:limit], "..."
	}
	shown := []byte(text)
	for i, c := range shown {
		if c < ' ' || c > '~' {
			shown[i] = '?'
		}
	}
	return string(shown) + end
}
