package hptest

import "fmt"

// Config is a configuration for client tests: one app (Key) for internal use, the practice upstream as a lawful domestic
// provider behind the model names that OpenAI applications ask for, and again as an overseas provider behind `forbidden-*`,
// where every request is refused.
func Config(up *Upstream) string {
	return fmt.Sprintf(`operator: {name: 示例科技, place: CN, cii: false, sector: general}
providers:
  - id: home
    catalog: practice
    base_url: %[1]s
    breaker: false # the tests ask for errors on purpose, all at once
    facts: {source: domestic_api, place: [CN], filed: true}
  - id: abroad
    catalog: practice
    base_url: %[1]s
    breaker: false # the tests ask for errors on purpose, all at once
    facts: {source: overseas_direct, place: [US], filed: false}
routes:
  - {model: "forbidden-*", to: [abroad/practice]}
  - {model: "gpt-*", to: [home/practice]}
  - {model: "text-embedding-*", to: [home/practice]}
  - {model: "practice", to: [home/practice]}
apps:
  - id: clients
    keys: ["%[2]s"]
    service: {audience: internal, opinion: false, outputs: [text]}
    data: {important: false, core: false, state_secret: false} # images and tokens cannot be read: the operator has said what they hold
`, up.BaseURL, Key)
}
