package audit

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"
)

// timeLayout is RFC 3339 in UTC with exactly three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendDecision appends d as one JSON object: the bytes of the record, the leaf
// of the tree. Members stand in a fixed order, absent ones are left out, and
// bytes that are no UTF-8 become U+FFFD. It allocates nothing if dst has room.
func AppendDecision(dst []byte, d *Decision) []byte {
	dst = appendHead(dst, KindDecision, &d.Head, "")
	dst = appendMember(dst, "op", d.Op)
	dst = appendOptional(dst, "route", d.Route)
	dst = appendOptional(dst, "profile", d.Profile)
	dst = append(dst, `,"stream":`...)
	dst = strconv.AppendBool(dst, d.Stream)

	dst = append(dst, `,"facts":{`...)
	dst = append(dst, d.FactsJSON...)
	if len(d.FactsJSON) > 0 && len(d.Facts) > 0 {
		dst = append(dst, ',')
	}
	dst = AppendFacts(dst, d.Facts)
	dst = append(dst, `},"targets":[`...)
	dst = append(dst, d.TargetsJSON...)
	if len(d.TargetsJSON) > 0 && len(d.Targets) > 0 {
		dst = append(dst, ',')
	}
	dst = AppendTargets(dst, d.Targets)
	dst = append(dst, ']')

	dst = appendOptional(dst, "chosen", d.Chosen)
	dst = appendMember(dst, "verdict", d.Verdict)
	dst = append(dst, `,"findings":{`...)
	for i, c := range d.Findings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, c.Type)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, c.N, 10)
	}
	dst = append(dst, '}')
	dst = appendEdits(dst, d.Edits)
	dst = appendStrings(dst, "adapted", d.Adapted)
	dst = append(dst, `,"digests":{`...)
	at := len(dst)
	dst = appendOptional(dst, "config", d.Digests.Config)
	dst = appendOptional(dst, "packs", d.Digests.Packs)
	dst = append(dropComma(dst, at), '}')
	dst = appendCommitments(dst, &d.Commitments)
	dst = appendInt(dst, "bytes", d.Bytes)
	return append(dst, '}')
}

// AppendAttempt appends a; see AppendDecision.
func AppendAttempt(dst []byte, a *Attempt) []byte {
	dst = appendHead(dst, KindAttempt, &a.Head, a.Ref)
	dst = appendInt(dst, "n", a.N)
	dst = appendMember(dst, "target", a.Target)
	dst = appendMember(dst, "reason", a.Reason)
	dst = appendEdits(dst, a.Edits)
	dst = appendStrings(dst, "adapted", a.Adapted)
	dst = appendCommitments(dst, &a.Commitments)
	dst = appendInt(dst, "bytes", a.Bytes)
	return append(dst, '}')
}

// AppendConclusion appends c; see AppendDecision.
func AppendConclusion(dst []byte, c *Conclusion) []byte {
	dst = appendHead(dst, KindConclusion, &c.Head, c.Ref)
	dst = appendOptional(dst, "target", c.Target)
	dst = appendStrings(dst, "place", c.Place)
	dst = appendOptional(dst, "filing", c.Filing)
	dst = appendInt(dst, "status", c.Status)
	dst = appendMember(dst, "outcome", c.Outcome)
	dst = appendOptional(dst, "error", c.Error)
	dst = appendInt(dst, "attempts", c.Attempts)
	dst = appendOptional(dst, "finish", c.Finish)
	dst = appendStrings(dst, "adapted", c.Adapted)
	dst = append(dst, `,"usage":{"prompt":`...)
	dst = strconv.AppendInt(dst, c.Usage.Prompt, 10)
	dst = appendInt(dst, "completion", c.Usage.Completion)
	dst = appendInt(dst, "total", c.Usage.Total)
	if c.Usage.Cached != 0 {
		dst = appendInt(dst, "cached", c.Usage.Cached)
	}
	if c.Usage.Reasoning != 0 {
		dst = appendInt(dst, "reasoning", c.Usage.Reasoning)
	}
	dst = appendMember(dst, "source", c.Usage.Source)
	dst = append(dst, '}')
	dst = appendInt(dst, "bytes_in", c.BytesIn)
	dst = appendInt(dst, "bytes_out", c.BytesOut)
	dst = append(dst, `,"ms":{"before":`...)
	dst = strconv.AppendInt(dst, c.Millis.Before, 10)
	dst = appendInt(dst, "first", c.Millis.First)
	dst = appendInt(dst, "total", c.Millis.Total)
	return append(dst, "}}"...)
}

// AppendAdmin appends a; see AppendDecision.
func AppendAdmin(dst []byte, a *Admin) []byte {
	dst = appendHead(dst, KindAdmin, &a.Head, "")
	dst = appendMember(dst, "who", a.Who)
	dst = appendMember(dst, "what", a.What)
	dst = appendOptional(dst, "on", a.On)
	if len(a.Changed) > 0 {
		dst = append(dst, `,"changed":[`...)
		for i := range a.Changed {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"name":`...)
			dst = appendString(dst, a.Changed[i].Name)
			dst = appendOptional(dst, "old", a.Changed[i].Old)
			dst = appendOptional(dst, "new", a.Changed[i].New)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// AppendTo is AppendDecision.
func (d *Decision) AppendTo(dst []byte) []byte { return AppendDecision(dst, d) }

// AppendTo is AppendAttempt.
func (a *Attempt) AppendTo(dst []byte) []byte { return AppendAttempt(dst, a) }

// AppendTo is AppendConclusion.
func (c *Conclusion) AppendTo(dst []byte) []byte { return AppendConclusion(dst, c) }

// AppendTo is AppendAdmin.
func (a *Admin) AppendTo(dst []byte) []byte { return AppendAdmin(dst, a) }

// AppendFacts appends the members of the facts object, without its braces, for
// Decision.FactsJSON.
func AppendFacts(dst []byte, facts []Fact) []byte {
	for i := range facts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, facts[i].Name)
		dst = append(dst, `:{"value":`...)
		dst = facts[i].Value.appendTo(dst)
		dst = append(dst, `,"from":`...)
		dst = appendString(dst, string(facts[i].From))
		dst = append(dst, '}')
	}
	return dst
}

// AppendTargets appends the elements of the targets array, without its brackets,
// for Decision.TargetsJSON.
func AppendTargets(dst []byte, targets []Target) []byte {
	for i := range targets {
		t := &targets[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = appendString(dst, t.ID)
		dst = append(dst, `,"place":`...)
		dst = appendList(dst, t.Place)
		dst = appendMember(dst, "verdict", t.Verdict)
		dst = append(dst, `,"rules":`...)
		dst = appendList(dst, t.Rules)
		dst = appendStrings(dst, "cites", t.Cites)
		dst = appendStrings(dst, "duties", t.Duties)
		dst = appendStrings(dst, "needs", t.Needs)
		dst = appendOptional(dst, "filing", t.Filing)
		dst = appendTargetFacts(dst, t)
		dst = AppendTargetEdits(dst, t.Edits, t.Error)
		dst = append(dst, '}')
	}
	return dst
}

// AppendTargetEdits appends the members of a target that differ from request to request, for a target encoded by
// AppendTargets without them and cut before its closing brace.
func AppendTargetEdits(dst []byte, edits []Edit, failure string) []byte {
	return appendOptional(appendEdits(dst, edits), "error", failure)
}

func appendTargetFacts(dst []byte, t *Target) []byte {
	if len(t.Facts) == 0 && len(t.FactsJSON) == 0 {
		return dst
	}
	dst = append(append(dst, `,"facts":{`...), t.FactsJSON...)
	if len(t.Facts) > 0 && len(t.FactsJSON) > 0 {
		dst = append(dst, ',')
	}
	return append(AppendFacts(dst, t.Facts), '}')
}

// appendHead begins the object. Kind, id and ref come first so that Peek need
// not parse the rest.
func appendHead(dst []byte, kind Kind, h *Head, ref string) []byte {
	dst = append(dst, `{"v":1,"kind":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","id":`...)
	dst = appendString(dst, h.ID)
	if kind == KindAttempt || kind == KindConclusion {
		dst = appendMember(dst, "ref", ref)
	}
	dst = append(dst, `,"time":"`...)
	dst = h.Time.Round(0).UTC().Truncate(time.Millisecond).AppendFormat(dst, timeLayout)
	dst = append(dst, '"')
	return appendOptional(dst, "app", h.App)
}

func appendCommitments(dst []byte, c *Commitments) []byte {
	dst = append(dst, `,"commitments":{`...)
	at := len(dst)
	dst = appendOptional(dst, "salt", c.Salt)
	dst = appendOptional(dst, "alg", c.Alg)
	dst = appendBase64(dst, "request", c.Request)
	dst = appendBase64(dst, "idempotency", c.Idempotency)
	dst = appendBase64(dst, "subject", c.Subject)
	dst = appendBase64(dst, "conversation", c.Conversation)
	return append(dropComma(dst, at), '}')
}

func appendEdits(dst []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return dst
	}
	dst = append(dst, `,"edits":[`...)
	for i := range edits {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"op":`...)
		dst = appendString(dst, edits[i].Op)
		dst = appendOptional(dst, "name", edits[i].Name)
		if edits[i].N != 0 {
			dst = appendInt(dst, "n", edits[i].N)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// dropComma removes the comma at position at, if something was appended there.
func dropComma(dst []byte, at int) []byte {
	if len(dst) == at {
		return dst
	}
	return append(dst[:at], dst[at+1:]...)
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendMember(dst []byte, name, value string) []byte {
	return appendString(appendName(dst, name), value)
}

func appendOptional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendMember(dst, name, value)
}

func appendInt(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(appendName(dst, name), value, 10)
}

func appendBase64(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(appendName(dst, name), '"')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"')
}

func appendStrings(dst []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return dst
	}
	return appendList(appendName(dst, name), values)
}

func appendList(dst []byte, values []string) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, v)
	}
	return append(dst, ']')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string: quotation mark, backslash and control
// characters escaped, each byte that is no UTF-8 as U+FFFD, all else as it is.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, "\uFFFD"...)
			from = i + 1
		}
		i += size
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
