package tour

import "homeport/policy"

// step is one request of the tour and what is promised of it.
type step struct {
	title  policy.Text
	app    string
	who    policy.Text // the app in words
	key    string
	model  string
	stream bool
	sent   policy.Text // the prompt described, personal information masked
	prompt policy.Text
	secret string // what must never be in the journal
	point  policy.Text

	status  int
	verdict string
	target  string // "" for a refusal
	place   string
	// refuses are rules that must be among those which forbid a target, by target.
	refuses map[string]string
	found   map[string]int64
}

// The resident identity number is made up: 110105 is a district, the birth date of 1900 makes the holder impossible, and
// the last character is the checksum of GB 11643.
var residentID = withChecksum("11010519000101001")

const maskedID = "110105********001*"

func steps() []step {
	office := policy.Text{ZH: "office：公司内部员工使用", EN: "office: used by the company's own staff"}
	shop := policy.Text{ZH: "shop：面向境内公众的服务", EN: "shop: a service to the public in mainland China"}
	return []step{
		{
			title: policy.Text{ZH: "内部应用，不含个人信息", EN: "An internal app, nothing personal in the prompt"},
			app:   "office", who: office, key: officeKey, model: "gpt-4o",
			prompt: policy.Text{ZH: "请把三个会议要点写成一段话：预算、排期、验收。", EN: "Turn three meeting points into a paragraph: budget, schedule, acceptance."},
			sent:   policy.Text{ZH: "三个会议要点，请写成一段话", EN: "three meeting points, to be made into a paragraph"},
			point:  policy.Text{ZH: "没有个人信息，内部使用可以去境外的 Azure，但附带义务。", EN: "Nothing personal in it: internal use may go to Azure abroad, with duties."},
			status: 200, verdict: "allow_with_duties", target: "sweden/practice", place: "SE",
		},
		{
			title: policy.Text{ZH: "同一应用，提示词里有一个身份证号", EN: "The same app, with a resident identity number in the prompt"},
			app:   "office", who: office, key: officeKey, model: "gpt-4o", secret: residentID,
			prompt: policy.Text{ZH: "请给新同事写一封入职通知，身份证号 " + residentID + "。", EN: "Write a welcome letter to a new colleague, resident identity number " + residentID + "."},
			sent:   policy.Text{ZH: "入职通知，身份证号 " + maskedID + "（虚构）", EN: "a welcome letter, resident identity number " + maskedID + " (made up)"},
			point: policy.Text{ZH: "有了个人信息，严格口径不让它到境外的模型；路由中的下一个目标在境内，由它作答。应用不用改。",
				EN: "With personal information in it, the strict profile lets it reach no model abroad; the route's next target is at home and answers. The app need not change."},
			status: 200, verdict: "allow", target: "china/practice", place: "CN",
			refuses: map[string]string{"sweden/practice": "X"}, found: map[string]int64{"cn_resident_id": 1},
		},
		{
			title: policy.Text{ZH: "面向公众的应用，路由只有境外目标", EN: "An app for the public whose route has only a target abroad"},
			app:   "shop", who: shop, key: shopKey, model: "gpt-4o",
			prompt: policy.Text{ZH: "请写一句商品介绍：保温杯。", EN: "Write one sentence about a product: a vacuum flask."},
			sent:   policy.Text{ZH: "一句商品介绍", EN: "one sentence about a product"},
			point:  policy.Text{ZH: "没有允许的目标：应用得到 403，里面写明规则、条文与做法。什么也没有发出。", EN: "No target is permitted: the app gets a 403 with rule, article and what to do. Nothing was sent."},
			status: 403, verdict: "block", refuses: map[string]string{"usa/practice": "M"},
		},
		{
			title: policy.Text{ZH: "照做之后：同一应用，改用已备案的境内模型（流式）", EN: "The cure: the same app, a filed domestic model (streamed)"},
			app:   "shop", who: shop, key: shopKey, model: "gpt-4o-mini", stream: true,
			prompt: policy.Text{ZH: "请写一句商品介绍：保温杯。", EN: "Write one sentence about a product: a vacuum flask."},
			sent:   policy.Text{ZH: "同一句商品介绍", EN: "the same sentence about a product"},
			point:  policy.Text{ZH: "换了目标就可以，附带公示模型名称与备案号的义务。", EN: "With another target it may go, with the duty to show the model's name and filing number."},
			status: 200, verdict: "allow_with_duties", target: "china/practice", place: "CN",
		},
	}
}

// withChecksum appends the check character of a resident identity number (GB 11643-1999, ISO 7064 MOD 11-2).
func withChecksum(d string) string {
	sum, weight := 0, [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	for i := range weight {
		sum += int(d[i]-'0') * weight[i]
	}
	return d + string("10X98765432"[sum%11])
}
