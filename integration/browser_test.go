package integration

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A browser is as much of one as a login needs: it keeps cookies, follows
// redirects, and fills in and submits the form of a page.
type browser struct {
	t      testing.TB
	client *http.Client
	end    string // an address that is not opened: the application's callback
}

// A page is where a browser is.
type page struct {
	address *url.URL
	action  string     // of its form
	fields  url.Values // of its form
}

func newBrowser(t testing.TB, client *http.Client, end string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := *client
	own.Jar = jar
	own.CheckRedirect = func(request *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(request.URL.String(), end) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &browser{t: t, client: &own, end: end}
}

func (b *browser) open(address string) *page {
	b.t.Helper()
	response, err := b.client.Get(address)
	return b.page(response, err)
}

// submit sends the form of a page, with some of its fields filled in.
func (b *browser) submit(p *page, filled map[string]string) *page {
	b.t.Helper()
	for name, value := range filled {
		p.fields.Set(name, value)
	}
	action, err := p.address.Parse(p.action)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.client.PostForm(action.String(), p.fields)
	return b.page(response, err)
}

func (b *browser) page(response *http.Response, err error) *page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	if location := response.Header.Get("Location"); location != "" { // the callback
		address, err := url.Parse(location)
		if err != nil {
			b.t.Fatal(err)
		}
		return &page{address: address}
	}
	root, err := html.Parse(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &page{address: response.Request.URL, fields: url.Values{}}
	for node := range root.Descendants() {
		switch node.Data {
		case "form":
			p.action = attribute(node, "action")
		case "input":
			p.fields.Set(attribute(node, "name"), attribute(node, "value"))
		}
	}
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s answered %s", response.Request.URL, response.Status)
	}
	return p
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// authorize logs a user in and returns the parameters that the application gets at its
// callback, in the query of a redirect or in a form.
func (b *browser) authorize(issuer, username string, query url.Values) url.Values {
	b.t.Helper()
	login := b.open(issuer + "authorize?" + query.Encode())
	at := b.submit(login, map[string]string{"username": username, "password": passwordOf(username)})
	if at.action != "" {
		return at.fields
	}
	if !strings.HasPrefix(at.address.String(), b.end) {
		b.t.Fatalf("the login ended at %s", at.address)
	}
	return at.address.Query()
}
