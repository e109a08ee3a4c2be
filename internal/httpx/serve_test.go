package httpx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homeport/internal/httpx"
)

// writePair writes a new self-signed pair for 127.0.0.1 and gives its serial number.
func writePair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "homeport test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := httpx.LoadCertificate(cert, key); err == nil {
		t.Fatal("a missing pair was taken")
	}
	writePair(t, cert, key, 1)
	c, err := httpx.LoadCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := httpx.Listen("127.0.0.1:0", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httpx.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), slog.New(slog.DiscardHandler))
	go httpx.Serve(srv, l)
	defer srv.Close()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d", got)
	}
	// A half-written pair leaves the old one in force.
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // files are looked at once a second
	if got := serial(); got != 1 {
		t.Errorf("serial %d while the pair does not fit", got)
	}
	writePair(t, cert, key, 2)
	later := time.Now().Add(2 * time.Second)
	os.Chtimes(cert, later, later)
	deadline := time.Now().Add(20 * time.Second)
	for serial() != 2 {
		if time.Now().After(deadline) {
			t.Fatal("the new pair is not served")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestDrain(t *testing.T) {
	l, err := httpx.Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	began, release := make(chan bool, 2), make(chan bool)
	srv := httpx.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-release
		io.WriteString(w, "whole")
	}), slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- httpx.Serve(srv, l) }()
	got := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	<-began
	drained := make(chan error, 1)
	go func() { drained <- httpx.Drain(srv, 20*time.Second) }()
	if err := <-served; err != nil {
		t.Errorf("shut down: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
	close(release)
	if b := <-got; b != "whole" {
		t.Errorf("a request in flight got %q", b)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainGivesUp(t *testing.T) {
	l, err := httpx.Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan bool, 1)
	srv := httpx.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
	}), slog.New(slog.DiscardHandler))
	go httpx.Serve(srv, l)
	go http.Get("http://" + l.Addr().String())
	<-began
	if err := httpx.Drain(srv, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "still open") {
		t.Errorf("got %v", err)
	}
}

func TestListenErrorNamesTheAddress(t *testing.T) {
	l, err := httpx.Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := httpx.Listen(l.Addr().String(), nil, nil); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
