package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"homeport/registry"
)

// catalogCmd shows what this binary knows of providers and models: dated, sourced data, nothing asked of a network.
type catalogCmd struct {
	Providers catalogProvidersCmd `cmd:"" help:"Providers, or those that match a search. 列出或搜索供应商。"`
	Models    catalogModelsCmd    `cmd:"" help:"Models and prices, or those that match a search. 列出或搜索模型与价格。"`
	Show      catalogShowCmd      `cmd:"" help:"One provider, provider/model, or OpenAI model name. 查看供应商、供应商/模型或 OpenAI 模型名。"`
}

type catalogProvidersCmd struct {
	Search string `arg:"" optional:"" help:"Part of an id, name, operator, host or variable. 编号、名称、运营者、主机或变量名的一部分。"`
	JSON   bool   `name:"json" help:"One JSON object. 输出 JSON。"`
}

type catalogModelsCmd struct {
	Search string `arg:"" optional:"" help:"Part of provider/model. 供应商/模型的一部分。"`
	JSON   bool   `name:"json" help:"One JSON object. 输出 JSON。"`
}

type catalogShowCmd struct {
	ID   string `arg:"" help:"Such as deepseek, deepseek/deepseek-flash or gpt-4. 如 deepseek、deepseek/deepseek-flash 或 gpt-4。"`
	JSON bool   `name:"json" help:"One JSON object. 输出 JSON。"`
}

// catalogNote goes with every answer: what is missing here is unknown, and nothing more.
var catalogNote = registry.Text{
	Zh: "本数据不完整：未收录即未知，既不等于未备案，也不等于免费。不构成法律意见；展示备案号前请到网信部门公布页核对。",
	En: "This data is incomplete: what is not in it is unknown, not \"not filed\" and not free. No legal advice; check a filing number on the CAC's page before display.",
}

// Run lists providers.
func (c *catalogProvidersCmd) Run(world *env) error {
	e := catalogPrinter{world}
	r, err := loadCatalog()
	if err != nil {
		return err
	}
	found := []*registry.Provider{}
	for _, p := range r.Providers() {
		texts := slices.Concat([]string{p.ID, p.Name.Zh, p.Name.En, p.Operator.Zh, p.Operator.En, p.Source}, p.Hosts, p.Env)
		if matchesAny(c.Search, texts) {
			found = append(found, p)
		}
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema    string               `json:"schema"`
			Note      registry.Text        `json:"note"`
			Providers []*registry.Provider `json:"providers"`
		}{"homeport.catalog.providers.v1", catalogNote, found})
	}
	rows := [][]string{{e.say("编号", "ID"), e.say("名称", "NAME"), e.say("来源类别", "SOURCE"), e.say("处理地点", "PLACE"), e.say("备案", "FILINGS"), e.say("截至", "AS OF")}}
	for _, p := range found {
		filings := strconv.Itoa(len(p.Filings))
		if len(p.Filings) == 0 {
			filings = e.unknown("")
		}
		rows = append(rows, []string{p.ID, p.Name.In(e.lang), e.unknown(p.Source), e.places(p), filings, p.AsOf})
	}
	printTable(e.stdout, rows)
	e.end(len(found))
	return nil
}

// Run lists models.
func (c *catalogModelsCmd) Run(world *env) error {
	e := catalogPrinter{world}
	r, err := loadCatalog()
	if err != nil {
		return err
	}
	found := []registry.Model{}
	for _, m := range r.Models() {
		if matchesAny(c.Search, []string{m.Provider + "/" + m.ID, m.Region}) {
			found = append(found, m)
		}
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema string           `json:"schema"`
			Note   registry.Text    `json:"note"`
			Models []registry.Model `json:"models"`
		}{"homeport.catalog.models.v1", catalogNote, found})
	}
	rows := [][]string{{e.say("模型", "MODEL"), e.say("地域", "REGION"), e.say("上下文", "CONTEXT"), e.say("输入", "INPUT"), e.say("每百万 token 价格（输入/输出）", "PRICE PER 1M (IN/OUT)"), e.say("备案号", "FILING"), e.say("截至", "AS OF")}}
	for _, m := range found {
		rows = append(rows, []string{m.Provider + "/" + m.ID, m.Region, e.count(m.Context), strings.Join(m.Input, ","), e.price(m.Price), e.filing(r, m), m.AsOf})
	}
	printTable(e.stdout, rows)
	e.end(len(found))
	return nil
}

// Run shows one record whole: a provider, a model at a provider, or what can replace an OpenAI model.
func (c *catalogShowCmd) Run(world *env) error {
	e := catalogPrinter{world}
	r, err := loadCatalog()
	if err != nil {
		return err
	}
	provider, model, slash := strings.Cut(c.ID, "/")
	p, known := r.Provider(provider)
	switch {
	case known && !slash:
		return e.showProvider(r, p, c.JSON)
	case known:
		var records []registry.Model
		for _, m := range r.ModelsOf(provider) {
			if m.ID == model {
				records = append(records, m)
			}
		}
		if len(records) > 0 {
			return e.showModel(r, records, c.JSON)
		}
	}
	row, mapped := r.MappingRow(c.ID)
	end, ended := r.Lifecycle(c.ID)
	if mapped || ended {
		return e.showOpenAI(r, c.ID, row, end, c.JSON)
	}
	hint := "homeport catalog providers"
	if known {
		hint = "homeport catalog models " + provider
	}
	return &exitError{code: exitUsage, err: fmt.Errorf("catalog: %q: %s", c.ID, e.say("本数据中没有（不等于不存在）", "not in this data, which is not \"does not exist\"")),
		hint: hint}
}

func (e catalogPrinter) showProvider(r *registry.Registry, p *registry.Provider, asJSON bool) error {
	region, hasRegion := r.Region(p.ID)
	if asJSON {
		out := struct {
			Schema   string             `json:"schema"`
			Note     registry.Text      `json:"note"`
			Provider *registry.Provider `json:"provider"`
			Region   *registry.Region   `json:"region,omitempty"`
		}{Schema: "homeport.catalog.provider.v1", Note: catalogNote, Provider: p}
		if hasRegion {
			out.Region = &region
		}
		return writeJSON(e.stdout, out)
	}
	w := e.stdout
	fmt.Fprintf(w, "%s  %s\n", p.ID, p.Name.In(e.lang))
	e.field("说明", "note", p.Note.In(e.lang))
	e.field("运营者", "operator", e.unknown(p.Operator.Name(e.lang)))
	e.field("注册地", "jurisdiction", e.unknown(strings.Join(p.Operator.Jurisdiction, ", ")))
	e.field("来源类别", "source", e.unknown(p.Source))
	serves := e.unknown("")
	switch p.Serves.State {
	case "no":
		serves = e.say("不向中国内地客户提供", "not to customers in mainland China")
	case "enterprise_only":
		serves = e.say("仅企业客户", "enterprise customers only")
	}
	e.field("服务中国内地", "serves mainland", joinNote(serves, p.Serves.Note.In(e.lang)))
	e.field("环境变量", "environment", strings.Join(p.Env, ", "))
	train := map[string]string{"no": e.say("否", "no"), "partial": e.say("部分", "in part"), "unknown": e.unknown("")}[p.DataUse.TrainsOnAPIData]
	e.field("用 API 数据训练", "trains on API data", e.mark(joinNote(train, p.DataUse.Note.In(e.lang)), p.DataUse.Verified || p.DataUse.TrainsOnAPIData == "unknown"))
	for i := range p.Endpoints {
		ep := &p.Endpoints[i]
		fmt.Fprintf(w, "\n%s %s\n", e.say("主机", "host"), ep.Host)
		e.field("地址", "base URLs", strings.Join(ep.BaseURLs, ", "))
		e.field("地域", "region", ep.Region)
		e.field("处理地点", "place", e.endpointPlace(ep))
		e.field("仅限模型", "for models", strings.Join(ep.PlacesFor, ", "))
		e.field("来源类别", "source", ep.Source)
		e.field("说明", "note", ep.Note.In(e.lang))
	}
	for _, f := range p.Filings {
		fmt.Fprintf(w, "\n%s %s\n", e.say("备案号", "filing"), f.Number)
		if rec, ok := r.FilingByNumber(f.Number); ok {
			e.field("名称", "name", registry.Text{Zh: rec.NameZh, En: rec.NameEn}.In(e.lang))
			e.field("备案主体", "holder", registry.Text{Zh: rec.OperatorZh, En: rec.OperatorEn}.In(e.lang))
			e.field("公示日期", "filed on", rec.FiledOn)
		}
		e.field("覆盖", "covers", strings.Join(f.Covers, ", "))
		e.field("仅限主机", "on hosts", strings.Join(f.Hosts, ", "))
		e.field("来源", "source", e.mark(f.Source, f.Verified))
		e.field("说明", "note", f.Note.In(e.lang))
	}
	if len(p.Filings) == 0 {
		fmt.Fprintf(w, "\n%s %s\n", e.say("备案号", "filing"), e.unknown(""))
	}
	e.field("备案说明", "filings", p.FilingsNote.In(e.lang))
	if hasRegion {
		fmt.Fprintf(w, "\n%s\n", e.say("可用地区", "supported places"))
		for _, place := range []string{"CN", "HK", "MO", "TW", "SG"} {
			supported, known := region.Supports(place)
			answer := e.unknown("")
			if known {
				answer = map[bool]string{true: e.say("在名单内", "on the list"), false: e.say("不在名单内", "not on the list")}[supported]
			}
			if len(region.Supported) > 0 {
				e.field(place, place, answer)
			}
		}
		e.field("来源", "source", e.mark(region.Source+" ("+region.AsOf+")", region.Verified))
	}
	fmt.Fprintln(w)
	e.field("截至", "as of", p.AsOf)
	e.field("未核实", "not verified", strings.Join(p.Unverified, ", "))
	for _, s := range p.Sources {
		e.field("来源", "source", s.Ref+" ("+s.Date+")")
	}
	e.end(-1)
	return nil
}

func (e catalogPrinter) showModel(r *registry.Registry, records []registry.Model, asJSON bool) error {
	filing, filed := r.FilingFor(records[0].Provider, records[0].ID)
	if asJSON {
		out := struct {
			Schema string           `json:"schema"`
			Note   registry.Text    `json:"note"`
			Models []registry.Model `json:"models"`
			Filing *registry.Filing `json:"filing"` // null is unknown
		}{Schema: "homeport.catalog.model.v1", Note: catalogNote, Models: records}
		if filed {
			out.Filing = &filing
		}
		return writeJSON(e.stdout, out)
	}
	for _, m := range records {
		fmt.Fprintf(e.stdout, "%s/%s\n", m.Provider, m.ID)
		e.field("地域", "region", m.Region)
		e.field("上下文", "context", e.count(m.Context))
		e.field("最大输出", "max output", e.count(m.MaxOutput))
		e.field("输入", "input", strings.Join(m.Input, ", "))
		e.field("输出", "output", strings.Join(m.Output, ", "))
		e.field("每百万 token 价格（输入/输出）", "price per 1M (in/out)", e.price(m.Price))
		if m.Price != nil {
			e.field("缓存输入", "cached input", e.money(m.Price.CachedInput, m.Price.Currency))
			for _, x := range r.Rates() {
				if x.Pair == m.Price.Currency+"/CNY" {
					e.field("折算汇率", "rate", e.mark(x.Rate.String()+" CNY ("+x.AsOf+")", x.Verified))
				}
			}
			if lc := m.Price.LongContext; lc != nil {
				e.field("长上下文", "long context", fmt.Sprintf(e.say("超过 %d 个输入 token 时另价", "another price above %d input tokens"), lc.AboveInputTokens))
			}
			if pk := m.Price.Peak; pk != nil {
				e.field("高峰", "peak", fmt.Sprintf("x%s UTC %s (%s)", pk.Factor, strings.Join(pk.WindowsUTC, " "), pk.Days.In(e.lang)))
			}
		}
		e.field("说明", "notes", m.Notes.In(e.lang))
		e.field("来源", "source", e.mark(m.Source+" ("+m.AsOf+")", m.Verified))
		fmt.Fprintln(e.stdout)
	}
	number := e.unknown("")
	if filed {
		number = e.mark(filing.Number, filing.Verified)
	}
	e.field("备案号", "filing", number)
	e.end(-1)
	return nil
}

func (e catalogPrinter) showOpenAI(r *registry.Registry, name string, row registry.MappingRow, end registry.Lifecycle, asJSON bool) error {
	if asJSON {
		return writeJSON(e.stdout, struct {
			Schema      string                            `json:"schema"`
			Note        registry.Text                     `json:"note"`
			Model       string                            `json:"model"`
			Role        registry.Text                     `json:"role"`
			Shutdown    string                            `json:"shutdown,omitempty"`
			Replacement string                            `json:"official_replacement,omitempty"`
			Warning     registry.Text                     `json:"warning,omitzero"`
			Targets     map[string]registry.MappingTarget `json:"targets"`
		}{"homeport.catalog.openai.v1", catalogNote, name, row.Role, end.Shutdown, end.OfficialReplacement, row.Warning, row.Targets})
	}
	fmt.Fprintf(e.stdout, "%s  %s\n", name, row.Role.In(e.lang))
	e.field("OpenAI 停用", "ended by OpenAI", end.Shutdown)
	e.field("官方替代", "official replacement", end.OfficialReplacement)
	e.field("注意", "warning", row.Warning.In(e.lang))
	fmt.Fprintf(e.stdout, "\n%s\n", e.say("建议的替代模型（须自行评测）", "suggested models (evaluate before switching)"))
	for _, id := range suggestionOrder(r, row) {
		t := row.Targets[id]
		models := make([]string, len(t.Models))
		for i, m := range t.Models {
			models[i] = strings.ReplaceAll(m, "{from}", name)
		}
		notes := []string{t.Note.In(e.lang)}
		switch t.Thinking {
		case "enabled":
			notes = append(notes, e.say("开启思考", "thinking enabled"))
		case "disabled":
			notes = append(notes, e.say("关闭思考", "thinking disabled"))
		}
		if t.Effort != "" {
			notes = append(notes, e.say("推理强度 ", "effort ")+t.Effort)
		}
		notes = slices.DeleteFunc(notes, func(s string) bool { return s == "" })
		e.field(id, id, joinNote(strings.Join(models, ", "), strings.Join(notes, e.say("；", "; "))))
	}
	e.end(-1)
	return nil
}

// suggestionOrder puts what is most likely lawful first: domestic APIs, then weights of one's own, then Azure for
// internal use. What is no target is not suggested.
func suggestionOrder(r *registry.Registry, row registry.MappingRow) []string {
	rank := map[string]int{registry.SourceDomesticAPI: 1, registry.SourceSelfHosted: 2, registry.SourceAzureGlobal: 3}
	class := func(id string) int {
		if id == "self_hosted" {
			return rank[registry.SourceSelfHosted]
		}
		p, ok := r.Provider(id)
		switch {
		case !ok || !p.Target():
			return 0
		case rank[p.Source] == 0:
			return 4
		}
		return rank[p.Source]
	}
	ids := slices.Collect(maps.Keys(row.Targets))
	ids = slices.DeleteFunc(ids, func(id string) bool { return class(id) == 0 })
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(class(a)-class(b), strings.Compare(a, b)) })
	return ids
}

// catalogPrinter renders records in the language of output.
type catalogPrinter struct{ *env }

func loadCatalog() (*registry.Registry, error) {
	r, err := registry.Load()
	if err != nil {
		return nil, &exitError{code: exitFault, err: err}
	}
	return r, nil
}

func (e catalogPrinter) unknown(s string) string {
	if s == "" {
		return e.say("未知", "unknown")
	}
	return s
}

func (e catalogPrinter) mark(s string, verified bool) string {
	if verified || s == "" {
		return s
	}
	return s + e.say("（未核实）", " (not verified)")
}

func (e catalogPrinter) count(n *int64) string {
	if n == nil {
		return e.unknown("")
	}
	return strconv.FormatInt(*n, 10)
}

func (e catalogPrinter) money(m *registry.Micro, currency string) string {
	if m == nil {
		return e.unknown("")
	}
	return m.String() + " " + currency
}

func (e catalogPrinter) price(p *registry.Price) string {
	if p == nil || p.Input == nil && p.Output == nil {
		return e.unknown("")
	}
	part := func(m *registry.Micro) string {
		if m == nil {
			return "?"
		}
		return m.String()
	}
	s := part(p.Input) + " / " + part(p.Output) + " " + p.Currency
	switch {
	case p.Unit == "unknown":
		s += e.say("（单位未知）", " (unit unknown)")
	case p.LowestTier:
		s += e.say("（最低档）", " (lowest tier)")
	}
	return s
}

func (e catalogPrinter) filing(r *registry.Registry, m registry.Model) string {
	if p, ok := r.Provider(m.Provider); ok && m.Region != "" && m.Region != p.Endpoints[0].Region {
		return e.unknown("") // another region is another service; its filing is asked by host
	}
	f, ok := r.FilingFor(m.Provider, m.ID)
	if !ok {
		return e.unknown("")
	}
	return f.Number
}

func (e catalogPrinter) endpointPlace(ep *registry.Endpoint) string {
	if ep.PlaceOf == "operator" {
		return e.say("运营者所在地", "the operator's")
	}
	if len(ep.Places) == 0 {
		if ep.Mainland != nil && !*ep.Mainland {
			return e.say("未知（不在中国内地）", "unknown (not mainland China)")
		}
		return e.unknown("")
	}
	return e.mark(strings.Join(ep.Places, ", "), ep.Verified)
}

// places sums up an entry's endpoints in a table cell.
func (e catalogPrinter) places(p *registry.Provider) string {
	var out []string
	for i := range p.Endpoints {
		s := e.endpointPlace(&p.Endpoints[i])
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, e.say("；", "; "))
}

// field prints one indented line; nothing when there is no value.
func (e catalogPrinter) field(zh, en, value string) {
	if value != "" {
		fmt.Fprintf(e.stdout, "  %s%s\n", e.say(zh+"：", en+": "), value)
	}
}

// end ends an answer; n is how many records it holds, -1 for one shown whole.
func (e catalogPrinter) end(n int) {
	fmt.Fprintln(e.stdout)
	if n >= 0 {
		fmt.Fprintf(e.stdout, e.say("共 %d 条。", "%d record(s). "), n)
	}
	fmt.Fprintln(e.stdout, catalogNote.In(e.lang))
}

func joinNote(s, note string) string {
	switch {
	case note == "":
		return s
	case s == "":
		return note
	}
	return s + " (" + note + ")"
}

func matchesAny(search string, texts []string) bool {
	search = strings.ToLower(search)
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), search) })
}

// printTable aligns columns by the width a terminal gives them: Chinese characters take two cells.
func printTable(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], cells(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-cells(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

func cells(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x2e80 {
			n++ // CJK, its punctuation and full-width forms
		}
	}
	return n
}
