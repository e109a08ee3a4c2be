// Package config reads homeport.yaml: one documented struct, decoded strictly, every problem reported at its place.
//
// Start at Config for what may be written and at Load for how it is read. What always holds:
//   - a key that is not known, or whose function is not built yet, is an error; nothing is ignored in silence;
//   - ${NAME} is replaced inside scalars that are already parsed, so a value can add no YAML, and no value that came
//     from a variable or stands in a secret field is ever part of a Problem;
//   - keys of applications are held as hashes only; provider keys are held in Secret, which prints as "[secret]".
//
// The package knows neither the catalog nor the rules: what it needs of them comes in as functions (Options).
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"homeport/internal/appkey"
)

// Config is homeport.yaml. The tags zh and en are the manual: they become the descriptions of the JSON Schema.
// Zero values are replaced by the defaults named there when the file is loaded.
type Config struct {
	Operator       Operator   `yaml:"operator" zh:"运营者（法人）的事实，如 {name, place, cii, sector}" en:"Facts of the legal person that runs Homeport, e.g. {name, place, cii, sector}"`
	Profile        string     `yaml:"profile" enum:"strict,counsel" default:"strict" zh:"判定口径：strict 严格，counsel 依法律自身路径" en:"How outcomes become verdicts: strict, or counsel (the law's own routes)"`
	Listen         string     `yaml:"listen" default:"127.0.0.1:8787" zh:"数据面监听地址" en:"Address of the data plane"`
	TLS            *TLS       `yaml:"tls" zh:"数据面证书" en:"Certificate of the data plane"`
	TrustedProxies []Prefix   `yaml:"trusted_proxies" zh:"终止 TLS 的前置代理的地址段（CIDR）；非回环且没有 tls 时，来自其他地址的连接一律关闭" en:"Addresses (CIDR) of the proxies in front that end TLS; off loopback and without tls, connections from other addresses are closed"`
	Admin          Admin      `yaml:"admin" zh:"管理面" en:"Admin plane"`
	Data           string     `yaml:"data" default:"./homeport-data" zh:"数据目录：证据日志、SQLite、密钥；相对路径以本文件所在目录为准" en:"Folder of evidence log, SQLite and keys; a relative path starts at this file's folder"`
	Store          string     `yaml:"store" enum:"sqlite" default:"sqlite" zh:"主状态存储" en:"Primary state"`
	Journal        Journal    `yaml:"journal" zh:"证据日志" en:"Evidence log"`
	MaxBody        Size       `yaml:"max_body" default:"16MiB" zh:"请求体上限" en:"Largest request body"`
	Providers      []Provider `yaml:"providers" zh:"模型供应商" en:"Providers of models"`
	Routes         []Route    `yaml:"routes" zh:"应用所请求的模型 → 可去往的目标，按顺序" en:"What an app asks for → where it may go, in order; the first match counts"`
	Apps           []App      `yaml:"apps" zh:"调用方应用" en:"Calling applications"`

	Vault     notYet `yaml:"vault" zh:"本版本尚未提供" en:"not in this version"`
	Retention notYet `yaml:"retention" zh:"本版本尚未提供" en:"not in this version"`
	Witnesses notYet `yaml:"witnesses" zh:"本版本尚未提供" en:"not in this version"`
	Login     notYet `yaml:"login" zh:"本版本尚未提供" en:"not in this version"`

	file string         // path as given to Load; "" when there is no file
	pos  map[string]Pos // place of each value that was written, by path such as "providers[0].base_url"
}

// Operator is the legal person that answers for the gateway. Facts holds every other key under its full name,
// "operator.place" and so on.
type Operator struct {
	Name  string
	Facts Facts
}

// Journal bounds the wait for the evidence log's disk. A request that is not recorded in time is refused with 503 and not
// sent (invariant 1): a longer wait trades refusals on a slow disk for slower answers.
type Journal struct {
	MaxWait time.Duration `yaml:"max_wait" default:"250ms" zh:"等待落盘的上限；超过即拒绝（503）" en:"Longest wait for the disk; beyond it the request is refused (503)"`
}

// Admin is the listener of console, admin API and metrics.
type Admin struct {
	Listen string `yaml:"listen" default:"127.0.0.1:8788" zh:"管理面监听地址；非回环地址须有 tls 或 trusted_proxies" en:"Address of the admin plane; off loopback it needs tls or trusted_proxies"`
	TLS    *TLS   `yaml:"tls" zh:"管理面证书" en:"Certificate of the admin plane"`
}

// TLS names a certificate and key in PEM files; both are read again when they change.
type TLS struct {
	Cert string `yaml:"cert" required:"true" zh:"证书链 PEM 文件" en:"PEM file with the certificate chain"`
	Key  string `yaml:"key" required:"true" zh:"私钥 PEM 文件" en:"PEM file with the private key"`
}

// Custom is the catalog id of anything OpenAI-compatible: it has no hosts and no facts of its own.
const Custom = "custom"

// Provider is one configured instance of a catalog entry.
type Provider struct {
	ID          string            `yaml:"id" required:"true" zh:"本文件内的名称，不含斜杠" en:"Name within this file, without a slash"`
	Catalog     string            `yaml:"catalog" required:"true" zh:"目录条目，见 homeport catalog providers；custom 为任意 OpenAI 兼容服务" en:"Catalog entry, see homeport catalog providers; custom for anything OpenAI-compatible"`
	BaseURL     string            `yaml:"base_url" zh:"接口根地址；不在目录条目主机之列时只沿用方言，事实须在 facts 中声明" en:"Root of the API; outside the catalog entry's hosts only the dialect is kept and facts must be declared"`
	Key         Secret            `yaml:"key" zh:"供应商密钥，建议写作 \"${NAME}\"" en:"The provider's key, best written as \"${NAME}\""`
	Entra       *Entra            `yaml:"entra" zh:"Azure：以 Entra 应用凭据代替密钥" en:"Azure: Entra application credentials instead of a key"`
	APIVersion  string            `yaml:"api_version" zh:"Azure：按部署调用时的 api-version" en:"Azure: api-version for calls by deployment"`
	Deployments map[string]string `yaml:"deployments" zh:"Azure：模型名 → 部署名" en:"Azure: model name → deployment name"`
	Place       Places            `yaml:"place" zh:"处理地，ISO 3166-1 代码；同 facts.place" en:"Where it processes, ISO 3166-1 codes; the same as facts.place"`
	Facts       Facts             `yaml:"facts" prefix:"model." zh:"声明的事实 model.*，如 {source, place, filed}；null 表示未知" en:"Declared facts model.*, e.g. {source, place, filed}; null means unknown"`
	Timeouts    Timeouts          `yaml:"timeouts" zh:"超时" en:"Time limits"`
	Retries     *int              `yaml:"retries" min:"0" max:"10" zh:"首字节之前的重试次数，默认 2" en:"Retries before the first byte, default 2"`
	Breaker     Breaker           `yaml:"breaker" zh:"熔断：false 或对象" en:"Circuit breaker: false, or an object"`
	Concurrency int               `yaml:"concurrency" min:"0" max:"1000000" zh:"每目标并发上限，0 为不限" en:"Most parallel calls per target, 0 for no limit"`
	Proxy       string            `yaml:"proxy" zh:"出口代理（http、https、socks5）；环境变量中的代理一律不用" en:"Outgoing proxy (http, https, socks5); proxies in the environment are never used"`
	HTTP2       bool              `yaml:"http2" zh:"对上游启用 HTTP/2" en:"Speak HTTP/2 upstream"`
	Network     string            `yaml:"network" enum:"public,private" default:"public" zh:"private：允许解析到内网地址的主机名" en:"private: names that resolve to private addresses are permitted"`

	JSONSchema string `yaml:"json_schema" enum:"emulate,refuse" default:"emulate" zh:"供应商不支持 response_format: json_schema 时：emulate 以提示词与校验代替，refuse 拒绝" en:"Where response_format json_schema is not known: emulate it (asked for in words, answer checked) or refuse"`
	ToolChoice string `yaml:"tool_choice" enum:"refuse,auto" default:"refuse" zh:"供应商不支持 tool_choice 的 required 或指定函数时：refuse 拒绝，auto 降为 auto 并报告" en:"Where tool_choice required or a named function is not taken: refuse, or send auto and report it"`

	// Models are the names a local server said it serves (detection only, never from a file).
	Models []string `yaml:"-"`
	// ForeignHost is true when base_url lies outside the catalog entry's hosts: only the dialect of the entry holds.
	ForeignHost bool `yaml:"-"`
}

// Entra holds the client credentials flow of Microsoft Entra ID.
type Entra struct {
	Tenant       string `yaml:"tenant" required:"true" zh:"租户 ID" en:"Tenant id"`
	ClientID     string `yaml:"client_id" required:"true" zh:"应用（客户端）ID" en:"Application (client) id"`
	ClientSecret Secret `yaml:"client_secret" required:"true" zh:"客户端密码" en:"Client secret"`
	Authority    string `yaml:"authority" default:"https://login.microsoftonline.com" zh:"颁发机构；azure-china-21vianet 默认 https://login.partner.microsoftonline.cn" en:"Authority; for azure-china-21vianet https://login.partner.microsoftonline.cn is the default"`
	Scope        string `yaml:"scope" default:"https://cognitiveservices.azure.com/.default" zh:"令牌范围；azure-china-21vianet 默认 https://cognitiveservices.azure.cn/.default" en:"Token scope; for azure-china-21vianet https://cognitiveservices.azure.cn/.default is the default"`
}

// Timeouts are Go durations; zero means the default.
type Timeouts struct {
	Connect   time.Duration `yaml:"connect" default:"10s" zh:"建立连接" en:"To connect"`
	FirstByte time.Duration `yaml:"first_byte" default:"2m" zh:"到首字节" en:"To the first byte"`
	Idle      time.Duration `yaml:"idle" default:"1m" zh:"事件之间" en:"Between two events"`
	Total     time.Duration `yaml:"total" default:"15m" zh:"整个应答" en:"For the whole answer"`
}

// Breaker opens after Failures failures in a row, stays open for Cooldown, then lets one call through.
type Breaker struct {
	Off      bool          `yaml:"-"`
	Failures int           `yaml:"failures" default:"5" min:"1" max:"1000" zh:"连续失败多少次后断开" en:"Failures in a row that open it"`
	Cooldown time.Duration `yaml:"cooldown" default:"10s" zh:"断开时长" en:"How long it stays open"`
}

// Route maps model names an application asks for to targets.
type Route struct {
	Model string   `yaml:"model" required:"true" zh:"所请求的模型名，可含 *" en:"Model name asked for; may hold *"`
	Apps  []string `yaml:"apps" zh:"仅对这些应用生效；省略则全部" en:"Only for these apps; all when absent"`
	To    []Target `yaml:"to" required:"true" zh:"目标，按顺序：\"供应商/模型\" 或 {target, weight, tier}" en:"Targets in order: \"provider/model\" or {target, weight, tier}"`
}

// Target is one place a request can go: provider id, first slash, model. Model "*" stands for the model asked for, as
// the catalog maps it for that provider. Targets of a tier share its load by weight; tiers are tried in rising order.
// Without a tier, each string is a tier of its own after the one before; neighbours that give only a weight share one.
type Target struct {
	Provider string
	Model    string
	Weight   int
	Tier     int
}

// String is the target's id, "provider/model".
func (t Target) String() string { return t.Provider + "/" + t.Model }

// App is one calling application and its declared profile.
type App struct {
	ID      string `yaml:"id" required:"true" zh:"应用名" en:"Name of the application"`
	Keys    []Key  `yaml:"keys" zh:"应用密钥，24 个字符以上；或用 homeport key create 生成" en:"Keys of 24 characters or more; or made with homeport key create"`
	Service Facts  `yaml:"service" prefix:"service." zh:"服务的事实，如 {audience, opinion, outputs}" en:"Facts of the service, e.g. {audience, opinion, outputs}"`
	Done    Facts  `yaml:"done" prefix:"done." zh:"已办事项，如 {registration, algo_filing}" en:"What is done, e.g. {registration, algo_filing}"`
	Data    Facts  `yaml:"data" prefix:"data." zh:"数据的事实" en:"Facts of the data"`
	Route   Facts  `yaml:"route" prefix:"route." zh:"线路的事实" en:"Facts of the route"`
	Facts   Facts  `yaml:"facts" prefix:"" zh:"其他事实，写全名，如 {readers_abroad: false, logs.place: CN}" en:"Other facts by full name, e.g. {readers_abroad: false, logs.place: CN}"`
	Mask    bool   `yaml:"mask" zh:"改变判定时以化名替换（本版本尚未提供）" en:"Pseudonymise when that changes the verdict (not in this version)"`
	Limits  Limits `yaml:"limits" zh:"限额" en:"Limits"`
}

// Limits of one app; zero means none.
type Limits struct {
	RequestsPerMinute int64    `yaml:"requests_per_minute" min:"1" max:"1000000000" zh:"每分钟请求数" en:"Requests a minute"`
	TokensPerDay      int64    `yaml:"tokens_per_day" min:"1" max:"1000000000000000" zh:"每日（北京时间）令牌数" en:"Tokens a day (Beijing time)"`
	CNYPerMonth       MicroCNY `yaml:"cny_per_month" zh:"每月（北京时间）人民币元" en:"Yuan a month (Beijing time)"`
}

// Key is an application key of the file: the hash is kept, never the key.
type Key struct {
	Hash appkey.Hash
}

// App returns the app with this id.
func (c *Config) App(id string) (*App, bool) {
	for i := range c.Apps {
		if c.Apps[i].ID == id {
			return &c.Apps[i], true
		}
	}
	return nil, false
}

// Provider returns the provider with this id.
func (c *Config) Provider(id string) (*Provider, bool) {
	for i := range c.Providers {
		if c.Providers[i].ID == id {
			return &c.Providers[i], true
		}
	}
	return nil, false
}

// RetryCount is the number of retries, 2 unless configured.
func (p *Provider) RetryCount() int {
	if p.Retries == nil {
		return 2
	}
	return *p.Retries
}

// ModelFacts are the declared facts of the provider's models under their full names; place: joins as "model.place",
// whose value is always a list, or unknown.
func (p *Provider) ModelFacts() Facts {
	out := make(Facts, len(p.Facts)+1)
	for name, f := range p.Facts {
		out[name] = f
	}
	if len(p.Place) > 0 {
		out["model.place"] = Fact{Value: []string(p.Place)}
	}
	if f, ok := out["model.place"]; ok {
		if one, single := f.Value.(string); single {
			f.Value = []string{one}
			out["model.place"] = f
		}
	}
	return out
}

// DeclaredFacts are the facts declared for an app, the operator's among them, under their full names.
func (c *Config) DeclaredFacts(app *App) Facts {
	out := Facts{}
	for _, m := range []Facts{c.Operator.Facts, app.Facts, app.Service, app.Done, app.Data, app.Route} {
		for name, f := range m {
			out[name] = f
		}
	}
	return out
}

// Matches reports whether the route speaks for this app and model name.
func (r *Route) Matches(app, model string) bool {
	if len(r.Apps) > 0 {
		found := false
		for _, a := range r.Apps {
			found = found || a == app
		}
		if !found {
			return false
		}
	}
	return glob(r.Model, model)
}

// glob matches s against a pattern in which * stands for any run of characters.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			p, mark = star+1, mark+1
			i = mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Pos of the value at path, or the zero Pos.
func (c *Config) At(path string) Pos { return c.pos[path] }

// File is the path the configuration was read from, "" when there was no file.
func (c *Config) File() string { return c.file }

// Digest is "sha256:<hex>" over the canonical content: names as in the file, defaults filled in, secrets left out
// (events carry it as digests.config, invariant 7). Comments, order of keys and place in the file do not change it.
func (c *Config) Digest() string {
	b, err := json.Marshal(canonical(c))
	if err != nil { // only maps, slices and scalars are in there
		panic("config: canonical form: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
