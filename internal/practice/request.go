package practice

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// chatRequest holds the members of a chat request that this upstream acts on.
type chatRequest struct {
	Messages            []message       `json:"messages"`
	Stream              bool            `json:"stream"`
	StreamOptions       streamOptions   `json:"stream_options"`
	N                   *int            `json:"n"`
	Stop                texts           `json:"stop"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Tools               []tool          `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	Functions           []function      `json:"functions"` // the form before tools
	FunctionCall        json.RawMessage `json:"function_call"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	ResponseFormat      struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	Logprobs        bool   `json:"logprobs"`
	TopLogprobs     int    `json:"top_logprobs"`
	ReasoningEffort string `json:"reasoning_effort"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // text, list of parts, or null
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"`
}

// texts is a string or a list of strings; null is none.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	switch {
	case string(b) == "null":
		return nil
	case json.Unmarshal(b, &one) == nil:
		*t = texts{one}
		return nil
	case json.Unmarshal(b, (*[]string)(t)) == nil:
		return nil
	}
	return invalid("", "应为字符串或字符串数组；want a string or a list of strings")
}

// content is what a message holds: its text, and how many parts could not be read.
type content struct {
	text           string
	images, others int // images; audio and files
}

// read takes the text out of a message's content. Parts are joined by a line feed.
func (m message) read() (content, error) {
	var c content
	if len(m.Content) == 0 || string(m.Content) == "null" || json.Unmarshal(m.Content, &c.text) == nil {
		return c, nil
	}
	var parts []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	}
	if json.Unmarshal(m.Content, &parts) != nil {
		return c, invalid("messages", "content 应为文本或部件数组；content must be text or a list of parts")
	}
	var all []string
	for _, p := range parts {
		switch p.Type {
		case "text", "refusal":
			all = append(all, p.Text+p.Refusal)
		case "image_url":
			c.images++
		case "input_audio", "file", "video_url":
			c.others++
		default:
			return c, invalid("messages", "未知的部件类型；unknown content part type")
		}
	}
	c.text = strings.Join(all, "\n")
	return c, nil
}

// conversation is what the answer may know of the messages.
type conversation struct {
	count, runes, tokens int
	images, others       int
	lastUser             string // the text of the last user message
	afterTool            bool   // the last message is a tool's result
	toolRunes            int    // its length in characters
}

// readConversation checks roles and counts. 3 tokens are added for each message, as chat templates do.
func readConversation(ms []message) (conversation, error) {
	var v conversation
	if len(ms) == 0 {
		return v, invalid("messages", "messages 不可为空；messages must not be empty")
	}
	v.count = len(ms)
	for i, m := range ms {
		c, err := m.read()
		if err != nil {
			return v, err
		}
		v.afterTool = false
		switch m.Role {
		case "user":
			v.lastUser = c.text
		case "tool", "function":
			v.afterTool, v.toolRunes = true, utf8.RuneCountInString(c.text)
		case "system", "developer", "assistant":
		default:
			return v, invalid("messages["+strconv.Itoa(i)+"].role", "未知的角色；unknown role")
		}
		v.runes += utf8.RuneCountInString(c.text)
		v.tokens += countTokens(c.text) + 3
		v.images += c.images
		v.others += c.others
	}
	return v, nil
}

// check refuses values that the OpenAI API refuses, and gives n and the token limit (0: none).
func (r *chatRequest) check() (n, limit int, err error) {
	n = 1
	if r.N != nil {
		n = *r.N
	}
	if n < 1 || n > 128 {
		return 0, 0, invalid("n", "n 应在 1 到 128 之间；n must be between 1 and 128")
	}
	for _, m := range []struct {
		name  string
		value *int
	}{{"max_tokens", r.MaxTokens}, {"max_completion_tokens", r.MaxCompletionTokens}} {
		if m.value == nil {
			continue
		}
		if *m.value < 1 {
			return 0, 0, invalid(m.name, "应至少为 1；must be at least 1")
		}
		limit = *m.value
	}
	if r.TopLogprobs < 0 || r.TopLogprobs > 20 || r.TopLogprobs > 0 && !r.Logprobs {
		return 0, 0, invalid("top_logprobs", "应在 0 到 20 之间且需 logprobs；must be 0 to 20, with logprobs")
	}
	if len(r.Stop) > 16 {
		return 0, 0, invalid("stop", "至多 16 个；at most 16")
	}
	for i, t := range r.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return 0, 0, invalid("tools["+strconv.Itoa(i)+"]", "仅支持有名字的 function 工具；only named function tools are supported")
		}
	}
	return n, limit, nil
}
