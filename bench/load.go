package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const appKey = "bench-key-0123456789abcdef0123456789"

// prompt is about n bytes of request, half of it Chinese, with nothing to find in it.
func prompt(n int, word string, stream bool) []byte {
	zh, en := "请根据以下会议记录整理出三条要点，并说明理由。", "Summarise the notes below in three points and say why. "
	var b strings.Builder
	fmt.Fprintf(&b, `{"model":"bench","stream":%t,"messages":[{"role":"system","content":"%s"},{"role":"user","content":"`, stream, word)
	for b.Len() < n-40 {
		b.WriteString(zh)
		b.WriteString(en)
	}
	b.WriteString(`"}],"temperature":0.7,"max_tokens":256}`)
	return []byte(b.String())
}

func request(addr string, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nAccept: application/json\r\nUser-Agent: OpenAI/JS 6.0.0\r\nX-Stainless-Lang: js\r\nContent-Length: %d\r\n\r\n", addr, appKey, len(body)), body...)
}

// result of one run against one address.
type result struct {
	n       int
	seconds float64
	p50     time.Duration
	p99     time.Duration
}

// hammer sends n requests over conns connections kept open; answers are read whole.
func hammer(addr string, body []byte, conns, n int) (result, error) {
	req := request(addr, body)
	var left, refused atomic.Int64
	left.Store(int64(n))
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	start := time.Now()
	for range conns {
		wg.Go(func() {
			var mine []time.Duration
			c, err := net.Dial("tcp", addr)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			br := bufio.NewReaderSize(c, 16<<10)
			for left.Add(-1) >= 0 {
				t := time.Now()
				if _, err := c.Write(req); err != nil {
					errs <- fmt.Errorf("send: %w", err)
					return
				}
				err := readAnswer(br)
				if errors.Is(err, errUnrecorded) { // a disk that others keep busy; said in the table, and few
					refused.Add(1)
					continue
				}
				if err != nil {
					errs <- err
					return
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return result{}, err
	default:
	}
	if r := refused.Load(); r > int64(n/20) {
		return result{}, fmt.Errorf("%d of %d requests were refused: the disk is too busy to measure", r, n)
	}
	slices.Sort(all)
	return result{n: len(all), seconds: time.Since(start).Seconds(), p50: all[len(all)/2], p99: all[len(all)*99/100]}, nil
}

// errUnrecorded is Homeport's refusal when the journal's disk took longer than its bounded wait.
var errUnrecorded = errors.New("not recorded in time")

// readAnswer reads one answer of either framing to its end.
func readAnswer(br *bufio.Reader) error {
	status, length, err := readHead(br)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if status != 200 {
		rest := make([]byte, max(length, 0))
		io.ReadFull(br, rest)
		if status == 503 && bytes.Contains(rest, []byte("evidence_unavailable")) {
			return errUnrecorded
		}
		rest = rest[:min(len(rest), 600)]
		return fmt.Errorf("status %d: %s", status, rest)
	}
	if length >= 0 {
		_, err := br.Discard(length)
		return err
	}
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return fmt.Errorf("read chunk size: %w", err)
		}
		if _, err := br.Discard(int(size) + 2); err != nil {
			return err
		}
		if size == 0 {
			return nil
		}
	}
}

// lateness of a crowd of slow streams.
type crowd struct {
	events  int64
	perSec  float64
	p50     time.Duration
	p99     time.Duration
	dropped int64
}

// hold opens n slow streams, waits until they all run, then watches for the given time; mid is called in the middle.
func hold(addr string, n int, watch time.Duration, mid func()) (crowd, error) {
	req := request(addr, prompt(600, string(wordSlow), true))
	var open, broken, counted atomic.Int64
	var on atomic.Bool
	var mu sync.Mutex
	var late []time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	gate := make(chan struct{}, 64) // connect a few at a time
	for range n {
		wg.Go(func() {
			gate <- struct{}{}
			c, err := net.Dial("tcp", addr)
			if err == nil {
				_, err = c.Write(req)
			}
			<-gate
			if err != nil {
				broken.Add(1)
				return
			}
			defer c.Close()
			go func() { <-stop; c.Close() }()
			br := bufio.NewReaderSize(c, 2048)
			var mine []time.Duration
			first := true
			for {
				line, err := br.ReadSlice('\n')
				if err != nil {
					select {
					case <-stop:
					default:
						broken.Add(1)
					}
					break
				}
				_, rest, ok := bytes.Cut(line, []byte("好的 "))
				if !ok {
					continue
				}
				if first {
					first = false
					open.Add(1)
				}
				if !on.Load() {
					continue
				}
				digits, _, _ := bytes.Cut(rest, []byte(`"`))
				sent, err := strconv.ParseInt(string(digits), 10, 64)
				if err != nil {
					continue
				}
				counted.Add(1)
				if len(mine) < 400 {
					mine = append(mine, time.Duration(time.Now().UnixNano()-sent))
				}
			}
			mu.Lock()
			late = append(late, mine...)
			mu.Unlock()
		})
	}
	deadline := time.Now().Add(60 * time.Second)
	for open.Load() < int64(n) && broken.Load() == 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if open.Load() < int64(n) {
		close(stop)
		wg.Wait()
		return crowd{}, fmt.Errorf("only %d of %d streams opened, %d broke", open.Load(), n, broken.Load())
	}
	time.Sleep(2 * time.Second)
	on.Store(true)
	start := time.Now()
	time.Sleep(watch / 2)
	mid()
	time.Sleep(watch / 2)
	on.Store(false)
	took := time.Since(start).Seconds()
	close(stop)
	wg.Wait()
	if len(late) == 0 {
		return crowd{}, fmt.Errorf("no event arrived")
	}
	slices.Sort(late)
	return crowd{events: counted.Load(), perSec: float64(counted.Load()) / took, p50: late[len(late)/2], p99: late[len(late)*99/100], dropped: broken.Load()}, nil
}
