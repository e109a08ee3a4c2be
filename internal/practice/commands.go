package practice

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds on what a command may ask for.
const (
	maxWait   = 5 * time.Minute
	maxPieces = 100_000
)

// commands is what the lines `practice: …` of the last user text ask for. Lines that are not commands stay in rest.
type commands struct {
	fail         *apiError // answer with this error
	failInStream bool      // …but in the stream: after three deltas
	failFirst    bool      // …or as the stream's first event
	slow         time.Duration
	silence      time.Duration // before the second event of a stream
	breakStream  bool          // cut the connection after three deltas
	long         int           // this many deltas of text; 0: the usual answer
	pace         time.Duration // between deltas of a long answer
	calls        []wantedCall
	echo         bool // rest is to be repeated
	rest         string
}

// wantedCall is one `practice: tool NAME {…}`; args is empty when the tool's schema is to be satisfied instead.
type wantedCall struct{ name, args string }

// prefixes of a command line: the colon may be the full-width one that Chinese input methods type.
var prefixes = []string{"practice:", "practice：", "练习:", "练习："}

// parseCommands reads the last user text. A command that is misspelt is an error that names the known ones: a test that
// mistypes a command must not pass by getting a usual answer.
func parseCommands(text string) (commands, error) {
	var c commands
	var rest []string
	for line := range strings.Lines(text) {
		cmd, ok := commandLine(line)
		if !ok {
			rest = append(rest, line)
			continue
		}
		if !c.parse(cmd) {
			return c, invalid("messages", "未知的练习命令；unknown practice command. "+
				"error STATUS|context|content_filter|quota, error in stream, error in first event, break stream, "+
				"slow 3s, silence 20s, long 2000 [10ms], tool NAME {json}")
		}
	}
	c.rest = strings.TrimSpace(strings.Join(rest, ""))
	if after, ok := strings.CutPrefix(c.rest, "/echo "); ok {
		c.echo, c.rest = true, after
	}
	return c, nil
}

func commandLine(line string) (string, bool) {
	line = strings.TrimSpace(line)
	for _, p := range prefixes {
		if after, ok := strings.CutPrefix(line, p); ok {
			return strings.TrimSpace(after), true
		}
	}
	return "", false
}

// parse adds one command; false means that it is not understood.
func (c *commands) parse(cmd string) bool {
	switch cmd {
	case "break stream":
		c.breakStream = true
		return true
	case "error in stream":
		c.fail, c.failInStream = asked(http.StatusInternalServerError), true
		return true
	case "error in first event":
		c.fail, c.failFirst = asked(http.StatusTooManyRequests), true
		return true
	}
	verb, arg, _ := strings.Cut(cmd, " ")
	arg = strings.TrimSpace(arg)
	switch verb {
	case "error":
		c.fail = namedError(arg)
		return c.fail != nil
	case "slow":
		return duration(arg, &c.slow)
	case "silence":
		return duration(arg, &c.silence)
	case "long":
		count, pace, paced := strings.Cut(arg, " ")
		n, err := strconv.Atoi(count)
		c.long = n
		return err == nil && n > 0 && n <= maxPieces && (!paced || duration(strings.TrimSpace(pace), &c.pace))
	case "tool":
		name, args, _ := strings.Cut(arg, " ")
		args = strings.TrimSpace(args)
		c.calls = append(c.calls, wantedCall{name, args})
		return name != "" && (args == "" || json.Valid([]byte(args)))
	}
	return false
}

func duration(s string, into *time.Duration) bool {
	d, err := time.ParseDuration(s)
	*into = d
	return err == nil && d >= 0 && d <= maxWait
}

// namedError is the error of `practice: error ARG`: a status from 400 to 599, or a case that statuses do not tell apart.
func namedError(arg string) *apiError {
	const zh, en = "按要求返回的练习错误；", "a practice error, as asked"
	switch arg {
	case "context":
		return errorf(http.StatusBadRequest, "invalid_request_error", "context_length_exceeded", "messages", zh+en)
	case "content_filter":
		return errorf(http.StatusBadRequest, "invalid_request_error", "content_filter", "prompt", zh+en)
	case "quota":
		return errorf(http.StatusTooManyRequests, "insufficient_quota", "insufficient_quota", "", zh+en)
	}
	status, err := strconv.Atoi(arg)
	if err != nil || status < 400 || status > 599 {
		return nil
	}
	return asked(status)
}

// asked gives a status the type and code that OpenAI pairs it with.
func asked(status int) *apiError {
	e := errorf(status, "server_error", "", "", "按要求返回的练习错误 "+strconv.Itoa(status)+"；a practice error "+strconv.Itoa(status)+", as asked")
	switch status {
	case http.StatusUnauthorized:
		e.kind, e.code = "authentication_error", "invalid_api_key"
	case http.StatusPaymentRequired:
		e.kind, e.code = "insufficient_quota", "insufficient_quota"
	case http.StatusForbidden:
		e.kind = "permission_error"
	case http.StatusNotFound:
		e.kind, e.code = "not_found_error", "model_not_found"
	case http.StatusTooManyRequests:
		e.kind, e.code, e.retryAfter = "rate_limit_error", "rate_limit_exceeded", 1
	case http.StatusServiceUnavailable:
		e.kind = "service_unavailable"
	default:
		if status < 500 {
			e.kind = "invalid_request_error"
		}
	}
	return e
}
