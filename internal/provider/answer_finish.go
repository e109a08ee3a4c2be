package provider

import (
	"homeport/internal/openai"
)

// Finish ends a stream, after [DONE], at its end or after an error of Event. tail holds the data of events still owed to
// the client before [DONE]: text held back, the end of a blocked answer, the usage chunk it asked for. proper is false
// when the stream broke off: the client must then see an error and no [DONE].
func (a *Answer) Finish() (tail [][]byte, proper bool) {
	finished, begun := len(a.choices) > 0, len(a.choices) > 0
	for i := range a.choices {
		finished = finished && a.choices[i].finished
	}
	proper = begun && (a.done || finished && a.rules.Done != "required")
	if a.class != "" {
		proper = false
	}
	if !proper {
		if a.class == "" {
			a.class = ClassUpstream
		}
		return nil, false
	}
	for i := range a.choices {
		st := &a.choices[i]
		if st.finished {
			continue
		}
		t := &reading{a: a, stream: true}
		mind, text := st.think.flush()
		delta := t.held([]byte{'{'}, st, mind, text)
		reason := ""
		if a.blocked {
			reason = "content_filter"
		}
		if len(delta) > 1 || reason != "" {
			tail = append(tail, a.chunkOf(st.index, append(delta, '}'), reason))
		}
	}
	for i := range a.choices {
		if st := &a.choices[i]; a.checked(st.reason) && len(st.answer) > 0 && (len(st.answer) > maxCollected || !a.schemaHolds(st.answer)) {
			a.class = ClassSchema
			return nil, false
		}
	}
	if a.opt.WantUsage {
		tail = append(tail, a.usageChunk())
	}
	return tail, true
}

// envelope begins a chunk of our own.
func (a *Answer) envelope() []byte {
	b := openai.Quote([]byte(`{"id":`), a.id)
	kind := "chat.completion.chunk"
	if a.opt.Endpoint == openai.Completions {
		kind = "text_completion"
	}
	b = openai.Quote(append(b, `,"object":`...), kind)
	created := a.created
	if created == 0 {
		created = a.opt.Created
	}
	b = appendInt(append(b, `,"created":`...), created)
	return openai.Quote(append(b, `,"model":`...), a.model)
}

func (a *Answer) chunkOf(index int64, delta []byte, reason string) []byte {
	b := appendInt(append(a.envelope(), `,"choices":[{"index":`...), index)
	if a.opt.Endpoint == openai.Completions {
		b = append(b, `,"text":""`...)
	} else {
		b = append(append(b, `,"delta":`...), delta...)
	}
	b = append(b, `,"finish_reason":`...)
	if reason == "" {
		b = append(b, "null"...)
	} else {
		b = openai.Quote(b, reason)
	}
	return append(b, `}]}`...)
}

// usageChunk is the one usage chunk of a stream: the upstream's own, or one made from the figure it sent elsewhere, or
// from an estimate that says so.
func (a *Answer) usageChunk() []byte {
	if a.closing != nil && a.figures != nil {
		return a.closing
	}
	b := append(a.envelope(), `,"choices":[],"usage":`...)
	if a.figures != nil {
		return append(append(b, a.figures...), '}')
	}
	a.note("usage:estimated")
	u := a.Usage()
	b = appendInt(append(b, `{"prompt_tokens":`...), u.Prompt)
	b = appendInt(append(b, `,"completion_tokens":`...), u.Completion)
	b = appendInt(append(b, `,"total_tokens":`...), u.Total)
	return append(b, `},"homeport":{"usage":"estimated"}}`...)
}
