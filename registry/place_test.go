package registry_test

import (
	"slices"
	"strings"
	"testing"
)

func TestTarget(t *testing.T) {
	r := load(t)
	for _, c := range []struct {
		provider, baseURL, model, operator string
		matched                            bool
		source, places                     string // places: comma-separated; "" is unknown
		filing                             string // "" is unknown
	}{
		{"deepseek", "https://api.deepseek.com/v1", "deepseek-flash", "CN", true, "domestic_api", "CN", "Beijing-DeepseekChat-202404280016"},
		{"deepseek", "", "deepseek-flash", "CN", true, "domestic_api", "CN", "Beijing-DeepseekChat-202404280016"},
		{"deepseek", "API.DeepSeek.com:443", "DeepSeek-Flash", "CN", true, "domestic_api", "CN", "Beijing-DeepseekChat-202404280016"},
		// Another host keeps the dialect only: nothing of the entry's facts holds there.
		{"deepseek", "https://relay.example/v1", "deepseek-flash", "CN", false, "", "", ""},
		{"deepseek", "https://api.deepseek.com.evil.example/v1", "deepseek-flash", "CN", false, "", "", ""},
		{"deepseek", "https://api.deepseek.com@evil.example/v1", "deepseek-flash", "CN", false, "", "", ""},
		{"deepseek", "://", "deepseek-flash", "CN", false, "", "", ""},
		// The same brand, another host: another place, and the domestic filing does not carry over.
		{"dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "domestic_api", "CN", "ZheJiang-TongYiQianWen-20230901"},
		{"dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "overseas_direct", "", ""},
		{"dashscope", "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "overseas_direct", "", ""},
		{"dashscope", "https://dashscope-us.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "overseas_direct", "", ""},
		{"dashscope", "https://llm-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "domestic_api", "CN", "ZheJiang-TongYiQianWen-20230901"},
		{"dashscope", "https://llm-1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "overseas_direct", "", ""},
		{"dashscope", "https://llm-1.mars-1.maas.aliyuncs.com/compatible-mode/v1", "qwen3.7-plus", "CN", true, "", "", ""},
		{"dashscope", "https://a.b.cn-beijing.maas.aliyuncs.com/v1", "qwen3.7-plus", "CN", false, "", "", ""},
		// Models launched in Beijing since 2026-10-13 may run outside the mainland: the place is unknown.
		{"dashscope", "", "qwen4-max", "CN", true, "domestic_api", "", "ZheJiang-TongYiQianWen-20230901"},
		{"dashscope", "", "qwen-plus-2025-07-28", "CN", true, "domestic_api", "CN", "ZheJiang-TongYiQianWen-20230901"},
		{"dashscope", "", "qwen-plus-2026-11-01", "CN", true, "domestic_api", "", "ZheJiang-TongYiQianWen-20230901"},
		// Other makers' models and vectors have no number that clearly belongs to them.
		{"dashscope", "", "deepseek-v4-pro", "CN", true, "domestic_api", "CN", ""},
		{"dashscope", "", "text-embedding-v4", "CN", true, "domestic_api", "CN", ""},
		{"volcengine-ark", "", "doubao-seed-2-1-pro-260628", "CN", true, "domestic_api", "CN", "Beijing-YunQue-20230821"},
		{"volcengine-ark", "", "doubao-seedream-5-0-260128", "CN", true, "domestic_api", "CN", "Beijing-FuLuGua-20231205"},
		{"volcengine-ark", "", "doubao-embedding-vision", "CN", true, "domestic_api", "CN", ""},
		{"volcengine-ark", "", "ep-20260101-abcde", "CN", true, "domestic_api", "CN", ""},
		{"siliconflow-cn", "", "Qwen/Qwen3-8B", "CN", true, "domestic_api", "CN", ""},
		{"stepfun-cn", "", "step-3.5-flash", "CN", true, "domestic_api", "CN", "Shanghai-JieYue-20231106"},
		{"stepfun-cn", "", "step-3.7-flash", "CN", true, "domestic_api", "CN", "Shanghai-JieYueDuoMoTai-202505230047"},
		{"minimax-cn", "", "MiniMax-M3", "CN", true, "domestic_api", "CN", "Shanghai-MiniMax-202505230046"},
		// A place read from a host's name is not a known place.
		{"xiaomi-mimo", "https://token-plan-cn.xiaomimimo.com/v1", "mimo-v2.5", "CN", true, "domestic_api", "", "Beijing-XiaomiMiMo-202601050182"},
		{"xiaomi-mimo", "https://token-plan-sgp.xiaomimimo.com/v1", "mimo-v2.5", "CN", true, "overseas_direct", "", ""},
		{"byteplus-modelark", "", "any", "CN", true, "overseas_direct", "", ""},
		{"azure-openai", "https://acme.openai.azure.com", "gpt-4o", "CN", true, "azure_global", "", ""},
		{"azure-openai", "https://openai.azure.com", "gpt-4o", "CN", false, "", "", ""},
		{"azure-openai", "https://a.b.openai.azure.com", "gpt-4o", "CN", false, "", "", ""},
		{"azure-china-21vianet", "https://acme.openai.azure.cn", "gpt-4o", "CN", true, "", "", ""},
		{"openai", "", "gpt-4o", "CN", true, "overseas_direct", "", ""},
		// A server on loopback is where the operator is; its weights have no filing of their own.
		{"vllm", "http://127.0.0.1:8000/v1", "qwen3-8b", "CN", true, "open_weights_self_hosted", "CN", ""},
		{"vllm", "http://[::1]:8000/v1", "qwen3-8b", "sg", true, "open_weights_self_hosted", "SG", ""},
		{"vllm", "http://localhost:8000/v1", "qwen3-8b", "", true, "open_weights_self_hosted", "", ""},
		{"vllm", "http://10.0.0.5:8000/v1", "qwen3-8b", "CN", false, "", "", ""},
		{"ollama", "", "qwen3:8b", "CN", true, "open_weights_self_hosted", "CN", ""},
		{"ollama", "", "gpt-oss:120b-cloud", "CN", true, "", "", ""},
		{"ollama", "", "kimi-k3:cloud", "CN", true, "", "", ""},
		{"practice", "", "practice", "CN", true, "own", "CN", ""},
	} {
		got, ok := r.Target(c.provider, c.baseURL, c.model, c.operator)
		if !ok {
			t.Errorf("%s: no such entry", c.provider)
			continue
		}
		where := c.provider + " " + c.baseURL + " " + c.model
		if got.Matched != c.matched || got.Source != c.source {
			t.Errorf("%s: matched %v source %q, want %v %q", where, got.Matched, got.Source, c.matched, c.source)
		}
		if p := strings.Join(got.Places, ","); p != c.places || got.PlaceKnown != (c.places != "") {
			t.Errorf("%s: places %q known %v, want %q", where, p, got.PlaceKnown, c.places)
		}
		if got.Filing.Number != c.filing || got.FilingKnown != (c.filing != "") {
			t.Errorf("%s: filing %q known %v, want %q", where, got.Filing.Number, got.FilingKnown, c.filing)
		}
	}
	if _, ok := r.Target("no-such", "", "m", "CN"); ok {
		t.Error("an unknown entry has facts")
	}
}

func TestPlaceFor(t *testing.T) {
	r := load(t)
	if places, known, matched := r.PlaceFor("zhipu", "https://open.bigmodel.cn/api/paas/v4"); !slices.Equal(places, []string{"CN"}) || !known || !matched {
		t.Errorf("zhipu: %v %v %v", places, known, matched)
	}
	if places, known, matched := r.PlaceFor("zhipu", "https://example.com"); places != nil || known || matched {
		t.Errorf("elsewhere: %v %v %v", places, known, matched)
	}
	// Beijing's place depends on the model, which this question does not name.
	if places, known, matched := r.PlaceFor("dashscope", ""); places != nil || known || !matched {
		t.Errorf("dashscope: %v %v %v", places, known, matched)
	}
}

// What a caller gets is its own: changing it must not change the registry.
func TestPlacesAreCopies(t *testing.T) {
	r := load(t)
	first, _ := r.Target("zhipu", "", "glm-5.2", "CN")
	first.Places[0] = "US"
	if second, _ := r.Target("zhipu", "", "glm-5.2", "CN"); second.Places[0] != "CN" {
		t.Error("the registry's place changed")
	}
}

func TestFilingByNumber(t *testing.T) {
	r := load(t)
	f, ok := r.FilingByNumber("beijing-deepseekchat-202404280016")
	if !ok || f.Number != "Beijing-DeepseekChat-202404280016" || f.Kind != "filing" || f.FiledOn != "2024-05-13" || !f.Verified {
		t.Errorf("%+v %v", f, ok)
	}
	if _, ok := r.FilingByNumber(""); ok {
		t.Error("an empty number was found")
	}
}

func TestRegionSupports(t *testing.T) {
	r := load(t)
	for _, c := range []struct {
		provider, place  string
		supported, known bool
	}{
		{"openai", "CN", false, true}, {"openai", "hk", false, true}, {"openai", "SG", true, true}, {"openai", "GL", false, true},
		{"anthropic", "CN", false, true}, {"anthropic", "FR", true, true},
		{"gemini", "CN", false, true}, {"gemini", "DE", false, false}, {"gemini", "AU", true, true},
	} {
		g, ok := r.Region(c.provider)
		if !ok {
			t.Fatalf("no region record for %s", c.provider)
		}
		if s, k := g.Supports(c.place); s != c.supported || k != c.known {
			t.Errorf("%s %s: %v %v, want %v %v", c.provider, c.place, s, k, c.supported, c.known)
		}
	}
	if _, ok := r.Region("deepseek"); ok {
		t.Error("deepseek has no region record")
	}
}
