package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	unsafehtml "github.com/yuin/goldmark/renderer/html"
)

// The widths that GitHub gives a page in a window of 1,200 pixels, the README beside
// its column about the repository, and on a phone.
const (
	beside  = 832
	desktop = 1100
	phone   = 400
)

// screenStyle has the rules of GitHub's style sheet that decide which text fits.
const screenStyle = `<style>
body { margin: 0; padding: 32px; word-wrap: break-word; font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
@media (max-width: 767px) { body { padding: 16px; } }
img { max-width: 100%; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-spacing: 0; border-collapse: collapse; }
td, th { padding: 6px 13px; border: 1px solid; }
pre { padding: 16px; overflow: auto; font-size: 85%; line-height: 1.45; tab-size: 4; }
code, pre { font-family: ui-monospace, "Liberation Mono", monospace; }
:not(pre) > code { padding: .2em .4em; font-size: 85%; white-space: break-spaces; }
</style>`

// screenScript measures every frame and writes the result into the page.
const screenScript = `<script>
addEventListener("load", () => {
  const screens = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement
    return {
      page: frame.title, width: frame.clientWidth, needs: root.scrollWidth,
      cut: [...page.querySelectorAll("table, pre")].filter(e => e.scrollWidth > e.clientWidth + 1)
        .map(e => ({tag: e.tagName, text: e.textContent.trim().slice(0, 60), by: e.scrollWidth - e.clientWidth})),
      images: [...page.querySelectorAll("img")].map(e => ({source: e.getAttribute("src"), width: e.clientWidth, natural: e.naturalWidth})),
    }
  })
  document.body.replaceChildren(document.createElement("pre"))
  document.querySelector("pre").textContent = JSON.stringify(screens)
})
</script>`

// A screen is one page at one width, as the browser shows it.
type screen struct {
	Page         string
	Width, Needs int // pixels
	Cut          []struct {
		Tag, Text string
		By        int
	}
	Images []struct {
		Source         string
		Width, Natural float64
	}
}

// A browser shows the pages without a scroll bar below the page. On a wide screen all
// columns of tables and all lines of code are visible, and on a phone the text of
// charts stays readable.
func TestPagesOnScreens(t *testing.T) {
	screens := renderScreens(t)
	for _, s := range screens {
		if s.Needs > s.Width {
			t.Errorf("%s: needs %d pixels, has %d", s.Page, s.Needs, s.Width)
		}
		for _, image := range s.Images {
			size := smallestText(t, filepath.Join("..", filepath.Dir(s.Page), image.Source)) * image.Width / image.Natural
			if !(size >= 10) {
				t.Errorf("%s: %s has text of %.1f pixels in a page of %d, want at least 10", s.Page, image.Source, size, s.Width)
			}
		}
		if s.Width == phone || hasWideTables(s.Page) {
			continue
		}
		for _, cut := range s.Cut {
			t.Errorf("%s: %d pixels of %s %q are cut off in a window of 1,200", s.Page, cut.By, cut.Tag, cut.Text)
		}
	}
}

// hasWideTables reports whether the tables of a page hold measurements, one column a
// figure. These pages are for desks, and scroll.
func hasWideTables(page string) bool {
	switch filepath.Base(page) {
	case "RESULTS.md", "differences.md", "flows.md", "failures.md":
		return true
	}
	return false
}

// renderScreens returns each page at both widths.
func renderScreens(t *testing.T) []screen {
	browser := needBrowser(t)
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(unsafehtml.WithUnsafe()))
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var frames strings.Builder
	pages = append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../examples/README.md", "../benchmarks/README.md", "../benchmarks/RESULTS.md")
	for _, page := range pages {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		folder, err := filepath.Abs(filepath.Dir(page))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		fmt.Fprintf(&body, `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><base href="file://%s/">%s`, folder, screenStyle)
		if err := markdown.Convert(source, &body); err != nil {
			t.Fatal(err)
		}
		wide := desktop
		if page == "../README.md" {
			wide = beside
		}
		for _, width := range []int{wide, phone} {
			fmt.Fprintf(&frames, `<iframe title="%s" style="width: %dpx; height: 2000px; border: 0" srcdoc="%s"></iframe>`,
				strings.TrimPrefix(page, "../"), width, html.EscapeString(body.String()))
		}
	}
	file := filepath.Join(t.TempDir(), "screens.html")
	if err := os.WriteFile(file, []byte(`<!doctype html><meta charset="utf-8"><body>`+frames.String()+screenScript), 0o600); err != nil {
		t.Fatal(err)
	}
	dump, err := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
		"--user-data-dir="+t.TempDir(), "--window-size=1200,2000", "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Fatalf("%s: %v", browser, err)
	}
	match := regexp.MustCompile(`(?s)<pre>(.*)</pre>`).FindSubmatch(dump)
	if match == nil {
		t.Fatalf("the browser has not measured: %.300s", dump)
	}
	var screens []screen
	if err := json.Unmarshal([]byte(html.UnescapeString(string(match[1]))), &screens); err != nil {
		t.Fatal(err)
	}
	if len(screens) != 2*len(pages) {
		t.Fatalf("%d screens of %d pages", len(screens), len(pages))
	}
	return screens
}

// needBrowser returns the path of a browser of the Chromium family, or skips the test.
func needBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "google-chrome", "chromium"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return need(t, "chromium-headless-shell")
}

// smallestText returns the smallest font size of a chart, in its own pixels.
func smallestText(t *testing.T, name string) float64 {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	smallest := 0.0
	for _, match := range regexp.MustCompile(`font(?:-size)?: (\d+)px`).FindAllSubmatch(source, -1) {
		var size float64
		if _, err := fmt.Sscan(string(match[1]), &size); err != nil {
			t.Fatal(err)
		}
		if smallest == 0 || size < smallest {
			smallest = size
		}
	}
	return smallest
}
