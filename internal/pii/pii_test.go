package pii_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"homeport/internal/pii"
)

// resident makes a resident number with a right check character. Every number here is synthetic: the dates of birth lie
// before 1909, and the region codes are those of whole provinces.
func resident(first17 string) string {
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(first17[i]-'0') * w
	}
	return first17 + string("10X98765432"[sum%11])
}

// card makes a card number with a right Luhn digit.
func card(first string) string {
	sum := 0
	for i := range len(first) {
		v := int(first[len(first)-1-i] - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return first + string(rune('0'+(10-sum%10)%10))
}

func wide(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= '0' && r <= '9' || r == 'X' || r == '@' {
			r += 0xFEE0
		}
		b.WriteRune(r)
	}
	return b.String()
}

func group(s, sep string, sizes ...int) string {
	var parts []string
	for _, n := range sizes {
		parts, s = append(parts, s[:n]), s[n:]
	}
	return strings.Join(append(parts, s), sep)
}

// ids with a digit and with X as check character.
var (
	idDigit = resident("11000019080101123")
	idX     = func() string {
		for i := range 1000 {
			if id := resident(fmt.Sprintf("31000019071231%03d", i)); id[17] == 'X' {
				return id
			}
		}
		panic("none")
	}()
	unionPay = card("622202123456789012")
	visa     = card("411111111111111")
)

const (
	mobile = "13900001234"
	llmKey = "sk-" + "proj4Kd8Fq2Lm9Xw7Zt3Rb6Yn1"
)

func find(text string) (types, matched []string) {
	for _, f := range pii.Scan(nil, []byte(text)) {
		types = append(types, f.Type.ID)
		matched = append(matched, text[f.Start:f.End])
	}
	return types, matched
}

func TestMatch(t *testing.T) {
	hex36 := "aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW1xY2"
	for _, test := range []struct{ name, before, value, after, want string }{
		{"resident id", "", idDigit, "", "cn_resident_id"},
		{"resident id with X", "", idX, "", "cn_resident_id"},
		{"resident id with small x", "", strings.ToLower(idX), "", "cn_resident_id"},
		{"resident id between Chinese", "身份证", idDigit, "，谢谢", "cn_resident_id"},
		{"resident id directly before Chinese", "号码", idX, "的人", "cn_resident_id"},
		{"resident id full-width", "", wide(idDigit), "", "cn_resident_id"},
		{"resident id full-width X", "", wide(idX), "", "cn_resident_id"},
		{"resident id spaced", "", group(idDigit, " ", 6, 8), "", "cn_resident_id"},
		{"resident id dashed", "", group(idDigit, "-", 6, 4, 4), "", "cn_resident_id"},
		{"resident id, X apart", "", group(idX, "-", 17), "", "cn_resident_id"},
		{"resident id, zero-width space", "", group(idDigit, "\u200b", 3, 5), "", "cn_resident_id"},
		{"resident id, soft hyphen", "", group(idDigit, "\u00ad", 9), "", "cn_resident_id"},
		{"resident id, word joiner", "", group(idDigit, "\u2060", 9), "", "cn_resident_id"},
		{"resident id in JSON", `{"id":"`, idDigit, `"}`, "cn_resident_id"},
		{"mobile", "", mobile, "", "mobile_cn"},
		{"mobile after Chinese", "电话：", mobile, "。", "mobile_cn"},
		{"mobile with 86", "+", "86" + mobile, "", "mobile_cn"},
		{"mobile with +86 and a space", "+", "86 " + mobile, "", "mobile_cn"},
		{"mobile with 0086", "", "0086" + mobile, "", "mobile_cn"},
		{"mobile spaced", "", "139 0000 1234", "", "mobile_cn"},
		{"mobile dashed", "", "139-0000-1234", "", "mobile_cn"},
		{"mobile with dashes of typography", "", "139–0000–1234", "", "mobile_cn"},
		{"mobile dotted", "", "139.0000.1234", "", "mobile_cn"},
		{"mobile full-width", "", wide(mobile), "", "mobile_cn"},
		{"mobile with BOM inside", "", "139\ufeff00001234", "", "mobile_cn"},
		{"mobile as a list item", "1.", mobile, "", "mobile_cn"},
		{"mobile in brackets", "(", mobile, ")", "mobile_cn"},
		{"UnionPay", "", unionPay, "", "bank_card"},
		{"UnionPay in fours", "卡号 ", group(unionPay, " ", 4, 4, 4, 4), "", "bank_card"},
		{"Visa", "", group(visa, "-", 4, 4, 4), "", "bank_card"},
		{"Mastercard", "", card("555555555555444"), "", "bank_card"},
		{"Amex", "", card("37828224631000"), "", "bank_card"},
		{"e-mail", "", "li.ming+x@mail.example.com", "", "email"},
		{"e-mail in Chinese", "发到", "a1@example.cn", "吧", "email"},
		{"e-mail at a sentence's end", "to ", "a@example.com", ".", "email"},
		{"e-mail in brackets", "<", "a@example.com", ">", "email"},
		{"e-mail full-width at", "", "a＠example.com", "", "email"},
		{"OpenAI key", "key: ", llmKey, "", "secret_llm_key"},
		{"key after a dash", "-", llmKey, " ", "secret_llm_key"},
		{"Google key", "", "AIza" + hex36[:35], "", "secret_llm_key"},
		{"AWS key id", "", "AKIA" + "Z7Q2M4K9T1B8X3W6", "", "secret_aws"},
		{"AWS key id before a dash", "", "AKIA" + "Z7Q2M4K9T1B8X3W6", "-old", "secret_aws"},
		{"Alibaba Cloud key id", "", "LTAI" + "5tKw8Zq3Rm7Yn2Bx", "", "secret_cloud_cn"},
		{"Tencent Cloud key id", "", "AKID" + hex36[:32], "", "secret_cloud_cn"},
		{"GitHub token", "", "ghp_" + hex36, "", "secret_github"},
		{"GitHub fine-grained token", "", "github_pat_" + hex36 + hex36, "", "secret_github"},
		{"web token", "Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "", "secret_jwt"},
		{"web token without signature", "", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.", "", "secret_jwt"},
		{"private key", "", "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "\n", "secret_private_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			types, matched := find(test.before + test.value + test.after)
			if !slices.Equal(types, []string{test.want}) || len(matched) == 1 && strings.Trim(matched[0], " ") != test.value {
				t.Errorf("got %v %q", types, matched)
			}
		})
	}
}

func TestNoMatch(t *testing.T) {
	badID := idDigit[:17] + string('0'+(idDigit[17]-'0'+1)%10)
	for name, text := range map[string]string{
		"resident id, wrong check":     badID,
		"resident id, no such month":   resident("11000019081301123"),
		"resident id, no such day":     resident("11000019080230123"),
		"resident id, no such place":   resident("99000019080101123"),
		"resident id, before 1900":     resident("11000018990101123"),
		"resident id in a longer word": "A" + idDigit,
		"resident id before letters":   idDigit + "abc",
		"resident id in more digits":   "7" + idDigit + "7",
		"mobile in more digits":        "5" + mobile + "5",
		"mobile after a letter":        "id" + mobile,
		"mobile, no such prefix":       "12900001234",
		"landline":                     "010-12345678",
		"card, wrong check":            unionPay[:18] + string('0'+(unionPay[18]-'0'+1)%10),
		"card of one digit":            "4444444444444444",
		"order number":                 "20261122000012345678",
		"order number with letters":    "SO13900001234X7",
		"timestamp, seconds":           "1763791627",
		"timestamp, milliseconds":      "1763791627123",
		"timestamp, microseconds":      "1763791627123456",
		"date and time":                "2026-11-22 10:00:00",
		"decimal fraction":             "0.13900001234 -0.4111111111111111",
		"uuid":                         "3f2b8c1e-9a4d-4e6f-8b7a-1c2d3e4f5a6b",
		"git sha":                      "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"version":                      "v1.27.2 10.0.19041.3570 192.168.100.200",
		"scoped package":               "npm i @types/node@20 react@18.2.0",
		"git remote":                   "git@github.com:a/b.git",
		"python decorator":             "@app.route('/x')",
		"mention":                      "@example.com hello",
		"at without domain":            "a@b user@localhost",
		"matrix multiplication":        "A@B.T",
		"slug with sk-":                "sk-learn-pipeline-for-text-classification",
		"css class":                    "mask-image task-list-item-checkbox-wrapper",
		"short key":                    "sk-abc123",
		"web token, cut":               "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0",
		"certificate":                  "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"AWS-like, too long":           "AKIAZ7Q2M4K9T1B8X3W6AAAA",
		"sum":                          "12345 + 67890 = 80235",
		"prose":                        "公司成立于1998年，注册资本5000万元，员工1200人。",
		"page numbers":                 "pp. 100 - 200 / 300",
	} {
		t.Run(name, func(t *testing.T) {
			if types, matched := find(text); types != nil {
				t.Errorf("found %v in %q", types, matched)
			}
		})
	}
}

// A value is seen whatever number of other numbers stand before it.
func TestLongLists(t *testing.T) {
	for n := range 40 {
		text := strings.Repeat("12345678 ", n) + mobile + " 77"
		if types, _ := find(text); !slices.Contains(types, "mobile_cn") {
			t.Errorf("not seen behind %d numbers", n)
		}
		text = strings.Repeat("7 ", n) + group(idDigit, " ", 6, 8)
		if types, _ := find(text); !slices.Contains(types, "cn_resident_id") {
			t.Errorf("not seen behind %d digits", n)
		}
	}
	list := strings.Repeat(mobile+" ", 100)
	if types, _ := find(list); len(types) != 100 {
		t.Errorf("%d of 100 found", len(types))
	}
}

func TestSeveral(t *testing.T) {
	text := "张三 " + mobile + "，" + idDigit + "；a@example.com / " + unionPay + " " + llmKey
	types, matched := find(text)
	want := []string{"mobile_cn", "cn_resident_id", "email", "bank_card", "secret_llm_key"}
	if !slices.Equal(types, want) {
		t.Errorf("%v %q", types, matched)
	}
}

// Classes are those of the law: a bank card is sensitive (PIPL art. 28), a key is no personal information.
func TestClasses(t *testing.T) {
	ids := map[string]bool{}
	for _, typ := range pii.Scanned() {
		if ids[typ.ID] {
			t.Errorf("%s is listed twice", typ.ID)
		}
		ids[typ.ID] = true
		if strings.HasPrefix(typ.ID, "secret_") != (typ.Class == pii.Secret) {
			t.Errorf("%s has class %s", typ.ID, typ.Class)
		}
	}
	if pii.BankCard.Class != pii.Sensitive || len(ids) != 10 {
		t.Errorf("%v", ids)
	}
}

// Attack case E10: text made to be slow is read in linear time. With a quadratic step these inputs would take hours.
func TestHostileTextIsReadInLinearTime(t *testing.T) {
	const size = 1 << 20
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	for name, text := range map[string]string{
		"digits": fill("1"), "zeros": fill("0"), "spaced digits": fill("1 "), "pieces": fill("139 "), "full-width": fill("１"),
		"zero-width": fill("1\u200b"), "at": fill("@"), "a@": fill("a@"), "a@b.": fill("a@b."), "dots": fill("a."), "sk-": fill("sk-"),
		"xai-": fill("xai-"), "hf_": fill("-hf_"), "AKIA": fill("-AKIA"), "LTAI": fill("-LTAI"), "AIza": fill("-AIza"), "ghp_": fill("-ghp_"), "github": fill("-github_pat_"),
		"eyJ": fill("-eyJ"), "eyJ with dots": fill("eyJaaaaa."), "eyJ and a long payload": strings.Repeat("-eyJ", size/8) + "." + fill("a")[:size/2],
		"key headers": fill("-----BEGIN PRIVATE KEY"), "key headers and ends": fill("-----BEGIN PRIVATE KEY-----END "), "dashes": fill("-"),
		"J": fill("J"), "0xEF": fill("\xef"), "mixed": fill("1-sk-@eyJ."),
	} {
		t.Run(name, func(t *testing.T) {
			found := pii.Scan(nil, []byte(text))
			check(t, []byte(text), found)
		})
	}
}

func check(t testing.TB, text []byte, found []pii.Finding) {
	t.Helper()
	at := 0
	for _, f := range found {
		if f.Start < at || f.End <= f.Start || f.End > len(text) || f.Type.ID == "" {
			t.Fatalf("finding %+v behind %d in %d bytes", f, at, len(text))
		}
		at = f.End
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{idDigit, idX, mobile, unionPay, "a@example.com", llmKey, wide(idDigit), group(idX, "-", 6, 8, 3), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln",
		"-----BEGIN PRIVATE KEY-----END ", "\xef\xbc", "\xe2\x80", "\xc2", "1\xe2", "AKIA", "@", "_", "-", "J", "12345678901234567\xef\xbc\xb8"} {
		f.Add([]byte(s), []byte("，"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		text := slices.Concat(a, b)
		found := pii.Scan(nil, text)
		check(t, text, found)
		// What is appended to is kept, and the text is not changed.
		head := []pii.Finding{{Type: pii.Email, Start: -1, End: -1}}
		again := pii.Scan(head, slices.Clone(text))
		if again[0] != head[0] || !slices.Equal(again[1:], found) {
			t.Fatalf("%v then %v", found, again)
		}
	})
}
