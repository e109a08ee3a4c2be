package provider

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"homeport/internal/openai"
)

// Class is what an upstream failure means, whatever the provider calls it.
type Class string

// The classes. Each is answered alike for all providers.
const (
	ClassAuth        Class = "auth"              // the upstream refuses our key
	ClassPermission  Class = "permission"        // the key may not use this model or function
	ClassRegion      Class = "region_blocked"    // the upstream does not serve this place
	ClassBalance     Class = "balance"           // no money left
	ClassRateLimit   Class = "rate_limit"        // too fast, will pass soon
	ClassQuotaWindow Class = "quota_window"      // used up until a reset
	ClassSafety      Class = "content_safety"    // prompt or answer blocked by the upstream's review
	ClassContext     Class = "context_length"    // prompt too long for the model
	ClassModel       Class = "model_not_found"   // the upstream does not know the model
	ClassBadRequest  Class = "bad_request"       // the upstream refuses the request as it is
	ClassOverload    Class = "upstream_overload" // no capacity at the upstream
	ClassUpstream    Class = "upstream"          // failure at the upstream
	ClassTimeout     Class = "timeout"           // the upstream took too long
	ClassSchema      Class = "schema_not_met"    // an answer that was paid for breaks the schema asked for
)

// Valid reports whether c is one of the classes.
func (c Class) Valid() bool { _, ok := answers[c]; return ok }

// Retryable reports whether the same target may be asked again after a pause.
func (c Class) Retryable() bool {
	switch c {
	case ClassRateLimit, ClassOverload, ClassUpstream, ClassTimeout:
		return true
	}
	return false
}

// Fallback reports whether another permitted target may be asked instead. What is wrong with the request itself, or was
// blocked by a review, is wrong everywhere: a blocked prompt is never shopped around. An answer that breaks its schema was
// whole and is paid for: whether to pay for another is the client's to say.
func (c Class) Fallback() bool {
	switch c {
	case ClassSafety, ClassContext, ClassBadRequest, ClassSchema:
		return false
	}
	return true
}

// UnmarshalText refuses classes that do not exist.
func (c *Class) UnmarshalText(b []byte) error {
	if !Class(b).Valid() {
		return fmt.Errorf("unknown error class %q", b)
	}
	*c = Class(b)
	return nil
}

type classAnswer struct {
	status     int
	typ, code  string
	noRetry    bool
	tellDetail bool // the upstream's own words go to the client
	message    string
}

var answers = map[Class]classAnswer{
	ClassAuth: {http.StatusBadGateway, "server_error", "upstream_auth", true, false,
		"上游拒绝了网关为它配置的密钥。The upstream refuses the key configured for it."},
	ClassPermission: {http.StatusForbidden, "permission_error", "upstream_permission", true, false,
		"上游账号无权使用该模型或功能。The upstream account may not use this model or function."},
	ClassRegion: {http.StatusForbidden, "permission_error", "unsupported_country_region_territory", true, false,
		"上游不在此地区提供服务。The upstream does not serve this country or region."},
	ClassBalance: {http.StatusTooManyRequests, "insufficient_quota", "insufficient_quota", true, false,
		"上游账户余额或额度不足。The upstream account has no balance or quota left."},
	ClassRateLimit: {http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded", false, false,
		"上游限流，请稍后重试。The upstream limits the rate; try again later."},
	ClassQuotaWindow: {http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded", false, false,
		"上游本周期额度已用完，重置后可用。The upstream quota of this period is used up until it is reset."},
	ClassSafety: {http.StatusBadRequest, "invalid_request_error", "content_filter", true, false,
		"内容未通过上游的内容安全审核。The content did not pass the upstream's review."},
	ClassContext: {http.StatusBadRequest, "invalid_request_error", "context_length_exceeded", true, true,
		"请求超出模型的上下文长度。The request is longer than the model's context."},
	ClassModel: {http.StatusNotFound, "invalid_request_error", "model_not_found", true, false,
		"上游没有该模型，或已下线。The upstream has no such model, or no longer."},
	ClassBadRequest: {http.StatusBadRequest, "invalid_request_error", "", true, true,
		"上游认为请求无效。The upstream refuses the request as invalid."},
	ClassOverload: {http.StatusServiceUnavailable, "service_unavailable", "upstream_overload", false, false,
		"上游过载，请稍后重试。The upstream is overloaded; try again later."},
	ClassUpstream: {http.StatusBadGateway, "server_error", "upstream_error", false, false,
		"上游出错。The upstream failed."},
	ClassTimeout: {http.StatusGatewayTimeout, "server_error", "upstream_timeout", false, false,
		"上游超时。The upstream took too long."},
	ClassSchema: {http.StatusBadGateway, "server_error", "schema_not_met", true, false,
		"模型的回答不符合所要求的 JSON Schema。The model's answer does not conform to the JSON schema that was asked for."},
}

// ClassifyError turns an upstream's failed answer (status, headers, whole or cut body) into what the client gets and what
// the router may do next. The body decides before the status: a 429 can be a matter of money, a 401 an unknown model,
// a 200 a failure. Rules are tried in order; shapes are those of all providers at once.
//
// The message holds the upstream's own words only for bad_request and context_length, redacted and cut: they may quote
// the prompt, so they are for the client alone and must not be logged. [openai.Error.Error] does not show them.
func ClassifyError(rules []ErrorRule, status int, header http.Header, body []byte) (*openai.Error, Class) {
	d, _ := readFailure(body, true)
	return d.classify(rules, status, header, false)
}

// UpstreamFailure is the answer for a failure that has no upstream words: a connection that broke, a time-out.
func UpstreamFailure(c Class) *openai.Error {
	return (&failure{}).answer(c, 0, nil)
}

func (d *failure) classify(rules []ErrorRule, status int, header http.Header, inBand bool) (*openai.Error, Class) {
	c := d.class(rules, status, inBand)
	return d.answer(c, status, header), c
}

func (d *failure) class(rules []ErrorRule, status int, inBand bool) Class {
	if inBand && status == 0 {
		status = d.codeStatus() // a code in the range of HTTP statuses says as much as one
	}
	for i := range rules {
		if rules[i].holds(d, status, inBand) {
			return rules[i].Class
		}
	}
	return d.generic(status, inBand)
}

func (r *ErrorRule) holds(d *failure, status int, inBand bool) bool {
	// An in-band error has no status of its own: its code or type must then speak.
	if r.HTTP != 0 && r.HTTP != status && (!inBand || len(r.Code)+len(r.Type)+len(r.Text) == 0) {
		return false
	}
	if r.InBand && !inBand {
		return false
	}
	if len(r.Code) > 0 && !anyMatch(r.Code, d.code) && !anyMatch(r.Code, d.innerCode) {
		return false
	}
	if len(r.Type) > 0 && !anyMatch(r.Type, d.typ) {
		return false
	}
	if len(r.Text) > 0 {
		text := strings.ToLower(d.message)
		found := false
		for _, t := range r.Text {
			found = found || strings.Contains(text, strings.ToLower(t))
		}
		if !found {
			return false
		}
	}
	return true
}

func anyMatch(patterns []string, s string) bool {
	for _, p := range patterns {
		if globMatch(p, s) {
			return true
		}
	}
	return false
}

// globMatch compares without case; a trailing * in the pattern matches the rest. An empty s matches nothing.
func globMatch(pattern, s string) bool {
	if s == "" {
		return false
	}
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return len(s) >= len(head) && strings.EqualFold(s[:len(head)], head)
	}
	return strings.EqualFold(pattern, s)
}

// generic is the class for what no rule knows: first the words OpenAI-like servers share, then the status.
func (d *failure) generic(status int, inBand bool) Class {
	for _, w := range sharedWords {
		if anyMatch(w.words, d.code) || anyMatch(w.words, d.typ) || anyMatch(w.words, d.innerCode) {
			return w.class
		}
	}
	if d.reviewed {
		return ClassSafety
	}
	if status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge || inBand {
		text := strings.ToLower(d.message)
		for _, t := range contextWords {
			if strings.Contains(text, t) {
				return ClassContext
			}
		}
	}
	if status == http.StatusOK {
		status = d.codeStatus()
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return ClassAuth
	case status == http.StatusPaymentRequired:
		return ClassBalance
	case status == http.StatusForbidden:
		return ClassPermission
	case status == http.StatusNotFound, status == http.StatusGone:
		return ClassModel
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout, status == 524:
		return ClassTimeout
	case status == http.StatusTooManyRequests:
		return ClassRateLimit
	case status == http.StatusUnavailableForLegalReasons:
		return ClassSafety
	case status == http.StatusServiceUnavailable, status == 529:
		return ClassOverload
	case status == http.StatusNotImplemented:
		return ClassBadRequest
	case status >= 400 && status < 500:
		return ClassBadRequest
	}
	return ClassUpstream
}

// sharedWords are codes and types that mean the same wherever they appear.
var sharedWords = []struct {
	class Class
	words []string
}{
	{ClassRegion, []string{"unsupported_country_region_territory"}},
	{ClassBalance, []string{"insufficient_quota", "insufficient_balance", "exceeded_current_quota_error", "account_overdue", "AccountOverdueError", "Arrearage"}},
	{ClassSafety, []string{"content_filter", "ResponsibleAIPolicyViolation", "content_policy_violation", "data_inspection_failed", "DataInspectionFailed", "unsafe_request"}},
	{ClassContext, []string{"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}},
	{ClassModel, []string{"model_not_found", "ModelNotFound", "DeploymentNotFound", "resource_not_found_error"}},
	{ClassAuth, []string{"invalid_api_key", "InvalidApiKey", "incorrect_api_key_error", "invalid_authentication_error", "authentication_error"}},
	{ClassOverload, []string{"engine_overloaded_error", "overloaded_error", "ServerOverloaded", "unavailable_error"}},
	{ClassRateLimit, []string{"rate_limit_exceeded", "rate_limit_reached_error", "rate_limit_error"}},
}

// contextWords are how servers without a code for it say that the prompt is too long.
var contextWords = []string{"context length", "context_length", "context window", "context size", "token limit", "token length", "too many tokens", "exceeds the maximum number of tokens", "上下文长度"}

func (d *failure) answer(c Class, status int, header http.Header) *openai.Error {
	a := answers[c]
	e := &openai.Error{Status: a.status, Type: a.typ, Code: a.code, Message: a.message, NoRetry: a.noRetry}
	if a.tellDetail {
		if text := redact(d.message); text != "" {
			e.Message += " (" + text + ")"
		}
		e.Param = identifier(d.param)
	}
	switch c {
	case ClassBadRequest:
		if code := identifier(d.code); code != "" && !allDigits(code) {
			e.Code = code
		}
	case ClassContext:
		if e.Param == "" {
			e.Param = "messages"
		}
	case ClassSafety:
		e.Inner = d.inner
		e.Param = identifier(d.param)
	case ClassRateLimit, ClassQuotaWindow, ClassOverload:
		e.RetryAfter = retryAfter(header, d, c)
		// Clients retry a 429 within seconds by themselves; a window that ends later, or nobody knows when, is not for that.
		if c == ClassQuotaWindow && (e.RetryAfter == 0 || e.RetryAfter > time.Minute) {
			e.NoRetry = true
		}
	}
	e.Homeport = d.origin(c, status)
	return e
}

// origin is the extension member that keeps what the upstream said in machine words.
func (d *failure) origin(c Class, status int) []byte {
	b := append([]byte(`{"upstream":{"class":"`), c...)
	b = append(b, '"')
	if status != 0 {
		b = fmt.Appendf(b, `,"status":%d`, status)
	}
	if code := identifier(d.code); code != "" {
		b = openai.Quote(append(b, `,"code":`...), code)
	}
	if typ := identifier(d.typ); typ != "" {
		b = openai.Quote(append(b, `,"type":`...), typ)
	}
	return append(b, "}}"...)
}
