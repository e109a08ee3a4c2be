package upstream

import (
	"bytes"
	"context"
	jsonv2 "encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"homeport/internal/guard"
)

// Entra defaults. Azure operated by 21Vianet in China has its own authority,
// https://login.chinacloudapi.cn, and its own scope, https://cognitiveservices.azure.cn/.default.
const (
	DefaultAuthority = "https://login.microsoftonline.com"
	DefaultScope     = "https://cognitiveservices.azure.com/.default"
)

// EntraConfig is one application registration, for the OAuth 2.0 client credentials flow.
type EntraConfig struct {
	Authority    string // base URL; DefaultAuthority when empty
	Tenant       string // directory id or domain
	ClientID     string
	ClientSecret Secret
	Scope        string // DefaultScope when empty
	Network      guard.Network
	Proxy        string
	Version      string        // for User-Agent
	Timeout      time.Duration // of one token request; 0 means 20 s
}

const (
	refreshBefore  = 5 * time.Minute  // a token is renewed this long before it expires
	neverUseWithin = 30 * time.Second // nor used this close to its expiry
	holdAfterError = 5 * time.Second  // no new token request this soon after a failed one
	entraTimeout   = 20 * time.Second
	maxTokenAnswer = 64 << 10
)

// Entra is a TokenSource for Microsoft Entra ID. One refresh runs at a time, in a goroutine that ends
// with its answer or time-out; callers wait for it only when no usable token is left. It goes out through the same
// guarded client as model calls.
type Entra struct {
	client *Client
	path   string
	form   []byte // holds the secret; the request's body
	limit  time.Duration

	mu      sync.Mutex
	token   string
	expires time.Time
	renew   time.Time
	failed  *Error        // of the last refresh, cleared by success
	retryAt time.Time     // no refresh before, after a failure
	flight  chan struct{} // closed when the running refresh ends; nil when none runs
}

// NewEntra checks the configuration. It sends nothing.
func NewEntra(cfg EntraConfig) (*Entra, error) {
	if cfg.Authority == "" {
		cfg.Authority = DefaultAuthority
	}
	if cfg.Scope == "" {
		cfg.Scope = DefaultScope
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = entraTimeout
	}
	switch {
	case cfg.ClientID == "":
		return nil, errors.New("entra: client_id is empty")
	case cfg.ClientSecret.Empty():
		return nil, errors.New("entra: client_secret is empty")
	}
	path, err := Path(cfg.Tenant, "oauth2", "v2.0", "token")
	if err != nil {
		return nil, fmt.Errorf("entra: tenant: %w", err)
	}
	client, err := New(Config{
		BaseURL: cfg.Authority, Network: cfg.Network, Proxy: cfg.Proxy, Version: cfg.Version,
		Timeouts: Timeouts{Connect: min(DefaultConnect, cfg.Timeout), Total: cfg.Timeout},
	})
	if err != nil {
		return nil, fmt.Errorf("entra: authority: %w", err)
	}
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {cfg.ClientID},
		"client_secret": {cfg.ClientSecret.reveal()},
		"scope":         {cfg.Scope},
	}
	return &Entra{client: client, path: path, form: []byte(form.Encode()), limit: cfg.Timeout}, nil
}

// Token returns a token that is good for 30 seconds at least. Errors are *Error of ClassAuth, of a
// network class, or ClassCanceled when ctx ended first.
func (e *Entra) Token(ctx context.Context) (string, error) {
	for {
		e.mu.Lock()
		now := time.Now()
		if e.token != "" && now.Before(e.renew) {
			defer e.mu.Unlock()
			return e.token, nil
		}
		usable := e.token != "" && now.Before(e.expires.Add(-neverUseWithin))
		if e.flight == nil && !now.Before(e.retryAt) {
			e.flight = make(chan struct{})
			go e.refresh()
		}
		switch {
		case usable:
			defer e.mu.Unlock()
			return e.token, nil
		case e.flight == nil:
			defer e.mu.Unlock()
			failed := *e.failed // retryAt is set only with it
			return "", &failed
		}
		flight := e.flight
		e.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return "", &Error{Class: ClassCanceled}
		}
	}
}

// Invalidate drops the token when it is the present one.
func (e *Entra) Invalidate(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.token == token {
		e.token = ""
	}
}

// Close closes idle connections.
func (e *Entra) Close() { e.client.Close() }

// refresh is not bound to the caller that started it: others wait for it too.
func (e *Entra) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), e.limit)
	defer cancel()
	token, life, failed := e.request(ctx)
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed != nil {
		e.failed, e.retryAt = failed, now.Add(holdAfterError)
	} else {
		e.token, e.expires = token, now.Add(life)
		// A short-lived token is renewed at half its life.
		e.renew = e.expires.Add(-min(refreshBefore, life/2))
		e.failed, e.retryAt = nil, time.Time{}
	}
	close(e.flight)
	e.flight = nil
}

func (e *Entra) request(ctx context.Context) (string, time.Duration, *Error) {
	answer, err := e.client.Do(ctx, &Call{
		Path: e.path, Body: e.form,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return "", 0, asAuth(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxTokenAnswer+1))
	if err != nil {
		return "", 0, asAuth(err)
	}
	if answer.Status != http.StatusOK {
		return "", 0, &Error{Class: ClassAuth, Reason: refusalCode(answer.Status, raw), Started: true, Sent: true}
	}
	var got struct {
		Token string      `json:"access_token"`
		Type  string      `json:"token_type"`
		Life  lifeSeconds `json:"expires_in"`
	}
	if len(raw) > maxTokenAnswer || jsonv2.Unmarshal(raw, &got) != nil || got.Token == "" ||
		!strings.EqualFold(got.Type, "Bearer") || got.Life <= 0 {
		return "", 0, &Error{Class: ClassAuth, Reason: "token_malformed", Started: true, Sent: true}
	}
	return got.Token, time.Duration(got.Life) * time.Second, nil
}

// lifeSeconds reads expires_in, a number by RFC 6749 and a string from some authorities.
type lifeSeconds int64

// UnmarshalJSON accepts 3599 and "3599", up to a day.
func (l *lifeSeconds) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return errors.New("expires_in is not a whole number") // strconv's error quotes the text
	}
	*l = lifeSeconds(min(n, 86_400))
	return nil
}

// refusalCode makes a reason from the authority's answer: its error code when it is one word of the known
// form, never the description, which names the application.
func refusalCode(status int, raw []byte) string {
	var got struct {
		Code string `json:"error"`
	}
	if len(raw) <= maxTokenAnswer && jsonv2.Unmarshal(raw, &got) == nil && knownOAuthCodes[got.Code] {
		return got.Code
	}
	return "authority_status_" + strconv.Itoa(status)
}

// knownOAuthCodes are those of RFC 6749 5.2.
var knownOAuthCodes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true,
	"unauthorized_client": true, "unsupported_grant_type": true, "invalid_scope": true,
}

// asAuth keeps the network's class in the reason: to the caller the target itself was not reached.
func asAuth(err error) *Error {
	return &Error{Class: ClassAuth, Reason: ClassOf(err).String()}
}
