package main

import (
	"io"
	"os"
	"strings"
)

// hasColor reports whether out is a terminal whose user has not switched colour off, by
// NO_COLOR (https://no-color.org) or TERM=dumb.
func hasColor(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// paint colours the statuses of the table: green for OK, red for a refusal.
func paint(table string, color bool) string {
	if !color {
		return table
	}
	const green, red, reset = "\x1b[32m", "\x1b[31m", "\x1b[0m"
	return strings.NewReplacer(
		" OK ", " "+green+"OK"+reset+" ",
		"Unauthenticated", red+"Unauthenticated"+reset,
		"PermissionDenied", red+"PermissionDenied"+reset,
	).Replace(table)
}
