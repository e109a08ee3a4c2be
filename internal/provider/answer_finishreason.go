package provider

import "bytes"

// FinishReason is the finish reason that was relayed, one of OpenAI's: that of the first choice that ended, "" while none did.
func (a *Answer) FinishReason() string {
	for i := range a.choices {
		switch reason := a.choices[i].reason; {
		case reason == "tool_calls" && a.opt.LegacyFunctions:
			return "function_call"
		case reason != "":
			return reason
		}
	}
	if a.blocked {
		return "content_filter" // it ended the answer for all choices
	}
	return ""
}

// readReason finds the finish reason near the end of a whole body of which only the last bytes are at hand. A name in quotes
// cannot stand inside of a string, where its quotes are escaped; words that are not OpenAI's are left out.
func (a *Answer) readReason(tail []byte) {
	name := []byte(`"finish_reason"`)
	i := bytes.LastIndex(tail, name)
	if i < 0 {
		return
	}
	rest := bytes.TrimLeft(tail[i+len(name):], " \t\r\n:")
	for _, reason := range [...]string{"stop", "length", "tool_calls", "content_filter", "function_call"} {
		if bytes.HasPrefix(rest, []byte(`"`+reason+`"`)) {
			a.choice(0).reason = reason
		}
	}
}
