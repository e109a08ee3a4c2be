package appkey_test

import (
	"strings"
	"testing"

	"homeport/internal/appkey"
)

func TestMadeKeyParses(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		k := appkey.New()
		id, err := appkey.Parse(k.Credential)
		if err != nil || id != k.ID {
			t.Fatalf("made key does not parse: id %q, err %v", id, err)
		}
		if k.Hash != appkey.HashOf(k.Credential) || !strings.HasSuffix(k.Credential, k.Last4) || len(k.Last4) != 4 {
			t.Fatal("hash or last four do not belong to the credential")
		}
		if seen[k.ID] || seen[k.Credential] {
			t.Fatal("two keys are equal")
		}
		seen[k.ID], seen[k.Credential] = true, true
		if appkey.CheckConfigured(k.Credential) != nil {
			t.Fatal("a made key must do as a configured key")
		}
	}
}

func TestParseTellsEveryChangedCharacter(t *testing.T) {
	cred := appkey.New().Credential
	for i := range len(cred) {
		b := []byte(cred)
		if b[i]++; b[i] == cred[i] {
			t.Fatal("test changes nothing")
		}
		if _, err := appkey.Parse(string(b)); err == nil {
			t.Errorf("character %d changed, still parses", i)
		}
	}
}

// hostile inputs of attack case B1: none may panic, be found, or come back in an error.
func hostile() map[string]string {
	made := appkey.New().Credential
	return map[string]string{
		"empty":         "",
		"quote":         `' OR '1'='1' --`,
		"double quote":  `"; DROP TABLE app_keys; --`,
		"nul":           "sk-hp-\x00" + strings.Repeat("a", 70),
		"nul at end":    made + "\x00",
		"invalid utf8":  "sk-hp-\xff\xfe" + strings.Repeat("b", 40),
		"megabyte":      strings.Repeat("x", 1<<20),
		"prefixed mega": made + strings.Repeat("a", 1<<20),
		"cut":           made[:len(made)-1],
		"upper case":    strings.ToUpper(made),
		"leading space": " " + made,
		"crlf":          made + "\r\n",
		"prefix only":   "sk-hp-",
		"percent":       strings.Repeat("%", 30),
	}
}

func TestHostileCredentials(t *testing.T) {
	known := appkey.New()
	set, err := appkey.NewSet(appkey.Entry{Hash: known.Hash, App: "a", KeyID: known.ID})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range hostile() {
		t.Run(name, func(t *testing.T) {
			if _, err := appkey.Parse(in); err == nil {
				t.Error("parses")
			} else if err != appkey.ErrMalformed {
				t.Error("error is not the fixed one, so it may hold input")
			}
			if _, ok := set.Lookup(in); ok {
				t.Error("found")
			}
		})
	}
	for name, in := range map[string]string{"nul": known.Credential + "\x00", "space": known.Credential + " ", "newline": known.Credential + "\n"} {
		if _, ok := set.Lookup(in); ok {
			t.Errorf("known key with a trailing %s is found", name)
		}
	}
	if e, ok := set.Lookup(known.Credential); !ok || e.App != "a" || e.KeyID != known.ID {
		t.Error("the known key is not found")
	}
}

// Attack case B2: identity never rests on a prefix.
func TestEqualPrefixes(t *testing.T) {
	prefix := strings.Repeat("p", 40)
	set, err := appkey.NewSet(
		appkey.Entry{Hash: appkey.HashOf(prefix + "1"), App: "one"},
		appkey.Entry{Hash: appkey.HashOf(prefix + "2"), App: "two"},
	)
	if err != nil {
		t.Fatal(err)
	}
	for cred, want := range map[string]string{prefix + "1": "one", prefix + "2": "two", prefix: "", prefix + "12": ""} {
		if e, _ := set.Lookup(cred); e.App != want {
			t.Errorf("credential of length %d: app %q, want %q", len(cred), e.App, want)
		}
	}
}

func TestOneKeyForTwoApps(t *testing.T) {
	h := appkey.HashOf(strings.Repeat("k", 30))
	if _, err := appkey.NewSet(appkey.Entry{Hash: h, App: "one"}, appkey.Entry{Hash: h, App: "two"}); err == nil {
		t.Error("accepted")
	}
	if s, err := appkey.NewSet(appkey.Entry{Hash: h, App: "one"}, appkey.Entry{Hash: h, App: "one"}); err != nil || s.Len() != 1 {
		t.Errorf("the same entry twice: %v", err)
	}
	if _, err := appkey.NewSet(appkey.Entry{Hash: h}); err == nil {
		t.Error("an entry without an app is accepted")
	}
}

func TestCheckConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		key string
		ok  bool
	}{
		"24 characters":             {strings.Repeat("a", 24), true},
		"23 characters":             {strings.Repeat("a", 23), false},
		"24 Chinese characters":     {strings.Repeat("钥", 24), true},
		"8 Chinese, 24 bytes":       {strings.Repeat("钥", 8), false},
		"prefix without a checksum": {"sk-hp-" + strings.Repeat("0", 30), true},
		"openai style":              {"sk-proj-" + strings.Repeat("Ab3_", 12), true},
		"space inside":              {strings.Repeat("a", 20) + " bbbbbb", false},
		"newline at the end":        {strings.Repeat("a", 30) + "\n", false},
		"nul":                       {strings.Repeat("a", 30) + "\x00", false},
		"invalid utf8":              {strings.Repeat("a", 30) + "\xff", false},
		"too long":                  {strings.Repeat("a", appkey.MaxLen+1), false},
	} {
		if err := appkey.CheckConfigured(c.key); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && len(c.key) > 0 && strings.Contains(err.Error(), c.key) {
			t.Errorf("%s: error holds the key", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, in := range hostile() {
		f.Add(in[:min(len(in), 4096)])
	}
	f.Add(appkey.New().Credential)
	f.Fuzz(func(t *testing.T, in string) {
		id, err := appkey.Parse(in)
		if err == nil && !strings.HasPrefix(in, appkey.Prefix+id+"-") {
			t.Fatal("parsed id is not the one in the key")
		}
		var empty *appkey.Set
		if _, ok := empty.Lookup(in); ok {
			t.Fatal("found in an empty set")
		}
	})
}
