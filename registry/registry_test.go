package registry_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"homeport/registry"
)

func load(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := registry.Load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every file is opened, strictly, and every reference resolves.
func TestCheck(t *testing.T) {
	r := load(t)
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Providers()); n != 37 {
		t.Errorf("%d providers, want the 36 and practice", n)
	}
	if n := len(r.Models()); n != 186 {
		t.Errorf("%d model records, want 186", n)
	}
	if n := len(r.Filings()); n != 471 {
		t.Errorf("%d filing rows, want 471", n)
	}
	if n := len(r.Mapping()); n != 18 {
		t.Errorf("%d mapping rows, want 18", n)
	}
}

// No file lies in the data that nothing reads.
func TestEveryFileIsRead(t *testing.T) {
	r := load(t)
	want := map[string]bool{"data/filings.csv": true, "data/rates.yaml": true, "data/families.yaml": true, "data/models/mapping.yaml": true, "data/models/openai-lifecycle.yaml": true}
	for _, p := range r.Providers() {
		want["data/providers/"+p.ID+".yaml"] = true
		if len(r.ModelsOf(p.ID)) > 0 {
			want["data/models/"+p.ID+".yaml"] = true
		}
		if _, ok := r.Region(p.ID); ok {
			want["data/regions/"+p.ID+".yaml"] = true
		}
	}
	seen := 0
	err := filepath.WalkDir("data", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		if !want[filepath.ToSlash(path)] {
			t.Errorf("%s is read by nothing", path)
		}
		return nil
	})
	if err != nil || seen != len(want) {
		t.Errorf("%d files, want %d (%v)", seen, len(want), err)
	}
}

// A host belongs to one provider, or a route could not be told by its host. Servers on loopback share theirs.
func TestHostsAreUnique(t *testing.T) {
	owner := map[string]string{}
	for _, p := range load(t).Providers() {
		for _, h := range p.Hosts {
			if h == "loopback" {
				if !p.SelfHosted() && p.Kind != registry.KindPractice {
					t.Errorf("%s: loopback is for self-hosted entries", p.ID)
				}
				continue
			}
			if owner[h] != "" {
				t.Errorf("host %s belongs to %s and %s", h, owner[h], p.ID)
			}
			owner[h] = p.ID
		}
	}
	if len(owner) < 40 {
		t.Errorf("only %d hosts seen", len(owner))
	}
}

// A filing is shown with the model that answered: each glob covers a model, and no two filings of an entry tie on one.
func TestFilingsCoverListedModels(t *testing.T) {
	r := load(t)
	seen := 0
	for _, p := range r.Providers() {
		for _, m := range r.ModelsOf(p.ID) {
			if f, ok := r.FilingFor(p.ID, m.ID); ok {
				seen++
				if m.Embedding() {
					t.Errorf("%s/%s makes vectors; %s is a generative service", p.ID, m.ID, f.Number)
				}
			}
		}
		if p.SelfHosted() && len(p.Filings) > 0 {
			t.Errorf("%s: a maker's filing does not carry over to weights run elsewhere", p.ID)
		}
	}
	if seen < 60 {
		t.Errorf("only %d models with a filing", seen)
	}
}

func TestMainlandDomesticFacts(t *testing.T) {
	for _, p := range load(t).Providers() {
		if p.Source == registry.SourceDomesticAPI && !slices.Contains(p.Operator.Jurisdiction, "CN") {
			t.Errorf("%s: domestic_api without an operator in CN", p.ID)
		}
		if p.Source == registry.SourceOverseasDirect && slices.Equal(p.Operator.Jurisdiction, []string{"CN"}) {
			t.Errorf("%s: overseas_direct with an operator in CN only", p.ID)
		}
		for _, e := range p.Endpoints {
			if e.Places == nil && e.Mainland != nil && *e.Mainland {
				t.Errorf("%s %s: in mainland China but no place", p.ID, e.Host)
			}
		}
		if len(p.Sources) == 0 && p.Verified && p.Kind != registry.KindPractice {
			t.Errorf("%s: verified without a source", p.ID)
		}
	}
}

// ByEnv reads text lines; it must agree with the parsed entries.
func TestByEnv(t *testing.T) {
	r := load(t)
	want := map[string][]string{}
	for _, p := range r.Providers() {
		for _, name := range p.Env {
			want[name] = append(want[name], p.ID)
		}
	}
	got := r.ByEnv()
	if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("ByEnv %v, want %v", got, want)
	}
	if !slices.Equal(got["DASHSCOPE_API_KEY"], []string{"dashscope"}) {
		t.Errorf("DASHSCOPE_API_KEY → %v", got["DASHSCOPE_API_KEY"])
	}
}

func TestLoadUnknownID(t *testing.T) {
	if _, err := registry.Load("deepseek", "no-such"); err == nil || !strings.Contains(err.Error(), `"no-such"`) {
		t.Errorf("error %v does not name the id", err)
	}
}

// Lazily parsed entries are the same as those parsed by Load.
func TestLazyProvider(t *testing.T) {
	r, err := registry.Load("deepseek")
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := r.Provider("zhipu"); !ok || p.ID != "zhipu" {
		t.Errorf("Provider(zhipu) = %v, %v", p, ok)
	}
	if _, ok := r.Provider("no-such"); ok {
		t.Error("an unknown id was found")
	}
}

// copyData returns the shipped data with one file changed: old is replaced by new and must be there.
func copyData(t *testing.T, file, old, new string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS("."), "data", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(out[file].Data)
	if !strings.Contains(text, old) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	out[file] = &fstest.MapFile{Data: []byte(strings.Replace(text, old, new, 1))}
	return out
}

// trim keeps of the data what the changed file refers to: parsing everything once more for each case only takes time.
func trim(data fstest.MapFS, changed string) {
	const mapping = "data/models/mapping.yaml"
	keep := []string{changed, "data/filings.csv", "data/rates.yaml", "data/families.yaml", mapping, "data/models/openai-lifecycle.yaml",
		"data/providers/deepseek.yaml", "data/providers/openai.yaml"}
	for file := range data {
		refers := changed == mapping && strings.HasPrefix(file, "data/providers/")
		if !refers && !slices.Contains(keep, file) {
			delete(data, file)
		}
	}
	if changed != mapping {
		data[mapping] = &fstest.MapFile{Data: []byte("as_of: '2026-01-01'\nverified: true\nrows: []\n")}
	}
}

// What is wrong in the data is an error that names file and line.
func TestBadData(t *testing.T) {
	const deepseek, models = "data/providers/deepseek.yaml", "data/models/deepseek.yaml"
	for _, c := range []struct{ name, file, old, new, want string }{
		{"unknown field", deepseek, "kind: provider", "kind: provider\nkindness: 1", ".yaml:5: unknown field"},
		{"duplicate key", deepseek, "kind: provider", "kind: provider\nkind: provider", ".yaml:5: "},
		{"id differs", deepseek, "id: deepseek", "id: deepsee", "deepseek.yaml:2: id"},
		{"unknown source class", deepseek, "source: domestic_api", "source: domestic", `unknown source "domestic"`},
		{"not a place", deepseek, "places: [CN]", "places: [China]", "ISO 3166-1"},
		{"empty places", deepseek, "places: [CN]", "places: []", "null for unknown"},
		{"place against mainland", deepseek, "places: [CN]", "places: [US]", "contradict"},
		{"base URL elsewhere", deepseek, "https://api.deepseek.com/beta", "https://api.deepseek.org/beta", "is not on host"},
		{"not a host", deepseek, "host: api.deepseek.com", "host: https://api.deepseek.com", "not a host"},
		{"covers nothing", deepseek, "covers: [deepseek-*]", "covers: []", "covers nothing"},
		{"covers everything", deepseek, "covers: [deepseek-*]", "covers: ['*']", "covers everything"},
		{"number not in the lists", deepseek, "Beijing-DeepseekChat-202404280016", "Beijing-DeepseekChat-202404280017", "not in filings.csv"},
		{"registration as filing", deepseek, "Beijing-DeepseekChat-202404280016", "Beijing-AutoGLM-20250606S0053", "registration of an application"},
		{"verified beyond the list", "data/providers/iflytek-spark.yaml", "Anhui-XingHuoRenZhiDaMoXing-20230823", "Shanghai-JieYue-20231106", "not verified in filings.csv"},
		{"environment name", deepseek, "[DEEPSEEK_API_KEY,", "[deepseek-key,", "environment name"},
		{"duplicate model", models, "id: deepseek-v4-pro", "id: deepseek-flash", "listed twice"},
		{"unknown region", models, "  - id: deepseek-flash\n", "  - id: deepseek-flash\n    region: mars\n", `region "mars"`},
		{"unknown modality", models, "input: [text, image]", "input: [text, smell]", `"smell"`},
		{"unknown currency", models, "currency: USD", "currency: EUR", `"EUR"`},
		{"not a number", models, "input: 0.15", "input: about 0.15", "decimal number"},
		{"too fine", models, "input: 0.15", "input: 0.1234567", "six decimal places"},
		{"bad window", models, "01:00-04:00", "01:00-25:00", "peak window"},
		{"wrong provider", models, "provider: deepseek", "provider: zhipu", "differs from the file's name"},
		{"mapping to nowhere", "data/models/mapping.yaml", "      dashscope:", "      dashscop:", "no such provider"},
		{"mapping twice", "data/models/mapping.yaml", "gpt-3.5-turbo-16k", "gpt-4", "listed twice"},
		{"lifecycle day", "data/models/openai-lifecycle.yaml", "'2026-10-23'", "'2026-10'", "and a day"},
		{"filing twice", "data/filings.csv", "Beijing-ChatGLM-20230821", "Beijing-WenXinYiYan-20230821", "filings.csv:3: "},
		{"filing shape", "data/filings.csv", "Beijing-ChatGLM-20230821", "ChatGLM", "another shape"},
		{"filing kind", "data/filings.csv", ",filing,zhipu,", ",filling,zhipu,", "filings.csv:3: unknown kind"},
		{"filing columns", "data/filings.csv", "name_zh,name_en", "name_en,name_zh", "columns differ"},
		{"region place twice", "data/regions/openai.yaml", "'AL', 'DZ'", "'AL', 'AL'", "listed twice"},
		{"region unknown provider", "data/regions/openai.yaml", "provider: openai", "provider: open-ai", "open-ai"},
		{"rate without source", "data/rates.yaml", "    as_of: '2026-06-19'\n", "    as_of: soon\n", "lacks rate, source or as_of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := copyData(t, c.file, c.old, c.new)
			trim(data, c.file)
			r, err := registry.LoadFS(data)
			if err == nil {
				err = r.Check()
			}
			var de *registry.DataError
			if !errors.As(err, &de) {
				t.Fatalf("error %v is not a DataError", err)
			}
			if de.Line == 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want a line and %q", err, c.want)
			}
			if de.File != c.file && c.want != "differs from the file's name" {
				t.Errorf("blames %s, want %s", de.File, c.file)
			}
		})
	}
}

func TestModelFileWithoutProvider(t *testing.T) {
	data := copyData(t, "data/rates.yaml", "as_of", "as_of")
	data["data/models/nobody.yaml"] = &fstest.MapFile{Data: []byte("provider: nobody\nmodels: []\n")}
	r, err := registry.LoadFS(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err == nil || !strings.Contains(err.Error(), `no such provider "nobody"`) {
		t.Errorf("error %v", err)
	}
}

// A part that does not parse reads as unknown: never as free, never as filed.
func TestBrokenPartsAreUnknown(t *testing.T) {
	r, err := registry.LoadFS(copyData(t, "data/models/deepseek.yaml", "models:", "model:"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Model("deepseek", "deepseek-flash"); ok {
		t.Error("a model was found in a broken file")
	}
	r, err = registry.LoadFS(copyData(t, "data/providers/deepseek.yaml", "kind: provider", "kind: x"), "zhipu")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Provider("deepseek"); ok {
		t.Error("a broken entry was found")
	}
	if _, ok := r.FilingFor("deepseek", "deepseek-flash"); ok {
		t.Error("a broken entry has a filing")
	}
}

func TestEmptyData(t *testing.T) {
	if _, err := registry.LoadFS(fstest.MapFS{}); err == nil {
		t.Error("empty data loaded")
	}
}

func BenchmarkLoadAll(b *testing.B) {
	for b.Loop() {
		if _, err := registry.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadTwo(b *testing.B) {
	for b.Loop() {
		if _, err := registry.Load("dashscope", "deepseek"); err != nil {
			b.Fatal(err)
		}
	}
}
