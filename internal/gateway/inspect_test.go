package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/gateway"
	"homeport/internal/openai"
)

func inspected(t testing.TB, body string) gateway.Findings {
	t.Helper()
	req, bad := openai.Parse(openai.Chat, []byte(body))
	if bad != nil {
		t.Fatalf("%s: %v", body, bad)
	}
	found, err := gateway.Inspect(req)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func content(parts ...string) string {
	var b []string
	for _, p := range parts {
		b = append(b, fmt.Sprintf(`{"type":"text","text":%q}`, p))
	}
	return `{"model":"m","messages":[{"role":"user","content":[` + strings.Join(b, ",") + `]}]}`
}

// Attack case E5: wherever a value is split over parts, and whatever stands around it, it is seen, and counted once.
func TestSplitValuesAreSeenOnce(t *testing.T) {
	for _, around := range [][2]string{{"", ""}, {"号码", "完"}, {"a ", " b"}, {"1 ", " 1"}} {
		text := around[0] + residentID + around[1]
		for i := range len(text) + 1 {
			if i < len(text) && text[i]&0xC0 == 0x80 {
				continue // within a character
			}
			for j := i; j <= len(text); j++ {
				if j < len(text) && text[j]&0xC0 == 0x80 {
					continue
				}
				found := inspected(t, content(text[:i], text[i:j], text[j:]))
				if got := found.ByType(); got["cn_resident_id"] != 1 {
					t.Errorf("%q %q %q: %v", text[:i], text[i:j], text[j:], got)
				}
			}
		}
	}
	for _, neighbours := range [][2]string{{"abc", "def"}, {"9", "9"}, {"x@", "y"}} { // by itself a part is whole
		found := inspected(t, content(neighbours[0], residentID, neighbours[1]))
		if found.ByType()["cn_resident_id"] != 1 {
			t.Errorf("between %q: %v", neighbours, found.ByType())
		}
	}
	messages := `{"model":"m","messages":[{"role":"user","content":"` + residentID[:9] + `"},{"role":"user","content":"` + residentID[9:] + `"}]}`
	if found := inspected(t, messages); len(found.Counts) != 0 {
		t.Errorf("two messages are one text: %v", found.ByType())
	}
}

func TestCounts(t *testing.T) {
	found := inspected(t, content("13900001234 a@example.com", "13900001235", `b@example.com
`+residentID))
	got := found.ByType()
	if got["mobile_cn"] != 2 || got["email"] != 2 || got["cn_resident_id"] != 1 || len(got) != 3 {
		t.Errorf("%v", got)
	}
	if !found.Personal() || found.Sensitive() || found.Bytes == 0 {
		t.Errorf("%+v", found)
	}
	secret := inspected(t, content("sk-proj4Kd8Fq2Lm9Xw7Zt3Rb6Yn1"))
	if secret.Personal() || secret.Sensitive() || len(secret.Counts) != 1 {
		t.Errorf("a key counts as personal information: %+v", secret)
	}
	if card := inspected(t, content("4111111111111111")); !card.Personal() || !card.Sensitive() {
		t.Errorf("a bank card is sensitive: %+v", card)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(content("a", residentID))
	f.Add(ask("m", "\u200b13900001234", `,"tools":[{"a\u0062":"\ud83d\ude00"}]`))
	f.Fuzz(func(t *testing.T, body string) {
		req, bad := openai.Parse(openai.Chat, []byte(body))
		if bad != nil {
			return
		}
		first, err := gateway.Inspect(req)
		if err != nil {
			t.Fatalf("a parsed request cannot be inspected: %v", err)
		}
		again, _ := gateway.Inspect(req)
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Fatalf("%v then %v", first, again)
		}
	})
}
