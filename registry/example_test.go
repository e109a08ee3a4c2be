package registry_test

import (
	"fmt"

	"homeport/registry"
)

// Everything known about one place a request can go to. What is not in the data is unknown, never guessed.
func ExampleRegistry_Target() {
	r, err := registry.Load("dashscope")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"dashscope.aliyuncs.com", "cn-hongkong.dashscope.aliyuncs.com", "relay.example"} {
		t, _ := r.Target("dashscope", host, "qwen3.7-plus", "CN")
		fmt.Println(host, t.Matched, t.Places, t.PlaceKnown, t.FilingKnown)
	}
	// Output:
	// dashscope.aliyuncs.com true [CN] true true
	// cn-hongkong.dashscope.aliyuncs.com true [] false false
	// relay.example false [] false false
}

// Costs are integers of a millionth of a yuan, rounded up once.
func ExamplePrice_MicroCNY() {
	r, err := registry.Load("zhipu", "qianfan")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, _ := r.Model("zhipu", "embedding-3")
	fmt.Println(m.Price.MicroCNY(1_000_001, 0, 0))
	m, _ = r.Model("qianfan", "ernie-5.1")
	fmt.Println(m.Price == nil) // unknown, not free
	// Output:
	// 500001 true
	// true
}

// An old application still asks for models OpenAI has ended.
func ExampleRegistry_MapFromOpenAI() {
	r, err := registry.Load("dashscope")
	if err != nil {
		fmt.Println(err)
		return
	}
	end, _ := r.Lifecycle("gpt-4")
	fmt.Println(end.Shutdown, r.MapFromOpenAI("gpt-4", "dashscope"))
	// Output: 2026-10-23 [qwen3.7-plus qwen3.8-max]
}
