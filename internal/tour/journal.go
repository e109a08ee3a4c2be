package tour

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"homeport/audit"
	"homeport/internal/config"
	"homeport/policy"
)

// readBack checks the journal and joins each step with its event and conclusion. The gateway is closed by then.
func (r *Report) readBack(dir string, cfg *config.Config, o Options) error {
	found, err := audit.Verify(dir)
	if err != nil {
		return fmt.Errorf("verify the journal: %w", err)
	}
	j := &r.Journal
	*j = Journal{Records: found.Records, Bytes: found.Bytes, Verified: found.TornBytes == 0, Parsed: true, TextFree: true, Replayed: true, Concluded: true}
	concluded := map[string]int{}
	err = audit.Read(dir, 0, func(index uint64, payload []byte) error {
		for _, s := range r.Steps {
			for _, text := range []string{s.told.prompt.ZH, s.told.prompt.EN, s.told.secret, s.Answer} {
				if text != "" && bytes.Contains(payload, []byte(text)) {
					j.TextFree = false
				}
			}
		}
		ev, err := audit.Parse(payload)
		if err != nil {
			j.Parsed = false
			return nil
		}
		switch ev := ev.(type) {
		case *audit.Decision:
			j.Decisions++
			return r.decision(index, payload, ev, cfg, o.Engine)
		case *audit.Conclusion:
			j.Conclusions++
			concluded[ev.Ref]++
			if s := r.step(ev.Ref); s != nil {
				s.Conclude = &Conclusion{Index: index, Outcome: ev.Outcome, Attempts: ev.Attempts, Tokens: ev.Usage.Total, Usage: ev.Usage.Source,
					Finish: ev.Finish, Adapted: ev.Adapted}
			}
		case *audit.Admin:
			j.Admin++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	for _, s := range r.Steps {
		j.Concluded = j.Concluded && concluded[s.EventID] == 1 && s.Event != nil && s.Event.Index < s.Conclude.Index
	}
	j.Concluded = j.Concluded && j.Decisions == j.Conclusions
	return nil
}

func (r *Report) step(id string) *Step {
	for i := range r.Steps {
		if r.Steps[i].EventID == id {
			return &r.Steps[i]
		}
	}
	return nil
}

// decision fills a step from its event, and judges the event's facts again.
func (r *Report) decision(index uint64, payload []byte, ev *audit.Decision, cfg *config.Config, engine *policy.Engine) error {
	s := r.step(ev.ID)
	if s == nil {
		return nil // compare tells of the count
	}
	s.Event = &Event{Index: index, Bytes: len(payload), Time: ev.Time.In(time.FixedZone("Asia/Shanghai", 8*60*60)).Format(time.RFC3339),
		Findings: map[string]int64{}, Facts: len(ev.Facts), Config: ev.Digests.Config, Packs: ev.Digests.Packs, Commitment: hex.EncodeToString(ev.Commitments.Request)}
	for _, c := range ev.Findings {
		s.Event.Findings[c.Type] = c.N
	}
	var raw struct {
		Facts   map[string]json.RawMessage
		Targets []struct{ Facts map[string]json.RawMessage }
	}
	if err := json.Unmarshal(payload, &raw); err != nil {
		return err
	}
	profile, err := policy.ParseProfile(ev.Profile)
	if err != nil {
		return err
	}
	for i, t := range ev.Targets {
		facts := map[string]json.RawMessage{}
		for name, f := range raw.Facts {
			facts[name] = f
		}
		for name, f := range raw.Targets[i].Facts {
			facts[name] = f
		}
		merged, err := json.Marshal(facts)
		if err != nil {
			return err
		}
		again, err := engine.Schema().ParseFacts(merged)
		if err != nil {
			return fmt.Errorf("facts of event %s: %w", ev.ID, err)
		}
		d := engine.Decide(again, profile)
		judged := Judged{ID: t.ID, Place: t.Place, Source: sourceOf(cfg, t.ID), Verdict: t.Verdict,
			Replayed: d.Verdict.String() == t.Verdict && slices.Equal(d.RuleIDs(), t.Rules)}
		r.Journal.Replayed = r.Journal.Replayed && judged.Replayed
		for _, name := range t.Needs {
			f, _ := engine.Schema().Fact(name)
			judged.Needs = append(judged.Needs, Need{Fact: name, Why: f.Why})
		}
		for k := range d.Rules {
			judged.Rules = append(judged.Rules, reason(&d.Rules[k]))
		}
		s.Targets = append(s.Targets, judged)
	}
	return nil
}

func reason(f *policy.Fired) Reason {
	out := Reason{Rule: f.Rule, Verdict: f.Verdict.String(), Unknown: f.Unknown, Forbids: !f.Verdict.Permitted(), Duty: f.Duty, Do: f.Do}
	for _, c := range f.Cites {
		basis := policy.Text{ZH: "已读原文", EN: "text read"}
		switch c.Basis { // Cite says the other two in its own words
		case policy.Established, policy.Practice:
			basis = policy.Text{}
		}
		out.Citations = append(out.Citations, Citation{Title: policy.Text{ZH: c.ZH(), EN: c.EN()}, Basis: basis, URL: c.URL})
	}
	return out
}

func sourceOf(cfg *config.Config, target string) string {
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		if len(target) > len(p.ID) && target[:len(p.ID)+1] == p.ID+"/" {
			s, _ := p.ModelFacts()["model.source"].Value.(string)
			return s
		}
	}
	return ""
}
