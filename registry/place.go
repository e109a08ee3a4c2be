package registry

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Target is everything this data knows about one place a request can go to: an entry's endpoint and a model.
type Target struct {
	Matched     bool     // the address belongs to the entry; false: only its dialect applies, facts must be declared
	Source      string   // fact model.source; "" is unknown
	Places      []string // fact model.place; nil is unknown
	PlaceKnown  bool
	Mainland    *bool // processed in mainland China; nil is undocumented
	Region      string
	Filing      Filing // fact model.filing_no
	FilingKnown bool   // false: no number in this data, which is not "not filed"
}

// Target returns the facts of a model at an address of an entry. baseURL may be a URL or a host; empty means the
// entry's first endpoint. operatorPlace (ISO code, may be empty) is where the operator is: the place of a server on
// its own loopback. False: no such entry.
func (r *Registry) Target(providerID, baseURL, model, operatorPlace string) (Target, bool) {
	p, ok := r.Provider(providerID)
	if !ok {
		return Target{}, false
	}
	e, ok := p.Endpoint(baseURL)
	if !ok {
		return Target{}, true
	}
	t := Target{Matched: true, Source: p.Source, Region: e.Region}
	switch e.Source {
	case "":
	case "unknown":
		t.Source = ""
	default:
		t.Source = e.Source
	}
	if p.RemoteModel(model) {
		return Target{Matched: true}, true
	}
	if e.holdsFor(model) {
		t.Mainland = e.Mainland
		t.Places, t.PlaceKnown = e.places(operatorPlace)
	}
	t.Filing, t.FilingKnown = p.filingAt(e, model)
	return t, true
}

// PlaceFor returns where an entry processes what is sent to baseURL (a URL or a host; empty: its first endpoint).
// matched is false when the host is not one of the entry's: then facts must be declared. known is false when the
// place is not documented, not verified, or depends on what this question leaves out: the model (DashScope Beijing)
// or the operator's own place (a server on loopback). [Registry.Target] asks for both.
func (r *Registry) PlaceFor(providerID, baseURL string) (places []string, known, matched bool) {
	t, _ := r.Target(providerID, baseURL, "", "")
	return t.Places, t.PlaceKnown, t.Matched
}

// holdsFor reports whether the endpoint's place is stated for this model. Some vendors keep older models in one
// country and schedule newer ones abroad from the same host.
func (e *Endpoint) holdsFor(model string) bool {
	if len(e.PlacesFor) == 0 {
		return true
	}
	_, ok := bestGlob(e.PlacesFor, model)
	return ok
}

// places are relied on only where verified: a place read from a host's name is not a known place.
func (e *Endpoint) places(operatorPlace string) ([]string, bool) {
	if e.PlaceOf == "operator" {
		if operatorPlace == "" {
			return nil, false
		}
		return []string{strings.ToUpper(operatorPlace)}, true
	}
	if !e.Verified || len(e.Places) == 0 {
		return nil, false
	}
	return slices.Clone(e.Places), true
}

// Endpoint returns the endpoint an address belongs to; empty means the first. The most literal pattern wins.
func (p *Provider) Endpoint(baseURL string) (*Endpoint, bool) {
	if baseURL == "" {
		return &p.Endpoints[0], true
	}
	i, ok := p.endpointOf(baseURL)
	if !ok {
		return nil, false
	}
	return &p.Endpoints[i], true
}

func (p *Provider) endpointOf(baseURL string) (int, bool) {
	host, ok := hostOf(baseURL)
	if !ok {
		return 0, false
	}
	best, literal := -1, -1
	for i, re := range p.endpointHostRE {
		pattern := p.Endpoints[i].Host
		var hit bool
		switch {
		case pattern == "loopback":
			hit = loopback(host)
		case re == nil:
			hit = host == pattern
		default:
			hit = re.MatchString(host)
		}
		if n := len(placeholder.ReplaceAllString(pattern, "")); hit && n > literal {
			best, literal = i, n
		}
	}
	return best, best >= 0
}

// hostOf returns the host of a URL or of a bare host[:port], lower case, without port and trailing dot.
func hostOf(s string) (string, bool) {
	if !strings.Contains(s, "://") {
		s = "//" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), true
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

var (
	placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
	hostShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
)

// hostPattern compiles a host pattern: each {name} stands for exactly one DNS label. A host without one needs no
// expression.
func hostPattern(host string) (*regexp.Regexp, error) {
	if host == "loopback" {
		return nil, nil
	}
	parts := placeholder.Split(host, -1)
	if !hostShape.MatchString(strings.Join(parts, "x")+"x") || !strings.Contains(host, ".") {
		return nil, errors.New("not a host name or pattern")
	}
	if len(parts) == 1 {
		return nil, nil
	}
	for i, s := range parts {
		parts[i] = regexp.QuoteMeta(s)
	}
	return regexp.Compile(`^` + strings.Join(parts, `[a-z0-9]([a-z0-9-]*[a-z0-9])?`) + `$`)
}

// bestGlob returns the most specific of the patterns that match the name: the one with the most literal characters.
// Only * is special; letter case does not count, as makers write their ids in several ways.
func bestGlob(patterns []string, name string) (literal int, ok bool) {
	literal = -1
	for _, p := range patterns {
		if n := len(strings.ReplaceAll(p, "*", "")); n > literal && globMatch(strings.ToLower(p), strings.ToLower(name)) {
			literal = n
		}
	}
	return literal, literal >= 0
}

func globMatch(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], next
	}
}
