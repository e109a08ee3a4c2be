package openai_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"homeport/internal/openai"
)

// Official clients decode exactly message, type, param and code.
func TestErrorEnvelope(t *testing.T) {
	e := &openai.Error{Status: 429, Type: "rate_limit_error", Message: "slow \"down\"", NoRetry: true, RetryAfter: 1500 * time.Millisecond,
		Homeport: []byte(`{"event":"hp_1"}`), Inner: []byte(`{"code":"X"}`)}
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "hp_1")
	w.Header().Set("Content-Length", "99999")
	e.Write(w)
	if w.Code != 429 || w.Header().Get("X-Should-Retry") != "false" || w.Header().Get("Retry-After") != "2" ||
		w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Request-Id") != "hp_1" || w.Header().Get("Content-Length") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var got struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"message", "type", "param", "code"} {
		if _, ok := got.Error[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if got.Error["param"] != nil || got.Error["code"] != nil || got.Error["message"] != "slow \"down\"" {
		t.Errorf("%v", got.Error)
	}
	if got.Error["homeport"].(map[string]any)["event"] != "hp_1" || got.Error["innererror"].(map[string]any)["code"] != "X" {
		t.Errorf("%v", got.Error)
	}
	if e.Error() != "answer 429 rate_limit_error ()" {
		t.Errorf("%q", e.Error())
	}
	b := openai.BadRequest("n", "invalid_value", "no")
	w = httptest.NewRecorder()
	b.Write(w)
	if w.Code != 400 || w.Header().Get("Retry-After") != "" || w.Header().Get("X-Should-Retry") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
