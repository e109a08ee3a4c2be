package provider

import (
	"bytes"
	"encoding/json/jsontext"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"homeport/internal/openai"
)

// failure is what an upstream says about a failure, read from any of the known shapes.
type failure struct {
	code, typ, param, message string
	innerCode                 string
	inner                     jsontext.Value // Azure's innererror, known members only
	reviewed                  bool           // Zhipu's contentFilter is there: a review found something
}

// maxErrorBody bounds how much of an error body is looked at; errors are short, and an upstream may send anything.
const maxErrorBody = 64 << 10

// readFailure reads a failed answer. ok is false when nothing in body says that it is a failure. With failed set the
// caller knows that it is one (by its status), so plain text and members such as "message" alone count too.
//
// Shapes: {"error":{…}} (OpenAI, Azure, most), {"error":"…"} (Ollama, LM Studio), {"code","message"} (SiliconFlow, Spark,
// DashScope native), {"base_resp":{"status_code","status_msg"}} (MiniMax), {"error_code","error_msg"} (Qianfan, old),
// {"object":"error",…} (SGLang, old vLLM), {"type":"error"|"session.error","error":{…}} (Ark, MiniMax), {"detail":…}
// (Xinference), {"Response":{"Error":{"Code","Message"}}} (Tencent, old), {"ErrorMsg":{"Msg","Code"}} (Hunyuan, old),
// a bare JSON string, plain text, any of the objects inside an array.
func readFailure(body []byte, failed bool) (d *failure, ok bool) {
	d = &failure{}
	body = bytes.TrimSpace(body)
	if len(body) > maxErrorBody {
		body = body[:maxErrorBody]
	}
	if !validJSON(body) {
		if failed {
			d.message = string(body)
		}
		return d, failed
	}
	switch body[0] {
	case '[': // Gemini's layer wraps the object in an array
		for _, e := range openai.Elements(body, openai.Span{End: len(body)}) {
			if d.object(body, openai.Members(body, e), failed) {
				return d, true
			}
		}
	case '"':
		d.message = openai.Str(body, openai.Span{End: len(body)})
		return d, true
	case '{':
		ok = d.object(body, openai.Members(body, openai.Span{End: len(body)}), failed)
	}
	return d, ok || failed
}

// object reads the members of an answer that may be a failure.
func (d *failure) object(raw []byte, top []openai.Field, failed bool) bool {
	found, answered, isError := false, false, false
	var flatCode, flatMessage, flatType, flatParam openai.Span
	for _, f := range top {
		v := f.Value.Of(raw)
		isNull := string(v) == "null"
		switch f.Name {
		case "error", "Error":
			if isNull || string(v) == "{}" || string(v) == `""` || string(v) == "false" {
				break
			}
			found = true
			d.nested(raw, f.Value)
		case "base_resp":
			if code := scalarMember(raw, f.Value, "status_code"); code != "" && code != "0" {
				found = true
				d.code = code
				d.message = strMember(raw, f.Value, "status_msg")
			}
		case "error_code":
			if code := scalar(raw, f.Value); code != "" && code != "0" {
				found = true
				d.code = code
			}
		case "error_msg":
			d.message = openai.Str(raw, f.Value)
		case "Response":
			if e, ok := openai.Member(raw, f.Value, "Error"); ok && string(e.Of(raw)) != "null" {
				found = true
				d.nested(raw, e)
			}
		case "ErrorMsg":
			if !isNull {
				found = true
				d.nested(raw, f.Value)
			}
		case "code":
			flatCode = f.Value
		case "message", "msg":
			flatMessage = f.Value
		case "type":
			flatType = f.Value
			if t := openai.Str(raw, f.Value); t == "error" || t == "session.error" {
				isError = true
			}
		case "param":
			flatParam = f.Value
		case "object":
			if openai.Str(raw, f.Value) == "error" {
				isError = true
			}
		case "detail":
			if !isNull && d.message == "" {
				d.message = detail(raw, f.Value)
				flatMessage = openai.Span{}
				isError = isError || !hasAnswer(top)
			}
		case "contentFilter":
			d.reviewed = true
		case "choices", "data":
			answered = answered || !isNull && string(v) != "[]"
		}
	}
	flat := scalar(raw, flatCode)
	// A code beside choices counts only when it is not success: Spark sends code 0 with every answer.
	if !found && (isError || failed || (flat != "" && flat != "0" && flat != "200" && !strings.EqualFold(flat, "success") && !strings.EqualFold(flat, "ok") && !answered)) {
		found = isError || flat != "" || flatMessage.Len() > 0 || d.message != ""
		if flat != "" {
			d.code = flat
		}
		if t := openai.Str(raw, flatType); t != "" && t != "error" {
			d.typ = t
		}
		if flatMessage.Len() > 0 {
			d.message = openai.Str(raw, flatMessage)
		}
		d.param = openai.Str(raw, flatParam)
	}
	return found
}

// nested reads the value of "error": an object of any known spelling, or a string.
func (d *failure) nested(raw []byte, at openai.Span) {
	if raw[at.Start] != '{' {
		d.message = scalar(raw, at)
		return
	}
	for _, f := range openai.Members(raw, at) {
		switch f.Name {
		case "code", "Code", "http_code":
			if s := scalar(raw, f.Value); s != "" && (d.code == "" || f.Name != "http_code") {
				d.code = s
			}
		case "type":
			d.typ = openai.Str(raw, f.Value)
		case "param":
			d.param = openai.Str(raw, f.Value)
		case "message", "Message", "Msg":
			d.message = openai.Str(raw, f.Value)
		case "status": // Google writes the name of the failure here; Azure the HTTP status
			if s := openai.Str(raw, f.Value); s != "" && d.typ == "" {
				d.typ = s
			}
		case "innererror":
			d.innerCode = strMember(raw, f.Value, "code")
			d.inner = innerError(raw, f.Value)
		case "contentFilter":
			d.reviewed = true
		}
	}
}

// innerError keeps the members of Azure's innererror that clients know; anything else stays behind.
func innerError(raw []byte, at openai.Span) jsontext.Value {
	out := []byte{'{'}
	for _, f := range openai.Members(raw, at) {
		switch f.Name {
		case "code", "content_filter_result", "content_filter_results":
			if f.Value.Len() > 4<<10 {
				continue
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(openai.Quote(out, f.Name), ':'), f.Value.Of(raw)...)
		}
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// detail reads FastAPI's: a string, or a list of {"msg"}.
func detail(raw []byte, at openai.Span) string {
	if raw[at.Start] == '"' {
		return openai.Str(raw, at)
	}
	for _, e := range openai.Elements(raw, at) {
		if m := strMember(raw, e, "msg"); m != "" {
			return m
		}
	}
	return ""
}

func hasAnswer(top []openai.Field) bool {
	for _, f := range top {
		if f.Name == "choices" || f.Name == "data" {
			return true
		}
	}
	return false
}

// validJSON checks bytes that come from outside before the span helpers of openai walk them.
func validJSON(b []byte) bool {
	return len(b) > 0 && (openai.Valid(b) || tolerated(b))
}

// tolerated is what an upstream may send and a client may not: repeated names and invalid UTF-8.
func tolerated(b []byte) bool {
	return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// scalar is the text of a string, number or boolean; "" for null, empty spans and anything else.
func scalar(raw []byte, at openai.Span) string {
	v := at.Of(raw)
	switch {
	case len(v) == 0 || v[0] == 'n' || v[0] == '{' || v[0] == '[':
		return ""
	case v[0] == '"':
		return openai.Str(raw, at)
	}
	return string(v)
}

func scalarMember(raw []byte, at openai.Span, name string) string {
	v, _ := openai.Member(raw, at, name)
	return scalar(raw, v)
}

func strMember(raw []byte, at openai.Span, name string) string {
	v, _ := openai.Member(raw, at, name)
	return openai.Str(raw, v)
}

// codeStatus is the code where it is an HTTP status (vLLM, llama.cpp, LocalAI, Azure's front door), else 0.
func (d *failure) codeStatus() int {
	if n, err := strconv.Atoi(d.code); err == nil && n >= 400 && n < 600 {
		return n
	}
	return 0
}

// identifier returns s when it looks like a machine word, else "": nothing else an upstream writes there may travel on.
func identifier(s string) string {
	if len(s) > 80 {
		return ""
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-', c == '[', c == ']':
		default:
			return ""
		}
	}
	if keyLike(s) {
		return ""
	}
	return s
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// maxDetail bounds an upstream's own words, in characters.
const maxDetail = 300

// redact makes an upstream's words fit for the client: one line, at most [maxDetail] characters, without anything that
// looks like a key, an address or a path to a host (attack cases D3, D4).
func redact(s string) string {
	if len(s) > 4*maxDetail {
		s = s[:4*maxDetail]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	words := strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	})
	for i, w := range words {
		if keyLike(w) || hostLike(w) {
			words[i] = "[…]"
		}
	}
	s = strings.Join(words, " ")
	if utf8.RuneCountInString(s) > maxDetail {
		s = string([]rune(s)[:maxDetail]) + "…"
	}
	return s
}

// keyLike reports whether a word may hold a credential: a known prefix, or a long run of letters and digits mixed.
func keyLike(w string) bool {
	lower := strings.ToLower(w)
	for _, p := range []string{"sk-", "tp-", "bce-v3", "bearer", "ak-", "altak"} {
		if strings.Contains(lower, p) && len(w) > len(p)+4 {
			return true
		}
	}
	run, digits := 0, 0
	for i := range len(w) {
		switch c := w[i]; {
		case c >= '0' && c <= '9':
			digits++
			run++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '*':
			run++
		default:
			run, digits = 0, 0
		}
		if run >= 20 && digits >= 3 {
			return true
		}
	}
	return false
}

// hostLike reports whether a word holds an address: a URL, an IP address, host:port.
func hostLike(w string) bool {
	for _, p := range []string{"://", "localhost", ".local", ".internal", ".svc"} {
		if strings.Contains(strings.ToLower(w), p) {
			return true
		}
	}
	dots, digits := 0, 0
	for i := range len(w) {
		switch c := w[i]; {
		case c == '.':
			dots++
		case c >= '0' && c <= '9':
			digits++
		}
	}
	return dots == 3 && digits >= 4
}

// retryAfter reads when to come back: retry-after-ms, retry-after in seconds or as a date, or the reset time a message
// names in Beijing time. The reference clock is the answer's own Date. At most 24 hours; zero is unknown.
func retryAfter(h http.Header, d *failure, c Class) time.Duration {
	wait := time.Duration(0)
	now, err := http.ParseTime(h.Get("Date"))
	if ms, e := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); e == nil && ms > 0 {
		wait = time.Duration(min(ms, 1e9)) * time.Millisecond
	} else if v := h.Get("Retry-After"); v != "" {
		if s, e := strconv.ParseFloat(v, 64); e == nil && s > 0 {
			wait = time.Duration(min(s, 1e6) * float64(time.Second))
		} else if at, e := http.ParseTime(v); e == nil && err == nil {
			wait = at.Sub(now)
		}
	} else if c == ClassQuotaWindow && err == nil {
		if at, ok := resetTime(d.message); ok {
			wait = at.Sub(now)
		}
	}
	return max(0, min(wait, 24*time.Hour))
}

var beijing = time.FixedZone("CST", 8*3600)

// resetTime finds the first "2006-01-02 15:04:05" in a message.
func resetTime(s string) (time.Time, bool) {
	const layout = time.DateTime
	for i := 0; i+len(layout) <= len(s); i++ {
		if s[i] == '2' && s[i+4] == '-' {
			if t, err := time.ParseInLocation(layout, s[i:i+len(layout)], beijing); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
