package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"homeport/internal/appkey"
)

// validator checks what one value alone cannot show: references, pairs, the catalog, the rules' schema.
type validator struct {
	*decoder
	cfg *Config
	o   Options
}

func (v *validator) at(path string) Pos { return v.pos[path] }

// all runs every check; each reports and goes on.
func (v *validator) all() {
	v.listeners()
	v.operatorFacts()
	ids := v.providers()
	v.apps()
	v.routes(ids)
	v.prices()
	if len(v.cfg.Apps) == 0 {
		v.add(Warning, Pos{1, 1}, Text{"没有配置应用（apps），任何请求都会被拒绝", "no apps are configured: every request will be refused"},
			Text{"加上 apps: [{id: …}]，再执行 homeport key create", "add apps: [{id: …}], then homeport key create"})
	}
}

func (v *validator) listeners() {
	c := v.cfg
	for _, l := range []struct {
		path, addr string
		tls        *TLS
		tlsPath    string
		sev        Severity
	}{{"listen", c.Listen, c.TLS, "tls", Warning}, {"admin.listen", c.Admin.Listen, c.Admin.TLS, "admin.tls", Error}} {
		at := v.at(l.path)
		if !listenForm(l.addr) {
			v.fail(at, "监听地址应为 主机:端口", "a listen address is host:port", Text{"如 127.0.0.1:8787", "such as 127.0.0.1:8787"})
			continue
		}
		if !IsLoopback(l.addr) && l.tls == nil && len(c.TrustedProxies) == 0 {
			v.add(l.sev, at, Text{"非回环监听，却没有 tls，也没有 trusted_proxies：密钥与内容将以明文传输", "listens off loopback without tls or trusted_proxies: keys and content travel in the clear"},
				Text{"加上 tls: {cert, key}，或写明前置代理的 trusted_proxies，或改用 127.0.0.1", "add tls: {cert, key}, or trusted_proxies for the proxy in front, or use 127.0.0.1"})
		}
		if l.tls != nil && v.o.FileReadable != nil {
			for name, file := range map[string]string{"cert": l.tls.Cert, "key": l.tls.Key} {
				if file != "" && v.o.FileReadable(resolved(c, file)) != nil {
					v.fail(v.at(l.tlsPath+"."+name), "读不到此文件", "this file cannot be read", Text{"核对路径与权限", "check path and permissions"})
				}
			}
		}
	}
	if c.Listen == c.Admin.Listen && c.Listen != "" && !strings.HasSuffix(c.Listen, ":0") {
		v.fail(v.at("admin.listen"), "admin.listen 与 listen 相同", "admin.listen is the same as listen", Text{"两个监听须用不同端口", "the two listeners need different ports"})
	}
}

func (v *validator) operatorFacts() { v.checkFacts(v.cfg.Operator.Facts) }

func (v *validator) checkFacts(facts Facts) {
	for _, name := range facts.sortedNames() {
		f := facts[name]
		if v.o.CheckFact == nil {
			continue
		}
		v.checkFact(f.Pos, name, f.Value)
	}
}

func (v *validator) checkFact(at Pos, name string, value any) {
	err := v.o.CheckFact(name, value)
	var both *FactError
	switch {
	case err == nil:
	case errors.As(err, &both):
		v.add(Error, at, both.Message, both.Hint)
	default:
		v.fail(at, fmt.Sprintf("事实 %s 不合规定：%v", name, err), err.Error(), Text{})
	}
}

// providers checks each provider and returns the ids that exist.
func (v *validator) providers() map[string]*Provider {
	ids := map[string]*Provider{}
	for i := range v.cfg.Providers {
		p := &v.cfg.Providers[i]
		path := fmt.Sprintf("providers[%d]", i)
		if p.ID != "" {
			switch {
			case !idForm(p.ID):
				v.fail(v.at(path+".id"), "id 须为字母、数字、点、下划线、连字符，至多 63 个", "an id is letters, digits, dot, underscore, hyphen, at most 63", Text{})
			case ids[p.ID] != nil:
				v.fail(v.at(path+".id"), fmt.Sprintf("供应商 %s 重复", p.ID), fmt.Sprintf("provider %s is given twice", p.ID), Text{})
			}
			ids[p.ID] = p
		}
		v.provider(p, path)
	}
	return ids
}

func (v *validator) provider(p *Provider, path string) {
	known := true
	if p.Catalog != "" && p.Catalog != Custom && v.o.KnownCatalog != nil && !v.o.KnownCatalog(p.Catalog) {
		known = false
		var list []string
		if v.o.CatalogIDs != nil {
			list = v.o.CatalogIDs()
		}
		hint := Text{"homeport catalog providers 列出全部；任何 OpenAI 兼容服务可用 custom", "homeport catalog providers lists all; custom is for anything OpenAI-compatible"}
		if near, ok := nearest(p.Catalog, list); ok {
			hint = Text{fmt.Sprintf("是否想写 %s？", near), fmt.Sprintf("did you mean %s?", near)}
		}
		v.fail(v.at(path+".catalog"), "目录中没有此条目", "no such catalog entry", hint)
	}
	if known && p.Catalog != "" && p.Catalog != Custom && v.o.Routable != nil && !v.o.Routable(p.Catalog) {
		v.fail(v.at(path+".catalog"), "此目录条目仅供参考，Homeport 不向其发送请求", "this catalog entry is for reference: Homeport sends no requests there",
			Text{"homeport catalog providers 列出可用者", "homeport catalog providers lists what can be used"})
		known = false
	}
	var hosts []string
	if known && p.Catalog != Custom && v.o.CatalogHosts != nil {
		hosts = v.o.CatalogHosts(p.Catalog)
	}
	v.baseURL(p, path, hosts, known)
	if p.Proxy != "" {
		norm, wrong := parseProxy(p.Proxy)
		if !wrong.IsZero() {
			v.add(Error, v.at(path+".proxy"), wrong, Text{})
		}
		p.Proxy = norm
	}
	v.azureOnly(p, path)
	if p.Entra != nil {
		if p.Key.IsSet() {
			v.fail(v.at(path+".entra"), "key 与 entra 只能有一个", "give key or entra, not both", Text{})
		}
		if norm, wrong := parseBase(p.Entra.Authority); !wrong.IsZero() {
			v.add(Error, v.at(path+".entra.authority"), wrong, Text{})
		} else {
			p.Entra.Authority = norm
		}
		if p.Entra.Tenant != "" && !idForm(p.Entra.Tenant) {
			v.fail(v.at(path+".entra.tenant"), "租户 ID 不合法", "not a tenant id", Text{})
		}
	}
	for name, dep := range p.Deployments {
		if !modelForm(name) || !modelForm(dep) || strings.Contains(dep, "/") {
			v.fail(v.at(path+".deployments."+name), "模型名或部署名不合法", "not a valid model or deployment name", Text{})
		}
	}
	if p.APIVersion != "" && !idForm(p.APIVersion) {
		v.fail(v.at(path+".api_version"), "api_version 应如 2024-10-21", "api_version is such as 2024-10-21", Text{})
	}
	if _, twice := p.Facts["model.place"]; twice && len(p.Place) > 0 {
		v.fail(v.at(path+".place"), "place 与 facts.place 只能有一个", "give place or facts.place, not both", Text{})
	}
	v.checkFacts(p.Facts)
	if len(p.Place) > 0 && v.o.CheckFact != nil {
		v.checkFact(v.at(path+".place"), "model.place", []string(p.Place))
	}
}

// azureOnly refuses keys that other entries would ignore in silence.
func (v *validator) azureOnly(p *Provider, path string) {
	if p.Catalog == "" || strings.HasPrefix(p.Catalog, "azure") {
		return
	}
	for name, given := range map[string]bool{"entra": p.Entra != nil, "api_version": p.APIVersion != "", "deployments": len(p.Deployments) > 0} {
		if given {
			v.fail(v.at(path+"."+name), name+" 只用于 Azure 条目", name+" is for Azure entries only", Text{"目录条目用 azure-openai 或 azure-china-21vianet", "use the catalog entry azure-openai or azure-china-21vianet"})
		}
	}
}

// baseURL normalises base_url and says when only the dialect of the catalog entry is kept.
func (v *validator) baseURL(p *Provider, path string, hosts []string, known bool) {
	if p.BaseURL == "" {
		fixed := false
		for _, h := range hosts {
			fixed = fixed || !strings.ContainsAny(h, "{*")
		}
		if p.Catalog == Custom || (known && p.Catalog != "" && v.o.CatalogHosts != nil && !fixed) {
			v.fail(v.at(path+".catalog"), "此目录条目需要 base_url", "this catalog entry needs a base_url", Text{"写出接口根地址", "write the root of the API"})
		}
		return
	}
	at := v.at(path + ".base_url")
	norm, wrong := parseBase(p.BaseURL)
	if !wrong.IsZero() {
		v.add(Error, at, wrong, Text{"如 https://api.example.com/v1", "such as https://api.example.com/v1"})
		return
	}
	p.BaseURL = norm
	if !known {
		return
	}
	host := Hostname(norm)
	if p.Key.IsSet() && strings.HasPrefix(norm, "http://") && !localHost(host) {
		v.add(Warning, at, Text{"以明文 http 发送供应商密钥", "the provider's key is sent over plain http"}, Text{"改用 https", "use https"})
	}
	if p.Catalog != Custom && v.o.CatalogHosts == nil {
		return
	}
	for _, h := range hosts {
		if hostMatches(h, host) {
			return
		}
	}
	p.ForeignHost = true
	var missing []string
	for _, name := range []string{"source", "place", "filed"} {
		_, declared := p.Facts["model."+name]
		if !declared && !(name == "place" && len(p.Place) > 0) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing, ", ")
		v.add(Warning, at, Text{"base_url 不在目录条目的主机之列，只沿用其方言；未声明的事实按未知处理：" + list, "base_url lies outside the catalog entry's hosts, only its dialect is kept; facts not declared count as unknown: " + list},
			Text{"在 facts: 中声明 " + list, "declare " + list + " in facts:"})
	}
}

// resolved is where a relative file of the configuration lies.
func resolved(c *Config, file string) string {
	t := &TLS{Cert: file}
	resolvePaths(&Config{file: c.file, TLS: t})
	return t.Cert
}

func localHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsPrivate())
}

func (v *validator) apps() {
	ids := map[string]bool{}
	owner := map[appkey.Hash]string{}
	for i := range v.cfg.Apps {
		a := &v.cfg.Apps[i]
		path := fmt.Sprintf("apps[%d]", i)
		if a.ID != "" {
			switch {
			case !idForm(a.ID):
				v.fail(v.at(path+".id"), "id 须为字母、数字、点、下划线、连字符，至多 63 个", "an id is letters, digits, dot, underscore, hyphen, at most 63", Text{})
			case ids[a.ID]:
				v.fail(v.at(path+".id"), fmt.Sprintf("应用 %s 重复", a.ID), fmt.Sprintf("app %s is given twice", a.ID), Text{})
			}
			ids[a.ID] = true
		}
		for j, k := range a.Keys {
			if k.Hash == (appkey.Hash{}) {
				continue // reported when decoded
			}
			if first, ok := owner[k.Hash]; ok {
				v.fail(v.at(fmt.Sprintf("%s.keys[%d]", path, j)), fmt.Sprintf("此密钥已属于应用 %s", first), fmt.Sprintf("this key already belongs to app %s", first),
					Text{"每个应用用自己的密钥", "each app has keys of its own"})
				continue
			}
			owner[k.Hash] = a.ID
		}
		if a.Mask {
			v.notBuilt(v.at(path+".mask"), "mask: true")
		}
		for _, facts := range []Facts{a.Service, a.Done, a.Data, a.Route} {
			v.checkFacts(facts)
		}
		for _, name := range a.Facts.sortedNames() {
			if strings.HasPrefix(name, "model.") || strings.HasPrefix(name, "operator.") {
				v.fail(a.Facts[name].Pos, name+" 不属于应用", name+" does not belong to an app", Text{"model.* 写在 providers，operator.* 写在 operator", "model.* goes with providers, operator.* with operator"})
			}
		}
		v.checkFacts(a.Facts)
		v.declaredTwice(a)
	}
}

// declaredTwice: facts: may name service.audience too; one fact has one place.
func (v *validator) declaredTwice(a *App) {
	for _, m := range []Facts{a.Service, a.Done, a.Data, a.Route} {
		for _, name := range m.sortedNames() {
			if f, ok := a.Facts[name]; ok {
				v.fail(f.Pos, fmt.Sprintf("事实 %s 写了两次", name), fmt.Sprintf("fact %s is given twice", name), Text{})
			}
		}
	}
}

func (v *validator) routes(providers map[string]*Provider) {
	var providerIDs, appIDs []string
	for i := range v.cfg.Providers {
		providerIDs = append(providerIDs, v.cfg.Providers[i].ID)
	}
	for i := range v.cfg.Apps {
		appIDs = append(appIDs, v.cfg.Apps[i].ID)
	}
	caught := -1
	for i := range v.cfg.Routes {
		r := &v.cfg.Routes[i]
		path := fmt.Sprintf("routes[%d]", i)
		if r.Model != "" && !modelForm(strings.ReplaceAll(r.Model, "*", "x")) {
			v.fail(v.at(path+".model"), "模型名不合法", "not a valid model name", Text{"字母、数字与 . _ : / @ + -，可含 *", "letters, digits and . _ : / @ + -, and *"})
		}
		if caught >= 0 {
			v.add(Warning, v.at(path+".model"), Text{fmt.Sprintf("前面的 routes[%d] 已匹配一切，此路由永不生效", caught), fmt.Sprintf("routes[%d] before it matches everything: this route is never used", caught)}, Text{"把 \"*\" 放在最后", "put \"*\" last"})
		} else if r.Model == "*" && len(r.Apps) == 0 {
			caught = i
		}
		for j, app := range r.Apps {
			if _, ok := v.cfg.App(app); !ok {
				v.fail(v.at(fmt.Sprintf("%s.apps[%d]", path, j)), "没有此应用", "there is no such app", hintNearest(app, appIDs))
			}
		}
		if at, ok := v.pos[path+".to"]; ok && len(r.To) == 0 {
			v.fail(at, "to 不能为空", "to must not be empty", Text{"如 [qwen/qwen3.7-plus]", "such as [qwen/qwen3.7-plus]"})
		}
		for j, t := range r.To {
			tp := fmt.Sprintf("%s.to[%d]", path, j)
			at := v.at(tp)
			if p, ok := v.pos[tp+".target"]; ok {
				at = p
			}
			if t.Provider != "" && providers[t.Provider] == nil {
				v.fail(at, fmt.Sprintf("没有供应商 %s", clip(t.Provider)), fmt.Sprintf("there is no provider %s", clip(t.Provider)), hintNearest(t.Provider, providerIDs))
			}
			for k := range j {
				if t.Provider != "" && r.To[k].Provider == t.Provider && r.To[k].Model == t.Model {
					v.fail(at, "同一目标写了两次", "the same target is given twice", Text{"用 weight 调整份额", "use weight for its share"})
				}
			}
		}
		settleTiers(r.To)
	}
}

// settleTiers fills tier and weight as the comment of Target says, and sorts by tier, keeping the order within one.
func settleTiers(to []Target) {
	tier, shared := 0, false
	for i := range to {
		t := &to[i]
		weighted := t.Tier == 0 && t.Weight > 0
		switch {
		case t.Tier > 0:
			tier = t.Tier
		case weighted && shared: // joins its weighted neighbour
		default:
			tier++
		}
		shared = weighted
		t.Tier, t.Weight = tier, max(t.Weight, 1)
	}
	for i := 1; i < len(to); i++ {
		for j := i; j > 0 && to[j].Tier < to[j-1].Tier; j-- {
			to[j], to[j-1] = to[j-1], to[j]
		}
	}
}

// prices refuses a limit in yuan for an app that can reach a target whose price is unknown: the limit could not hold.
func (v *validator) prices() {
	if v.o.PriceKnown == nil {
		return
	}
	for i := range v.cfg.Apps {
		a := &v.cfg.Apps[i]
		if a.Limits.CNYPerMonth == 0 {
			continue
		}
		for j := range v.cfg.Routes {
			r := &v.cfg.Routes[j]
			if len(r.Apps) > 0 && !contains(r.Apps, a.ID) {
				continue
			}
			for _, t := range r.To {
				p, ok := v.cfg.Provider(t.Provider)
				if ok && !v.o.PriceKnown(p, t.Model) {
					v.fail(v.at(fmt.Sprintf("apps[%d].limits.cny_per_month", i)), fmt.Sprintf("目标 %s 的价格未知，金额限制无法执行", t), fmt.Sprintf("the price of target %s is unknown, so a limit in yuan cannot hold", t),
						Text{"从路由中去掉此目标，或改用 tokens_per_day", "take the target out of the routes, or use tokens_per_day"})
				}
			}
		}
	}
}

func idForm(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		if !alnum && (i == 0 || (c != '.' && c != '_' && c != '-')) {
			return false
		}
	}
	return true
}

// modelForm is the pattern of model and deployment names, which become parts of upstream paths (attack case E2).
func modelForm(s string) bool {
	if s == "" || len(s) > 200 || strings.Contains(s, "..") || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		if !alnum && !strings.ContainsRune("._:/@+-", rune(c)) {
			return false
		}
	}
	return true
}

// ErrInvalid is what callers return when Load found an error.
var ErrInvalid = errors.New("the configuration has errors")
