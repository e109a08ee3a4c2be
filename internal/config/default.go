package config

import (
	"reflect"

	"homeport/internal/detect"
)

// Default is the configuration of a start without a file: what was detected, or the practice upstream; one app "default",
// internal, without influence on opinion; both listeners on loopback. The facts it sets are assumptions, which the
// caller prints at the start. Its app has no key: the caller makes one and holds it in memory.
func Default(found []detect.Found, getenv func(string) string) *Config {
	c := &Config{pos: map[string]Pos{}}
	c.Operator = Operator{Facts: Facts{"operator.place": {Value: "CN"}}}
	c.Apps = []App{{ID: "default", Service: Facts{"service.audience": {Value: "internal"}, "service.opinion": {Value: false}}}}
	c.UseDetected(found, getenv)
	applyDefaults(reflect.ValueOf(c).Elem())
	resolvePaths(c)
	return c
}

// AssumedByDefault lists the facts Default sets without anybody having said so.
func AssumedByDefault() []string {
	return []string{"operator.place", "service.audience", "service.opinion"}
}

// UseDetected fills providers and one catch-all route from what was detected, unless the file names providers itself.
// Keys are read from the environment here, into Secret. With nothing detected the practice upstream answers.
func (c *Config) UseDetected(found []detect.Found, getenv func(string) string) {
	if len(c.Providers) > 0 {
		return
	}
	for _, f := range found {
		p := Provider{ID: f.Catalog, Catalog: f.Catalog, BaseURL: f.BaseURL, Models: f.Models}
		if f.Env != "" && getenv != nil {
			p.Key = NewSecret(getenv(f.Env))
		}
		c.Providers = append(c.Providers, p)
	}
	if len(c.Providers) == 0 {
		c.Providers = []Provider{{ID: "practice", Catalog: "practice"}}
	}
	if len(c.Routes) == 0 {
		r := Route{Model: "*"}
		for _, p := range c.Providers {
			r.To = append(r.To, Target{Provider: p.ID, Model: "*"})
		}
		settleTiers(r.To)
		c.Routes = []Route{r}
	}
	applyDefaults(reflect.ValueOf(c).Elem())
}
