package docs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"homeport/tests/hptest"
)

// gateway answers every model from the practice upstream, and refuses `overseas` for its public app.
const gateway = `operator: {name: 示例科技, place: CN}
providers:
  - {id: home, catalog: practice, facts: {source: domestic_api, place: [CN], filed: true}}
  - {id: abroad, catalog: practice, facts: {source: overseas_direct, place: [US], filed: false}}
routes:
  - {model: overseas, to: [abroad/practice]}
  - {model: "*", to: [home/practice]}
apps:
  - {id: office, keys: [office-key-of-24-characters], service: {audience: internal, opinion: false}}
  - {id: public, keys: [public-key-of-24-characters], service: {audience: public_cn, opinion: true}}
`

// curl is one request as a document shows it.
type curl struct {
	where        block
	url, body    string
	header       http.Header
	unknownFlags []string
}

// words splits a shell line as far as the documents need it: quotes, and $HOMEPORT_KEY.
func words(line string) []string {
	var out []string
	var word strings.Builder
	inside, quote := false, rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			inside, quote = true, r
		case r == ' ' || r == '\t':
			if inside {
				out = append(out, word.String())
			}
			word.Reset()
			inside = false
		default:
			inside = true
			word.WriteRune(r)
		}
	}
	if inside {
		out = append(out, word.String())
	}
	return out
}

// requests are the curl lines of all shell blocks.
func requests(t *testing.T) []curl {
	t.Helper()
	var out []curl
	for _, b := range blocks(t, "sh") {
		for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
			w := words(line)
			if len(w) == 0 || w[0] != "curl" {
				continue
			}
			c := curl{where: b, header: http.Header{}}
			for i := 1; i < len(w); i++ {
				switch {
				case w[i] == "-H" && i+1 < len(w):
					i++
					name, value, _ := strings.Cut(w[i], ":")
					c.header.Add(name, strings.TrimSpace(strings.ReplaceAll(value, "$HOMEPORT_KEY", "office-key-of-24-characters")))
				case w[i] == "-d" && i+1 < len(w):
					i++
					c.body = w[i]
				case strings.HasPrefix(w[i], "http"):
					c.url = w[i]
				case strings.Trim(w[i], "-sNi") != "":
					c.unknownFlags = append(c.unknownFlags, w[i])
				}
			}
			out = append(out, c)
		}
	}
	return out
}

func send(t *testing.T, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestRequests sends every curl line of the documents to a real gateway.
func TestRequests(t *testing.T) {
	gw := hptest.Start(t, gateway)
	all := requests(t)
	if len(all) < 8 {
		t.Fatalf("only %d requests found", len(all))
	}
	for _, c := range all {
		if len(c.unknownFlags) > 0 {
			t.Errorf("%s: this test cannot read %q", c.where, c.unknownFlags)
			continue
		}
		path, ok := strings.CutPrefix(c.url, "http://127.0.0.1:8787")
		if !ok {
			t.Errorf("%s: %q is not the default address", c.where, c.url)
			continue
		}
		if res, body := send(t, gw.URL+path, c.header, c.body); res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d: %s", c.where, res.StatusCode, body)
		}
	}
}

// TestRefusal: the refusal that each README shows is what the gateway answers, but for the event's id.
func TestRefusal(t *testing.T) {
	gw := hptest.Start(t, gateway)
	id := regexp.MustCompile(`hp_[0-9A-Z]{26}`)
	for file, lang := range map[string]string{"README.md": "en", "README.zh-CN.md": "zh-CN"} {
		var shown string
		for _, b := range blocks(t, "json") {
			if b.file == file {
				shown = b.text
			}
		}
		h := http.Header{"Authorization": {"Bearer public-key-of-24-characters"}, "Accept-Language": {lang}}
		res, body := send(t, gw.URL+"/v1/chat/completions", h, `{"model":"overseas","messages":[{"role":"user","content":"hi"}]}`)
		if res.StatusCode != http.StatusForbidden || res.Header.Get("x-should-retry") != "false" {
			t.Errorf("status %d, x-should-retry %q", res.StatusCode, res.Header.Get("x-should-retry"))
		}
		if got, want := canonical(t, id.ReplaceAllString(body, "id")), canonical(t, id.ReplaceAllString(shown, "id")); got != want {
			t.Errorf("%s shows\n%s\nthe gateway answers\n%s", file, want, got)
		}
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEndpoints: each path of the READMEs' table is offered.
func TestEndpoints(t *testing.T) {
	gw := hptest.Start(t, gateway)
	for _, file := range []string{"README.md", "README.zh-CN.md"} {
		rows := regexp.MustCompile("`(GET|POST) (/[^`]+)`").FindAllStringSubmatch(prose(read(t, file)), -1)
		if len(rows) < 12 {
			t.Fatalf("%s: only %d endpoints found", file, len(rows))
		}
		for _, m := range rows {
			path := strings.NewReplacer("{deployment}", "gpt-4o", "{id}", "gpt-4o").Replace(m[2])
			body := ""
			if m[1] == "POST" {
				body = `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`
				if strings.HasSuffix(path, "embeddings") {
					body = `{"model":"gpt-4o","input":"hi"}`
				} else if !strings.Contains(path, "chat") {
					body = `{"model":"gpt-4o","prompt":"hi"}`
				}
			}
			res, answer := send(t, gw.URL+path, http.Header{"Api-Key": {"office-key-of-24-characters"}}, body)
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s %s: status %d: %s", file, m[1], path, res.StatusCode, answer)
			}
		}
	}
}

// TestHeaders: the answer headers of the READMEs' table are those a real answer and a real refusal carry.
func TestHeaders(t *testing.T) {
	gw := hptest.Start(t, gateway)
	for _, key := range []string{"office", "public"} {
		model := map[string]string{"office": "gpt-4o", "public": "overseas"}[key]
		res, _ := send(t, gw.URL+"/v1/chat/completions", http.Header{"X-Api-Key": {key + "-key-of-24-characters"}}, `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`)
		for name := range res.Header {
			lower := strings.ToLower(name)
			if !strings.HasPrefix(lower, "x-homeport-") && lower != "x-request-id" {
				continue
			}
			for _, file := range []string{"README.md", "README.zh-CN.md"} {
				if !strings.Contains(read(t, file), "`"+lower+"`") {
					t.Errorf("%s does not name %s", file, lower)
				}
			}
		}
	}
}

// TestMetrics: what /metrics shows is in the operation guides, and what they name exists.
func TestMetrics(t *testing.T) {
	gw := hptest.Start(t, gateway)
	send(t, gw.URL+"/v1/chat/completions", http.Header{"Api-Key": {"office-key-of-24-characters"}}, `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
	_, body := send(t, gw.AdminURL+"/metrics", nil, "")
	shown := regexp.MustCompile(`(?m)^# TYPE ((?:homeport|gen_ai)_\S+)`).FindAllStringSubmatch(body, -1)
	if len(shown) < 8 {
		t.Fatalf("only %d metrics found in\n%s", len(shown), body)
	}
	source := read(t, "internal/metrics/metrics.go")
	for _, file := range []string{"docs/guide/operate.md", "docs/guide/operate.zh-CN.md"} {
		text := read(t, file)
		for _, m := range shown {
			if !strings.Contains(text, "`"+m[1]+"`") {
				t.Errorf("%s does not name %s", file, m[1])
			}
		}
		for _, m := range regexp.MustCompile("`((?:homeport|gen_ai)_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(source, `"`+m[1]+`"`) {
				t.Errorf("%s names %s, which is not counted", file, m[1])
			}
		}
	}
}
