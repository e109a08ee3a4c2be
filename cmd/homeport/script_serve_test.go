package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a script: it ends a hang, and measures nothing.
const patience = 30 * time.Second

// jobs are what one script has running.
type jobs struct {
	servers map[string]*server
	streams map[string]chan string // what a stream held, when it has ended
}

type jobsKey struct{}

type server struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func newJobs() *jobs { return &jobs{servers: map[string]*server{}, streams: map[string]chan string{}} }

// stop kills what a script left running.
func (j *jobs) stop() {
	for _, s := range j.servers {
		select {
		case <-s.ended:
		default:
			s.cmd.Process.Kill()
			<-s.ended
		}
	}
}

func jobsOf(ts *testscript.TestScript) *jobs { return ts.Value(jobsKey{}).(*jobs) }

func (j *jobs) server(ts *testscript.TestScript, name string) *server {
	s := j.servers[name]
	if s == nil {
		ts.Fatalf("no server %s", name)
	}
	return s
}

// banner finds what a start prints, in either language.
var banner = map[string]*regexp.Regexp{
	"BASE":   regexp.MustCompile(`(?m)^  base URL +(\S+)/v1$`),
	"ADMIN":  regexp.MustCompile(`(?m)^  (?:admin URL|管理面) +(\S+)/$`),
	"SECRET": regexp.MustCompile(`(?m)^  (?:admin secret|管理密钥) +(\S+) `),
	"KEY":    regexp.MustCompile(`(?m)^  (?:app key|应用密钥) +(\S+) `),
}

// cmdServe is `serve NAME ARGS…`: it starts homeport with ARGS, output to NAME.out and NAME.err, waits for the banner and
// sets BASE, ADMIN, and SECRET and KEY where they are shown.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME ARGS...")
	}
	path, err := exec.LookPath("homeport")
	ts.Check(err)
	name := args[0]
	outName, errName := ts.MkAbs(name+".out"), ts.MkAbs(name+".err")
	stdout, err := os.Create(outName)
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(errName)
	ts.Check(err)
	defer stderr.Close()
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), stdout, stderr
	for _, v := range []string{"PATH", "HOME", "TMPDIR", "WORK", "HOMEPORT_DETECT", "GOCOVERDIR", "LANG", "LC_ALL", "OPENAI_API_KEY"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	ts.Check(cmd.Start())
	s := &server{cmd: cmd, ended: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(s.ended) }()
	j := jobsOf(ts)
	j.servers[name] = s
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(outName)
		ts.Check(err)
		if banner["ADMIN"].Match(text) && bytes.HasSuffix(text, []byte("\n")) {
			for key, re := range banner {
				if m := re.FindSubmatch(text); m != nil {
					ts.Setenv(key, string(m[1]))
				}
			}
			return
		}
		select {
		case <-s.ended:
			ts.Fatalf("server %s ended: %s", name, ts.ReadFile(name+".err"))
		default:
		}
		if time.Now().After(deadline) {
			ts.Fatalf("server %s printed no banner: %s", name, ts.ReadFile(name+".err"))
		}
	}
}

// cmdSignal is `signal NAME HUP|TERM|KILL`.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME HUP|TERM|KILL")
	}
	sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[1]]
	if !ok {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(jobsOf(ts).server(ts, args[0]).cmd.Process.Signal(sig))
}

// cmdEnded is `ended NAME CODE`: it waits until the server has ended, with this exit code. `! ended NAME`: it still runs.
func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || !neg && len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE, or ! ended NAME")
	}
	s := jobsOf(ts).server(ts, args[0])
	if neg {
		select {
		case <-s.ended:
			ts.Fatalf("%s has ended with %d", args[0], s.cmd.ProcessState.ExitCode())
		default:
		}
		return
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		ts.Fatalf("%s goes on", args[0])
	}
	if got := strconv.Itoa(s.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s: %s", args[0], got, ts.ReadFile(args[0]+".err"))
	}
}

// cmdExits is `exits CODE ARGS…`: homeport ends with exactly this exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	err := ts.Exec("homeport", args[1:]...)
	got := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("homeport ended with %d, want %s", got, args[0])
	}
}

// cmdCapture is `capture NAME REGEXP`: it sets NAME to the first group of what the last command printed.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("nothing printed matches %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// cmdEventually is `eventually FILE REGEXP [COUNT]`: it waits until the file holds COUNT matches, one if not given.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually FILE REGEXP [COUNT]")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	count := 1
	if len(args) == 3 {
		count, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text := ts.ReadFile(args[0])
		if len(re.FindAllString(text, -1)) >= count {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come to match %s:\n%s", args[0], args[1], text)
		}
	}
}

// call is one request of a script.
type call struct {
	want, method, url, body, ca string
	header                      http.Header
	until                       bool
	stream                      string
}

func parseCall(ts *testscript.TestScript, args []string) call {
	c := call{method: http.MethodGet, header: http.Header{}}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-until" {
			c.until, args = true, args[1:]
			continue
		}
		if len(args) < 2 {
			ts.Fatalf("%s wants a value", args[0])
		}
		switch v := args[1]; args[0] {
		case "-key":
			c.header.Set("Authorization", "Bearer "+v)
		case "-h":
			name, value, _ := strings.Cut(v, ":")
			c.header.Add(name, strings.TrimSpace(value))
		case "-d":
			c.method, c.body = http.MethodPost, v
			c.header.Set("Content-Type", "application/json")
		case "-ca":
			c.ca = v
		case "-stream":
			c.stream = v
		default:
			ts.Fatalf("no option %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: http [-until] [-key KEY] [-h HEADER] [-d BODY] [-ca FILE] [-stream NAME] STATUS URL")
	}
	c.want, c.url = args[0], args[1]
	return c
}

func (c call) do(ts *testscript.TestScript) (*http.Response, error) {
	req, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
	ts.Check(err)
	req.Header = c.header.Clone()
	tr := &http.Transport{DisableKeepAlives: true}
	if c.ca != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(c.ca)))
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return (&http.Client{Transport: tr, Timeout: patience}).Do(req)
}

// cmdHTTP is `http … STATUS URL`: it prints status, headers and body, and fails on another status. With -until it asks
// again for a while; STATUS may be "error" for a request that gets no answer. With -stream NAME it returns with the first
// line of the body and goes on reading until `streamed NAME`.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("name the status instead of !")
	}
	c := parseCall(ts, args)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, text := "error", ""
		resp, err := c.do(ts)
		if err == nil {
			got = strconv.Itoa(resp.StatusCode)
			if c.stream != "" && got == c.want {
				c.follow(ts, resp)
				return
			}
			text = render(resp)
		} else {
			text = err.Error() + "\n"
		}
		if got == c.want {
			_, err := io.WriteString(ts.Stdout(), text)
			ts.Check(err)
			return
		}
		if !c.until || time.Now().After(deadline) {
			ts.Fatalf("%s %s: %s, want %s\n%s", c.method, c.url, got, c.want, text)
		}
	}
}

func render(resp *http.Response) string {
	defer resp.Body.Close()
	var b strings.Builder
	fmt.Fprintln(&b, resp.Status)
	names := make([]string, 0, len(resp.Header))
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	if resp.TLS != nil {
		fmt.Fprintf(&b, "serial: %v\n", resp.TLS.PeerCertificates[0].SerialNumber)
	}
	body, err := io.ReadAll(resp.Body)
	fmt.Fprintf(&b, "\n%s\n", body)
	if err != nil {
		fmt.Fprintf(&b, "broken: %v\n", err)
	}
	return b.String()
}

// follow reads a stream in the background, once its first bytes are here.
func (c call) follow(ts *testscript.TestScript, resp *http.Response) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		ts.Fatalf("stream %s: %v", c.stream, err)
	}
	done := make(chan string, 1)
	jobsOf(ts).streams[c.stream] = done
	go func() {
		defer resp.Body.Close()
		rest, err := io.ReadAll(resp.Body)
		text := string(first) + string(rest)
		if err != nil {
			text += "\nbroken: " + err.Error() + "\n"
		}
		done <- text
	}()
}

// cmdStreamed is `streamed NAME`: it waits for the end of a stream and prints what it held.
func cmdStreamed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || jobsOf(ts).streams[args[0]] == nil {
		ts.Fatalf("usage: streamed NAME")
	}
	select {
	case text := <-jobsOf(ts).streams[args[0]]:
		_, err := io.WriteString(ts.Stdout(), text)
		ts.Check(err)
	case <-time.After(patience):
		ts.Fatalf("stream %s does not end", args[0])
	}
}

// cmdCert is `cert CERT KEY SERIAL`: it writes a self-signed certificate for 127.0.0.1. A file is replaced by renaming.
func cmdCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cert CERT KEY SERIAL")
	}
	serial, ok := new(big.Int).SetString(args[2], 10)
	if !ok {
		ts.Fatalf("serial %s", args[2])
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "homeport script"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{args[0], "CERTIFICATE", der}, {args[1], "PRIVATE KEY", private}} {
		path := ts.MkAbs(f.name)
		ts.Check(os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600))
		ts.Check(os.Rename(path+".new", path))
	}
}
