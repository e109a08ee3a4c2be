package main

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"time"
)

// perRequest measures one proxy: processor time per request in µs, the median of rounds, and the load's result of the last.
func (l *lab) perRequest(p proxy, body []byte, conns, n, perUnit int) (float64, result, error) {
	if _, err := hammer(p.addr, body, conns, max(conns, n/5)); err != nil { // warm up
		return 0, result{}, fmt.Errorf("%s: %w", p.name, err)
	}
	var costs []float64
	var last result
	for range 3 {
		before := cpu(p.pid)
		r, err := hammer(p.addr, body, conns, n)
		if err != nil {
			return 0, result{}, fmt.Errorf("%s: %w", p.name, err)
		}
		costs = append(costs, (cpu(p.pid)-before)/float64(r.n*perUnit))
		last = r
	}
	slices.Sort(costs)
	return costs[1], last, nil
}

// trio runs the same work through nginx, the plain proxy and Homeport, one after the other.
func (l *lab) trio(what string, body []byte, conns, n, perUnit int) (map[string]float64, error) {
	n = max(conns, int(float64(n)*l.scale))
	direct, err := hammer(l.mock, body, conns, n)
	if err != nil {
		return nil, fmt.Errorf("direct: %w", err)
	}
	fmt.Printf("%-28s %-13s %19s  p50 %8s  p99 %8s\n", what, "direct", "", direct.p50.Round(time.Microsecond), direct.p99.Round(time.Microsecond))
	out := map[string]float64{}
	proxies := []func() (proxy, error){l.nginx, l.plainProxy, l.homeport}
	if l.alone {
		proxies = proxies[2:]
	}
	for _, start := range proxies {
		p, err := start()
		if err != nil {
			return nil, err
		}
		cost, r, err := l.perRequest(p, body, conns, n, perUnit)
		l.end(p)
		if err != nil {
			return nil, err
		}
		out[p.name] = cost
		fmt.Printf("%-28s %-13s %9.1f us CPU each  p50 %8s  p99 %8s\n", what, p.name, cost, r.p50.Round(time.Microsecond), r.p99.Round(time.Microsecond))
	}
	return out, nil
}

func (l *lab) plain() error {
	m, err := l.trio("1 KB, 32 connections", prompt(1024, "bench", false), 32, 12000, 1)
	if err != nil {
		return err
	}
	l.rows = append(l.rows,
		row{"1 KB: CPU per request / ReverseProxy", fmt.Sprintf("%.2f x", m["homeport"]/m["ReverseProxy"]), "1.6 x", "1.0 x"},
		row{"1 KB: CPU per request / nginx", fmt.Sprintf("%.2f x", m["homeport"]/m["nginx"]), "7 x", "4.5 x"})
	return nil
}

func (l *lab) large() error {
	m32, err := l.trio("32 KB", prompt(32<<10, "bench", false), 16, 4000, 1)
	if err != nil {
		return err
	}
	m200, err := l.trio("200 KB", prompt(200<<10, "bench", false), 8, 1200, 1)
	if err != nil {
		return err
	}
	l.rows = append(l.rows,
		row{"32 KB: CPU per request / nginx", fmt.Sprintf("%.2f x", m32["homeport"]/m32["nginx"]), "11 x", "6.5 x"},
		row{"200 KB: CPU per request / nginx", fmt.Sprintf("%.2f x", m200["homeport"]/m200["nginx"]), "11 x", "9 x"},
		row{"cost per KB, 200 KB against 32 KB", fmt.Sprintf("%.2f x", (m200["homeport"]/200)/(m32["homeport"]/32)), "flat", "<= 1.0 x"})
	return nil
}

func (l *lab) bursts() error {
	m, err := l.trio("stream, bursts of 100", prompt(600, string(wordBurst), true), 32, 1600, burstEvents)
	if err != nil {
		return err
	}
	l.rows = append(l.rows, row{"stream: CPU per event / ReverseProxy", fmt.Sprintf("%.2f x (%.2f us)", m["homeport"]/m["ReverseProxy"], m["homeport"]), "1.35 x", "1.0 x"})
	return nil
}

func (l *lab) many() error {
	const streams = 2000
	direct, err := hold(l.mock, streams, 4*time.Second, func() {})
	if err != nil {
		return fmt.Errorf("direct: %w", err)
	}
	fmt.Printf("%d streams: direct %.0f events/s, lateness p50 %s p99 %s\n", streams, direct.perSec, direct.p50.Round(time.Microsecond), direct.p99.Round(time.Microsecond))
	for _, start := range []func() (proxy, error){l.nginx, l.plainProxy} {
		if l.alone {
			break
		}
		p, err := start()
		if err != nil {
			return err
		}
		before, busy := rss(p.pid), cpu(p.pid)
		began, then := time.Now(), 0.0
		c, err := hold(p.addr, streams, 4*time.Second, func() { then = rss(p.pid); busy = (cpu(p.pid) - busy) / 1e6 / time.Since(began).Seconds() })
		l.end(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("%d streams: %s %.0f events/s, lateness p50 %s p99 %s, %.1f KB a stream, core %.0f %% busy\n",
			streams, p.name, c.perSec, c.p50.Round(time.Microsecond), c.p99.Round(time.Microsecond), (then-before)/streams, 100*busy)
	}
	p, err := l.homeport()
	if err != nil {
		return err
	}
	defer l.end(p)
	if _, err := hammer(p.addr, prompt(600, "bench", false), 4, 50); err != nil {
		return err
	}
	time.Sleep(time.Second)
	idle := rss(p.pid)
	var then, busy float64
	start := cpu(p.pid)
	began := time.Now()
	c, err := hold(p.addr, streams, 8*time.Second, func() {
		then = rss(p.pid)
		busy = (cpu(p.pid) - start) / 1e6 / time.Since(began).Seconds()
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d streams: %.0f events/s, lateness p50 %s p99 %s, RSS %.1f MB idle %.1f MB, core %.0f %% busy, %d broken\n",
		streams, c.perSec, c.p50.Round(time.Microsecond), c.p99.Round(time.Microsecond), then/1024, idle/1024, 100*busy, c.dropped)
	l.rows = append(l.rows,
		row{"2,000 streams: memory per stream", fmt.Sprintf("%.1f KB", (then-idle)/streams), "64 KB", "40 KB"},
		row{"2,000 streams: events carried", fmt.Sprintf("%.0f/s", c.perSec), "40,000/s", "40,000/s"},
		row{"2,000 streams: median lateness", c.p50.Round(10 * time.Microsecond).String(), "2 ms", "1 ms"})
	return nil
}

// idle measures memory at rest and the time from the start of the process to its first answer.
func (l *lab) idle() error {
	var starts []time.Duration
	var memory float64
	for range 5 {
		began := time.Now()
		p, err := l.homeport()
		if err != nil {
			return err
		}
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			_, err = c.Write(request(p.addr, prompt(600, "bench", false)))
		}
		if err == nil {
			err = readAnswer(bufio.NewReader(c))
		}
		if err != nil {
			l.end(p)
			return fmt.Errorf("first answer: %w", err)
		}
		starts = append(starts, time.Since(began))
		c.Close()
		time.Sleep(2 * time.Second)
		memory = max(memory, rss(p.pid))
		l.end(p)
	}
	slices.Sort(starts)
	l.rows = append(l.rows,
		row{"idle memory", fmt.Sprintf("%.1f MB", memory/1024), "40 MB", "30 MB"},
		row{"start to first answer", starts[2].Round(time.Millisecond).String(), "150 ms", "60 ms"})
	return nil
}

func (l *lab) table() {
	fmt.Printf("\n| figure | measured | floor | goal |\n|---|---|---|---|\n")
	for _, r := range l.rows {
		fmt.Printf("| %s | %s | %s | %s |\n", r.what, r.value, r.floor, r.goal)
	}
}
