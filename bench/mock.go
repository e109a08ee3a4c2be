package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// The mock upstream answers in OpenAI shape. What it does is chosen by a word in the prompt, because every proxy carries
// bodies and not every proxy carries headers.
var (
	wordBurst = []byte("bench-burst")
	wordSlow  = []byte("bench-slow")
)

const (
	burstEvents  = 100
	slowInterval = 50 * time.Millisecond
)

var answerBody = []byte(`{"id":"chatcmpl-bench","object":"chat.completion","created":1790000000,"model":"bench","choices":[{"index":0,` +
	`"message":{"role":"assistant","content":"` + string(bytes.Repeat([]byte("好的 ok "), 40)) + `"},"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":200,"completion_tokens":120,"total_tokens":320}}`)

func serveMock(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	fmt.Println(l.Addr())
	wheel := &ticker{}
	go wheel.turn()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"object":"list","data":[{"id":"bench","object":"model","created":1,"owned_by":"bench"}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch {
		case bytes.Contains(body, wordBurst):
			stream(w, burstEvents)
		case bytes.Contains(body, wordSlow):
			wheel.join(w)
		default:
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("Content-Length", strconv.Itoa(len(answerBody)))
			w.Write(answerBody)
		}
	})
	return http.Serve(l, mux)
}

// stream sends n events; each carries the time it was sent. They go out ten to a write, as a fast upstream's do.
func stream(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	var buf bytes.Buffer
	for i := range n {
		fmt.Fprintf(&buf, eventFormat, time.Now().UnixNano())
		if i%10 == 9 {
			if _, err := w.Write(buf.Bytes()); err != nil {
				return
			}
			if rc.Flush() != nil {
				return
			}
			buf.Reset()
		}
	}
	buf.WriteString(`data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":[],"usage":{"prompt_tokens":200,"completion_tokens":120,"total_tokens":320}}` + "\n\ndata: [DONE]\n\n")
	w.Write(buf.Bytes())
}

const eventFormat = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":[{"index":0,"delta":{"content":"好的 %d"},"finish_reason":null}]}` + "\n\n"

// ticker sends one event to each of many slow streams every slowInterval, from one goroutine and straight to the
// connections: the yardstick must not be what is late.
type ticker struct {
	mu   sync.Mutex
	ring [slots][]net.Conn
	next int
}

const slots = 50 // of slowInterval / 50 each

// join takes the connection over and gives it the next slot.
func (t *ticker) join(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		c.Close()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring[t.next%slots] = append(t.ring[t.next%slots], c)
	t.next++
}

func (t *ticker) turn() {
	at := time.Now()
	for slot := 0; ; slot = (slot + 1) % slots {
		at = at.Add(slowInterval / slots)
		time.Sleep(time.Until(at))
		t.mu.Lock()
		conns := t.ring[slot]
		live := conns[:0]
		for _, c := range conns {
			event := fmt.Appendf(nil, eventFormat, time.Now().UnixNano())
			if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(event), event); err != nil {
				c.Close()
				continue
			}
			live = append(live, c)
		}
		t.ring[slot] = live
		t.mu.Unlock()
	}
}

// servePlainProxy is the yardstick: httputil.ReverseProxy with its usual settings, flushing each write.
func servePlainProxy(listen, upstream string) error {
	u, err := url.Parse(upstream)
	if err != nil {
		return fmt.Errorf("plain proxy: %w", err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("plain proxy: %w", err)
	}
	fmt.Println(l.Addr())
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.MaxIdleConnsPerHost, t.MaxIdleConns, t.DisableCompression = nil, 4096, 4096, true
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport: t,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	return http.Serve(l, p)
}

// readHead reads an HTTP/1.1 answer's head: the status, and the length or -1 for chunked.
func readHead(br *bufio.Reader) (status, length int, err error) {
	length = -1
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return status, length, nil
		}
		if first {
			if len(line) < 12 {
				return 0, 0, fmt.Errorf("bad status line")
			}
			status, _ = strconv.Atoi(string(line[9:12]))
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
}
