package gateway_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A body that nobody wants, or that stops arriving, does not hold its connection for ever: no key is needed to try.
func TestBodiesThatStandStill(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up})
	addr := strings.TrimPrefix(g.URL, "http://")
	for name, head := range map[string]string{
		"no key":       "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"no such path": "POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprint(c, head)
			b, err := io.ReadAll(c)
			if err != nil || !strings.Contains(string(b), "401") {
				t.Fatalf("%q %v", b, err)
			}
		})
	}
}
