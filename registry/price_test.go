package registry_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"homeport/registry"
)

func price(t *testing.T, provider, model string) registry.Price {
	t.Helper()
	m, ok := load(t).Model(provider, model)
	if !ok || m.Price == nil {
		t.Fatalf("no price of %s/%s", provider, model)
	}
	return *m.Price
}

func TestMicroCNY(t *testing.T) {
	offPeak := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC) // a Saturday
	peak := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	edge := time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC) // windows end before their last minute
	beijing := time.FixedZone("CST", 8*3600)
	flash := price(t, "deepseek", "deepseek-flash") // CNY 1, 4, cached 0.02, doubled at peak
	for _, c := range []struct {
		name            string
		p               registry.Price
		in, out, cached int64
		want            int64
		ok              bool
	}{
		{"off-peak", flash.At(offPeak), 1_000_000, 1_000_000, 0, 5_000_000, true},
		{"peak", flash.At(peak), 1_000_000, 1_000_000, 0, 10_000_000, true},
		{"end of the window", flash.At(edge), 1_000_000, 0, 0, 1_000_000, true},
		{"peak told in Beijing time", flash.At(peak.In(beijing)), 1_000_000, 0, 0, 2_000_000, true},
		{"time not asked: the dearest", flash, 1_000_000, 0, 0, 2_000_000, true},
		{"cached", flash.At(offPeak), 1_000_000, 0, 900_000, 100_000 + 18_000, true},
		{"rounded up once", flash.At(offPeak), 1, 1, 1, 5, true}, // 0.02 + 4 micro
		{"nothing used", flash.At(offPeak), 0, 0, 0, 0, true},
		{"more cached than sent", flash, 1, 0, 2, 0, false},
		{"negative", flash, -1, 0, 0, 0, false},
		{"too large to hold", flash, math.MaxInt64, math.MaxInt64, 0, 0, false},
		{"cached price unknown", price(t, "moonshot-cn", "kimi-k3"), 10, 10, 1, 0, false},
		{"cached price not needed", price(t, "moonshot-cn", "kimi-k3"), 10, 10, 0, 1200, true},
		{"in dollars", price(t, "azure-openai", "gpt-4o"), 10, 10, 0, 847, true}, // 125 micro-USD at 6.7686
		{"input price unknown", price(t, "siliconflow-cn", "BAAI/bge-m3"), 10, 0, 0, 0, false},
		{"unit unknown", price(t, "siliconflow-cn", "FunAudioLLM/CosyVoice2-0.5B"), 10, 0, 0, 0, false},
		{"embedding", price(t, "dashscope", "text-embedding-v4"), 1_000_001, 0, 0, 500_001, true},
		{"zero value", registry.Price{}, 0, 0, 0, 0, false},
	} {
		if got, ok := c.p.MicroCNY(c.in, c.out, c.cached); got != c.want || ok != c.ok {
			t.Errorf("%s: %d %v, want %d %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if got, ok := price(t, "moonshot-cn", "kimi-k3").MicroCNYAtMost(10, 10); got != 1200 || !ok {
		t.Errorf("at most: %d %v", got, ok)
	}
	if price(t, "siliconflow-cn", "BAAI/bge-m3").InCNY() || !flash.InCNY() {
		t.Error("InCNY is wrong")
	}
}

// Without an exchange rate a price in dollars has no value in CNY.
func TestNoRate(t *testing.T) {
	data := copyData(t, "data/rates.yaml", "pair: USD/CNY", "pair: EUR/CNY")
	r, err := registry.LoadFS(data, "azure-openai")
	if err != nil {
		t.Fatal(err)
	}
	m, ok := r.Model("azure-openai", "gpt-4o")
	if !ok || m.Price == nil {
		t.Fatal("no price of gpt-4o")
	}
	if got, ok := m.Price.MicroCNY(10, 10, 0); ok || m.Price.InCNY() {
		t.Errorf("counted as %d", got)
	}
}

// A rate rests on a dated source, or it is not in the data.
func TestRates(t *testing.T) {
	rates := load(t).Rates()
	if len(rates) == 0 {
		t.Fatal("no rate")
	}
	for _, x := range rates {
		if len(x.AsOf) != len("2006-01-02") || x.Rate < 1_000_000 || x.Rate > 20_000_000 {
			t.Errorf("rate %+v", x)
		}
	}
}

// With a rate, USD prices count, long context included: by factors (OpenAI) and by prices (MiniMax).
func TestMicroCNYLongContextAndRate(t *testing.T) {
	r, err := registry.LoadFS(copyData(t, "data/rates.yaml", "rate: 6.7686", "rate: 7.1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	get := func(provider, model string) registry.Price {
		m, ok := r.Model(provider, model)
		if !ok || m.Price == nil {
			t.Fatalf("no price of %s/%s", provider, model)
		}
		return *m.Price
	}
	astra, m3 := get("openai", "gpt-6-astra"), get("minimax-intl", "MiniMax-M3")
	for _, c := range []struct {
		name            string
		p               registry.Price
		in, out, cached int64
		want            int64
	}{
		{"short", astra, 272_000, 1000, 0, 19_667_000},          // 2.72 + 0.05 USD
		{"long", astra, 272_001, 1000, 0, 39_156_642},           // 5.44002 + 0.075 USD
		{"long, cached", astra, 300_000, 0, 300_000, 4_260_000}, // 0.6 USD
		{"long by prices", m3, 1_000_000, 1_000_000, 0, 21_300_000},
	} {
		if got, ok := c.p.MicroCNY(c.in, c.out, c.cached); got != c.want || !ok {
			t.Errorf("%s: %d %v, want %d", c.name, got, ok, c.want)
		}
	}
}

func TestModelAt(t *testing.T) {
	r := load(t)
	currency := func(m registry.Model) string {
		if m.Price == nil {
			return "unknown"
		}
		return m.Price.Currency
	}
	for _, c := range []struct{ provider, baseURL, model, region, currency string }{
		{"dashscope", "", "qwen3.7-plus", "cn-beijing", "CNY"},
		{"dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "ap-southeast-1", "USD"},
		// No price is known for Hong Kong: Beijing's is not shown in its place.
		{"dashscope", "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "cn-beijing", "unknown"},
		{"deepseek", "", "deepseek-flash", "", "CNY"},
		{"qianfan", "", "ernie-5.1", "", "unknown"},
	} {
		m, ok := r.ModelAt(c.provider, c.baseURL, c.model)
		if !ok || m.Region != c.region || currency(m) != c.currency {
			t.Errorf("%s %s: %v %q %s, want %q %s", c.provider, c.model, ok, m.Region, currency(m), c.region, c.currency)
		}
	}
	if _, ok := r.Model("deepseek", "no-such"); ok {
		t.Error("an unlisted model was found")
	}
	if _, ok := r.Model("no-such", "gpt-4"); ok {
		t.Error("an unlisted provider has models")
	}
}

// A price of nothing is recorded as such only where the vendor says so; an unknown one is null.
func TestZeroPrices(t *testing.T) {
	var free []string
	for _, m := range load(t).Models() {
		if m.Price != nil && m.Price.Input != nil && *m.Price.Input == 0 {
			free = append(free, m.Provider+"/"+m.ID)
		}
	}
	want := []string{"qianfan/ernie-speed-128k", "siliconflow-cn/Qwen/Qwen3-8B", "zai/glm-4.7-flash", "zhipu/glm-4.7-flash", "zhipu/glm-4.6v-flash"}
	if !slices.Equal(free, want) {
		t.Errorf("free models %v, want %v", free, want)
	}
}

func TestMicro(t *testing.T) {
	for s, want := range map[string]registry.Micro{"0": 0, "1": 1_000_000, "0.000001": 1, "12.5": 12_500_000} {
		if m, err := registry.ParseMicro(s); err != nil || m != want || m.String() != s {
			t.Errorf("%s: %d %q %v", s, m, m.String(), err)
		}
	}
	for _, s := range []string{"", "-1", "1e3", "0x10", ".5", "1_000", "1.0000000", "99999999999999999999", "1.2.3", "1.", "+1", "null"} {
		if m, err := registry.ParseMicro(s); err == nil {
			t.Errorf("%q was read as %d", s, m)
		}
	}
	b, err := json.Marshal(struct{ P *registry.Micro }{P: new(registry.Micro(1_250_000))})
	if err != nil || string(b) != `{"P":1.25}` {
		t.Errorf("%s %v", b, err)
	}
}

func TestMapFromOpenAI(t *testing.T) {
	r := load(t)
	for _, c := range []struct{ name, provider, want string }{
		{"gpt-4", "dashscope", "qwen3.7-plus qwen3.8-max"},
		{"gpt-3.5-turbo", "deepseek", "deepseek-flash"},
		{"gpt-3.5-turbo-0125", "deepseek", "deepseek-flash"}, // a retired snapshot
		{"gpt-4o-2024-08-06", "zhipu", "glm-5v-turbo"},
		{"gpt-4o-mini-2024-07-18", "dashscope", "qwen3.5-flash qwen3.6-flash"},
		{"gpt-4-0613", "qianfan", "ernie-5.1"},
		{"gpt-6.2-sol", "tencent-tokenhub", "hy4"}, // by the family's glob
		{"text-embedding-3-large", "azure-openai", "text-embedding-3-large"},
		{"text-embedding-ada-002", "dashscope", "text-embedding-v4"},
		{"gpt-4", "vllm", "DeepSeek-V4-Flash GLM-5.x Qwen3.5-397B-A17B"},
		{"gpt-4-vision-preview", "qianfan", ""}, // none known
		{"tts-1", "stepfun-cn", ""},             // a note only
		{"gpt-4", "practice", ""},
		{"gpt-4", "no-such", ""},
		{"no-such-model", "dashscope", ""},
		{"", "dashscope", ""},
	} {
		if got := strings.Join(r.MapFromOpenAI(c.name, c.provider), " "); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.name, c.provider, got, c.want)
		}
	}
	for _, name := range []string{"text-embedding-ada-002", "text-embedding-3-small"} {
		if row, ok := r.MappingRow(name); !ok || row.Warning.Zh == "" || row.Warning.En == "" {
			t.Errorf("%s: no warning that vectors cannot be exchanged", name)
		}
	}
}

func TestLifecycle(t *testing.T) {
	r := load(t)
	for name, want := range map[string]string{"gpt-4": "2026-10-23", "gpt-3.5-turbo": "2026-10-23", "gpt-4o": "2027-01-14", "dall-e-3": "2026-05-12"} {
		if e, ok := r.Lifecycle(name); !ok || e.Shutdown != want {
			t.Errorf("%s: %q %v, want %s", name, e.Shutdown, ok, want)
		}
	}
	if _, ok := r.Lifecycle("gpt-6.1-sol"); ok {
		t.Error("gpt-6.1-sol has no end in this data")
	}
	// Old apps still ask for what OpenAI has ended: each such model has somewhere to go.
	for _, name := range []string{"gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "o1", "o3-mini", "o4-mini", "gpt-4.1-nano", "gpt-image-1"} {
		if row, ok := r.MappingRow(name); !ok || len(row.Targets) == 0 {
			t.Errorf("%s: no suggestion", name)
		}
	}
}
