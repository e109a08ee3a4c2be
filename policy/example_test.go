package policy_test

import (
	"fmt"
	"log"

	"homeport/policy"
)

// An internal assistant on Azure OpenAI: allowed with duties while nothing personal is in the request, refused once
// there is.
func Example() {
	engine, err := policy.Load()
	if err != nil {
		log.Fatal(err)
	}
	declared, err := engine.Schema().FromMap(map[string]any{
		"service": map[string]any{"audience": "internal", "opinion": false},
		"model":   map[string]any{"source": "azure_global", "filed": false, "place": "SE"},
		"date":    "2026-11-22",
	}, policy.Declared)
	if err != nil {
		log.Fatal(err)
	}
	base := declared.Freeze() // once per app and target

	persons, _ := engine.Schema().ID("data.pi_persons_ytd")
	for _, n := range []int64{0, 1} {
		request := base.Facts()
		request.SetInt(persons, n, policy.Measured)
		d := engine.DecideRemembered(request, policy.Strict)
		fmt.Println(n, d.Verdict, d.RuleIDs(), d.Outcome("X"))
		for _, r := range d.Rules {
			if r.Verdict == d.Verdict {
				fmt.Println(" ", r.Rule, r.Cites[0].ZH())
			}
		}
	}
	// Output:
	// 0 allow_with_duties [X6 M7] exempt
	//   M7 《生成式人工智能服务管理暂行办法》第2条
	// 1 block [X14 XD1 XD2 M7] exempt
	//   X14 《促进和规范数据跨境流动规定》第5条
}
