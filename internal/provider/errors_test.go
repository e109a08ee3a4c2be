package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

func rulesOf(t *testing.T, id string) []provider.ErrorRule {
	t.Helper()
	w, err := provider.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	return w.Errors
}

func nested(code, typ string) string {
	return fmt.Sprintf(`{"error":{"message":"m","type":%q,"param":null,"code":%q}}`, typ, code)
}

func base(code int) string {
	return fmt.Sprintf(`{"choices":null,"base_resp":{"status_code":%d,"status_msg":"m"}}`, code)
}

func flat(code string) string { return fmt.Sprintf(`{"code":%s,"message":"m","data":null}`, code) }

// Every code the provider facts name comes out as its class. Several codes with one class stand in one row.
var errorTable = []struct {
	id     string
	http   int // 0: in a 200
	bodies []string
	class  provider.Class
}{
	{"openai", 401, []string{nested("invalid_api_key", "invalid_request_error")}, provider.ClassAuth},
	{"openai", 403, []string{nested("unsupported_country_region_territory", "request_forbidden")}, provider.ClassRegion},
	{"openai", 404, []string{nested("model_not_found", "invalid_request_error")}, provider.ClassModel},
	{"openai", 400, []string{nested("context_length_exceeded", "invalid_request_error")}, provider.ClassContext},
	{"openai", 400, []string{nested("unsupported_parameter", "invalid_request_error"), nested("unsupported_value", "invalid_request_error")}, provider.ClassBadRequest},
	{"openai", 429, []string{nested("rate_limit_exceeded", "tokens")}, provider.ClassRateLimit},
	{"openai", 429, []string{nested("insufficient_quota", "insufficient_quota")}, provider.ClassBalance},
	{"openai", 500, []string{`{"error":{"message":"m","type":"server_error","param":null,"code":null}}`}, provider.ClassUpstream},

	{"azure-*", 400, []string{nested("content_filter", "")}, provider.ClassSafety},
	{"azure-*", 401, []string{`{"error":{"code":"401","message":"m"}}`}, provider.ClassAuth},
	{"azure-*", 403, []string{nested("AccessDenied", ""), nested("Forbidden", "")}, provider.ClassPermission},
	{"azure-*", 404, []string{nested("DeploymentNotFound", "")}, provider.ClassModel},
	{"azure-*", 400, []string{nested("OperationNotSupported", "")}, provider.ClassBadRequest},
	{"azure-*", 429, []string{nested("429", ""), nested("RateLimitReached", "")}, provider.ClassRateLimit},

	{"dashscope", 400, []string{nested("data_inspection_failed", "data_inspection_failed"), `{"code":"DataInspectionFailed","message":"m","request_id":"r"}`}, provider.ClassSafety},
	{"dashscope", 0, []string{nested("data_inspection_failed", "data_inspection_failed")}, provider.ClassSafety},
	{"dashscope", 400, []string{nested("Arrearage", "Arrearage")}, provider.ClassBalance},
	{"dashscope", 400, []string{nested("invalid_parameter_error", "invalid_request_error")}, provider.ClassBadRequest},
	{"dashscope", 401, []string{nested("invalid_api_key", "invalid_request_error"), `{"code":"InvalidApiKey","message":"m","request_id":"r"}`}, provider.ClassAuth},
	{"dashscope", 403, []string{nested("AccessDenied", ""), nested("Model.AccessDenied", "")}, provider.ClassPermission},
	{"dashscope", 404, []string{nested("model_not_found", ""), nested("ModelNotFound", "")}, provider.ClassModel},
	{"dashscope", 429, []string{nested("Throttling.RateQuota", ""), nested("limit_requests", ""), nested("Throttling.AllocationQuota", ""), nested("insufficient_quota", "insufficient_quota")}, provider.ClassRateLimit},

	{"qianfan", 400, []string{nested("malformed_json", "invalid_request_error"), nested("invalid_messages", ""), nested("invalid_argument", ""), nested("invalid_image_url", ""), nested("invalid_plugin_argument", "")}, provider.ClassBadRequest},
	{"qianfan", 400, []string{nested("characters_too_long", ""), nested("tokens_too_long", "")}, provider.ClassContext},
	{"qianfan", 400, []string{nested("image_url_unsafe", "unsafe_request")}, provider.ClassSafety},
	{"qianfan", 403, []string{nested("system_unsafe", "unsafe_request"), nested("user_setting_unsafe", "unsafe_request"), nested("functions_unsafe", "unsafe_request")}, provider.ClassSafety},
	{"qianfan", 401, []string{nested("invalid_iam_token", ""), nested("invalid_appid", ""), nested("missing_authorization", "")}, provider.ClassAuth},
	{"qianfan", 401, []string{nested("invalid_model", "invalid_request_error")}, provider.ClassModel},
	{"qianfan", 400, []string{nested("invalid_model", "invalid_request_error")}, provider.ClassModel},
	{"qianfan", 401, []string{nested("no_parameter_permission", ""), nested("coding_plan_api_key_not_allowed", ""), nested("coding_plan_api_key_required", "")}, provider.ClassPermission},
	{"qianfan", 403, []string{nested("account_overdue", "access_denied")}, provider.ClassBalance},
	{"qianfan", 403, []string{nested("model_offline", "")}, provider.ClassModel},
	{"qianfan", 429, []string{nested("rpm_rate_limit_exceeded", "rate_limit_exceeded"), nested("tpm_rate_limit_exceeded", ""), nested("input_tpm_rate_limit_exceeded", ""), nested("output_tpm_rate_limit_exceeded", ""), nested("user_rate_limit_exceeded", "")}, provider.ClassRateLimit},
	{"qianfan", 429, []string{nested("cluster_rate_limit_exceeded", "rate_limit_exceeded"), nested("cluster_rpm_rate_limit_exceeded", ""), nested("cluster_tpm_rate_limit_exceeded", ""), nested("preemptible_rate_limit_exceeded", ""), nested("Offline_batch_reasoning_refused", "")}, provider.ClassOverload},
	{"qianfan", 500, []string{nested("internal_error", "Internal_error"), nested("dispatch_internal_error", "")}, provider.ClassUpstream},
	{"qianfan", 0, []string{`{"error_code":17,"error_msg":"m"}`}, provider.ClassBalance},
	{"qianfan", 0, []string{`{"error_code":18,"error_msg":"m"}`}, provider.ClassRateLimit},
	{"qianfan", 0, []string{`{"error_code":110,"error_msg":"m"}`}, provider.ClassAuth},
	{"qianfan", 0, []string{`{"error_code":336003,"error_msg":"m"}`}, provider.ClassBadRequest},

	{"zhipu", 401, []string{nested("1000", ""), nested("1001", ""), nested("1003", ""), nested("1005", "")}, provider.ClassAuth},
	{"zhipu", 429, []string{nested("1113", "")}, provider.ClassBalance},
	{"zhipu", 400, []string{nested("1210", ""), nested("1212", ""), nested("1213", ""), nested("1214", ""), nested("1215", "")}, provider.ClassBadRequest},
	{"zhipu", 400, []string{nested("1211", "")}, provider.ClassModel},
	{"zhipu", 403, []string{nested("1220", ""), nested("1311", "")}, provider.ClassPermission},
	{"zhipu", 429, []string{nested("1309", ""), nested("1313", "")}, provider.ClassPermission},
	{"zhipu", 400, []string{nested("1261", "")}, provider.ClassContext},
	{"zhipu", 400, []string{`{"error":{"code":"1301","message":"m"},"contentFilter":[{"role":"user","level":1}]}`}, provider.ClassSafety},
	{"zhipu", 400, []string{`{"error":{"code":"1399","message":"m"},"contentFilter":[{"role":"user","level":0}]}`}, provider.ClassSafety},
	{"zhipu", 429, []string{nested("1302", ""), nested("1303", ""), nested("1305", ""), nested("1312", "")}, provider.ClassRateLimit},
	{"zhipu", 429, []string{nested("1304", ""), nested("1308", ""), nested("1310", "")}, provider.ClassQuotaWindow},
	{"zhipu", 500, []string{nested("500", ""), nested("1200", ""), nested("1234", "")}, provider.ClassUpstream},
	{"zai", 401, []string{nested("1000", ""), nested("1001", ""), nested("1003", ""), nested("1005", "")}, provider.ClassAuth},
	{"zai", 429, []string{nested("1113", "")}, provider.ClassBalance},
	{"zai", 400, []string{nested("1211", "")}, provider.ClassModel},
	{"zai", 429, []string{nested("1302", ""), nested("1305", "")}, provider.ClassRateLimit},

	{"moonshot-*", 400, []string{`{"error":{"type":"content_filter","message":"m"}}`}, provider.ClassSafety},
	{"moonshot-*", 400, []string{`{"error":{"type":"invalid_request_error","message":"m"}}`}, provider.ClassBadRequest},
	{"moonshot-*", 400, []string{`{"error":{"type":"invalid_request_error","message":"Invalid request: Your request exceeded model token limit: 131072"}}`, `{"error":{"type":"invalid_request_error","message":"Input token length too long"}}`}, provider.ClassContext},
	{"moonshot-*", 401, []string{`{"error":{"type":"invalid_authentication_error","message":"m"}}`, `{"error":{"type":"incorrect_api_key_error","message":"m"}}`}, provider.ClassAuth},
	{"moonshot-*", 403, []string{`{"error":{"type":"permission_denied_error","message":"m"}}`}, provider.ClassPermission},
	{"moonshot-*", 404, []string{`{"error":{"type":"resource_not_found_error","message":"m"}}`}, provider.ClassModel},
	{"moonshot-*", 429, []string{`{"error":{"type":"rate_limit_reached_error","message":"m"}}`}, provider.ClassRateLimit},
	{"moonshot-*", 429, []string{`{"error":{"type":"engine_overloaded_error","message":"m"}}`}, provider.ClassOverload},
	{"moonshot-*", 429, []string{`{"error":{"type":"exceeded_current_quota_error","message":"m"}}`}, provider.ClassBalance},
	{"moonshot-*", 500, []string{`{"error":{"type":"server_error","message":"m"}}`}, provider.ClassUpstream},

	{"deepseek", 400, []string{nested("invalid_request_error", "invalid_request_error")}, provider.ClassBadRequest},
	{"deepseek", 401, []string{nested("invalid_request_error", "authentication_error")}, provider.ClassAuth},
	{"deepseek", 402, []string{nested("invalid_request_error", "unknown_error")}, provider.ClassBalance},
	{"deepseek", 422, []string{nested("invalid_request_error", "invalid_request_error")}, provider.ClassBadRequest},
	{"deepseek", 429, []string{nested("", "")}, provider.ClassRateLimit},
	{"deepseek", 500, []string{nested("", "")}, provider.ClassUpstream},
	{"deepseek", 503, []string{nested("", "")}, provider.ClassOverload},

	{"minimax-*", 0, []string{base(1000), base(1013)}, provider.ClassUpstream},
	{"minimax-*", 0, []string{base(1001)}, provider.ClassTimeout},
	{"minimax-*", 0, []string{base(1002), base(1039)}, provider.ClassRateLimit},
	{"minimax-*", 0, []string{base(1004), base(2049)}, provider.ClassAuth},
	{"minimax-*", 401, []string{base(1004)}, provider.ClassAuth},
	{"minimax-*", 0, []string{base(1008)}, provider.ClassBalance},
	{"minimax-*", 0, []string{base(1026), base(1027)}, provider.ClassSafety},
	{"minimax-*", 0, []string{base(2013)}, provider.ClassBadRequest},
	{"minimax-*", 529, []string{`{"type":"error","error":{"type":"overloaded_error","message":"m","http_code":"529"},"request_id":"r"}`}, provider.ClassOverload},

	{"volcengine-ark", 401, []string{nested("AuthenticationError", "Unauthorized")}, provider.ClassAuth},
	{"volcengine-ark", 403, []string{nested("AccountOverdueError", "Forbidden")}, provider.ClassBalance},
	{"volcengine-ark", 403, []string{nested("AccessDenied", "Forbidden")}, provider.ClassPermission},
	{"volcengine-ark", 404, []string{nested("ModelNotOpen", "NotFound")}, provider.ClassPermission},
	{"byteplus-modelark", 404, []string{nested("InvalidEndpointOrModel.NotFound", "NotFound")}, provider.ClassModel},
	{"volcengine-ark", 400, []string{nested("InvalidParameter", ""), nested("MissingParameter", "")}, provider.ClassBadRequest},
	{"volcengine-ark", 400, []string{nested("SensitiveContentDetected", ""), nested("SensitiveContentDetected.SevereViolation", ""), nested("InputTextSensitiveContentDetected", ""), nested("OutputTextSensitiveContentDetected", ""), nested("InputImageSensitiveContentDetected", "")}, provider.ClassSafety},
	{"volcengine-ark", 429, []string{nested("RateLimitExceeded.EndpointRPMExceeded", ""), nested("ModelAccountRpmRateLimitExceeded", ""), nested("ModelAccountTpmRateLimitExceeded", "")}, provider.ClassRateLimit},
	{"volcengine-ark", 429, []string{nested("SetLimitExceeded", ""), nested("QuotaExceeded", ""), nested("AccountRateLimitExceeded", "")}, provider.ClassQuotaWindow},
	{"volcengine-ark", 429, []string{nested("ServerOverloaded", "")}, provider.ClassOverload},
	{"volcengine-ark", 500, []string{nested("InternalServiceError", "")}, provider.ClassUpstream},

	{"tencent-tokenhub", 402, []string{nested("model_disabled", "")}, provider.ClassPermission},
	{"tencent-tokenhub", 401, []string{nested("", "")}, provider.ClassAuth},
	{"tencent-tokenhub", 429, []string{nested("", "")}, provider.ClassRateLimit},
	{"tencent-hunyuan-legacy", 0, []string{`{"Response":{"Error":{"Code":"AuthFailure.SignatureExpire","Message":"m"},"RequestId":"r"}}`}, provider.ClassAuth},
	{"tencent-hunyuan-legacy", 0, []string{`{"ErrorMsg":{"Msg":"m","Code":"RequestLimitExceeded"}}`, `{"Response":{"Error":{"Code":"LimitExceeded"}}}`}, provider.ClassRateLimit},
	{"tencent-hunyuan-legacy", 0, []string{`{"Response":{"Error":{"Code":"FailedOperation.ResourcePackExhausted"}}}`, `{"Response":{"Error":{"Code":"FailedOperation.ServiceNotActivated"}}}`}, provider.ClassBalance},
	{"tencent-hunyuan-legacy", 0, []string{`{"Response":{"Error":{"Code":"OperationDenied.TextIllegalDetected"}}}`, `{"Response":{"Error":{"Code":"OperationDenied.ImageIllegalDetected"}}}`}, provider.ClassSafety},

	{"iflytek-spark", 0, []string{flat("10007"), flat("11202"), flat("11203")}, provider.ClassRateLimit},
	{"iflytek-spark", 0, []string{flat("10013"), flat("10014"), flat("10019"), nested("10013", "")}, provider.ClassSafety},
	{"iflytek-spark", 0, []string{`{"code":10014,"message":"m","sid":"s","choices":[]}`}, provider.ClassSafety},
	{"iflytek-spark", 0, []string{flat("10907")}, provider.ClassContext},
	{"iflytek-spark", 401, []string{flat("11200")}, provider.ClassAuth},
	{"iflytek-spark", 0, []string{flat("11201")}, provider.ClassQuotaWindow},
	{"iflytek-spark", 0, []string{flat("10163")}, provider.ClassBadRequest},

	{"baichuan", 401, []string{nested("", "invalid_api_key"), nested("", "api_key_empty"), nested("", "invalid_authentication")}, provider.ClassAuth},
	{"baichuan", 429, []string{nested("", "insufficient_quota")}, provider.ClassBalance},
	{"baichuan", 400, []string{nested("", "invalid_request_error")}, provider.ClassBadRequest},
	{"baichuan", 429, []string{nested("", "rate_limit_exceeded"), nested("", "rate_limit_rpm")}, provider.ClassRateLimit},
	{"baichuan", 500, []string{nested("", "internal_error")}, provider.ClassUpstream},

	{"stepfun-*", 400, []string{`{"error":{"message":"m","type":"request_params_invalid"}}`}, provider.ClassBadRequest},
	{"stepfun-*", 401, []string{`{"error":{"message":"m","type":"invalid_api_key"}}`}, provider.ClassAuth},
	{"stepfun-*", 402, []string{`{"error":{"message":"m","type":"quota_exceeded"}}`}, provider.ClassBalance},
	{"stepfun-*", 429, []string{`{"error":{"message":"m","type":"rate_limited"}}`}, provider.ClassRateLimit},
	{"stepfun-*", 451, []string{`{"error":{"message":"m","type":"censorship_blocked"}}`}, provider.ClassSafety},
	{"stepfun-*", 503, []string{`{"error":{"message":"m","type":"overloaded"}}`}, provider.ClassOverload},

	{"siliconflow-*", 400, []string{flat("20012")}, provider.ClassModel},
	{"siliconflow-*", 400, []string{flat("20015")}, provider.ClassBadRequest},
	{"siliconflow-*", 401, []string{`"Invalid token"`, flat("30014"), "Invalid token"}, provider.ClassAuth},
	{"siliconflow-*", 403, []string{flat("30001"), flat("30011")}, provider.ClassBalance},
	{"siliconflow-*", 403, []string{flat("30003")}, provider.ClassPermission},
	{"siliconflow-*", 404, []string{`"404 page not found"`}, provider.ClassModel},
	{"siliconflow-*", 429, []string{`{"message":"Request was rejected due to rate limiting: TPM limit reached.","data":null}`}, provider.ClassRateLimit},
	{"siliconflow-*", 503, []string{flat("50505")}, provider.ClassOverload},
	{"siliconflow-*", 504, []string{`"Gateway Timeout"`}, provider.ClassTimeout},

	{"xiaomi-mimo", 400, []string{nested("400", "")}, provider.ClassBadRequest},
	{"xiaomi-mimo", 401, []string{nested("401", "")}, provider.ClassAuth},
	{"xiaomi-mimo", 402, []string{nested("402", "")}, provider.ClassBalance},
	{"xiaomi-mimo", 403, []string{nested("403", "")}, provider.ClassRegion},
	{"xiaomi-mimo", 404, []string{nested("404", "")}, provider.ClassBadRequest},
	{"xiaomi-mimo", 429, []string{nested("429", "")}, provider.ClassRateLimit},

	{"meituan-longcat", 400, []string{nested("invalid_parameter", "invalid_request_error"), nested("invalid_json", "invalid_request_error")}, provider.ClassBadRequest},
	{"meituan-longcat", 401, []string{nested("invalid_api_key", "authentication_error")}, provider.ClassAuth},
	{"meituan-longcat", 402, []string{nested("", "")}, provider.ClassBalance},
	{"meituan-longcat", 403, []string{nested("insufficient_quota", "permission_error")}, provider.ClassBalance},
	{"meituan-longcat", 429, []string{nested("rate_limit_exceeded", "rate_limit_error")}, provider.ClassRateLimit},
	{"meituan-longcat", 500, []string{nested("internal_error", "server_error")}, provider.ClassUpstream},

	{"ollama", 404, []string{`{"error":"model \"x\" not found, try pulling it first"}`, `{"error":{"message":"m","type":"api_error","param":null,"code":null}}`}, provider.ClassModel},
	{"ollama", 400, []string{`{"error":"m"}`}, provider.ClassBadRequest},
	{"ollama", 500, []string{`{"error":"m"}`}, provider.ClassUpstream},
	{"ollama", 502, []string{`{"error":"m"}`}, provider.ClassUpstream},
	{"vllm", 400, []string{`{"error":{"message":"m","type":"BadRequestError","param":null,"code":400}}`}, provider.ClassBadRequest},
	{"vllm", 400, []string{`{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}`}, provider.ClassContext},
	{"vllm", 401, []string{`{"error":"Unauthorized"}`}, provider.ClassAuth},
	{"vllm", 404, []string{`{"error":{"message":"m","type":"NotFoundError","param":null,"code":404}}`}, provider.ClassModel},
	{"sglang", 400, []string{`{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}`}, provider.ClassBadRequest},
	{"sglang", 0, []string{`{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}`}, provider.ClassBadRequest},
	{"llama-cpp", 503, []string{`{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`}, provider.ClassOverload},
	{"llama-cpp", 400, []string{`{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}`}, provider.ClassContext},
	{"llama-cpp", 401, []string{`{"error":{"code":401,"message":"m","type":"authentication_error"}}`}, provider.ClassAuth},
	{"llama-cpp", 501, []string{`{"error":{"code":501,"message":"m","type":"not_supported_error"}}`}, provider.ClassBadRequest},
	{"lm-studio", 400, []string{`{"error":"m"}`, `{"error":{"message":"m"}}`}, provider.ClassBadRequest},
	{"xinference", 400, []string{`{"detail":"m"}`, `{"detail":[{"loc":["body"],"msg":"m","type":"missing"}]}`}, provider.ClassBadRequest},
	{"xinference", 404, []string{`{"detail":"m"}`}, provider.ClassModel},
	{"xinference", 500, []string{`{"detail":"m"}`}, provider.ClassUpstream},
	{"localai", 401, []string{`{"error":{"code":401,"message":"m","type":"","param":null}}`}, provider.ClassAuth},
	{"localai", 404, []string{`{"error":{"code":404,"message":"m","type":""}}`}, provider.ClassModel},
	{"localai", 409, []string{`{"error":{"code":409,"message":"m","type":""}}`}, provider.ClassBadRequest},
	{"localai", 422, []string{`{"error":{"code":"422","message":"m","type":""}}`}, provider.ClassBadRequest},
	{"localai", 500, []string{`{"error":{"code":500,"message":"m","type":""}}`}, provider.ClassUpstream},
	{"localai", 503, []string{`{"error":{"code":503,"message":"m","type":""}}`}, provider.ClassOverload},
	{"gemini", 400, []string{`{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`}, provider.ClassRegion},
	{"gemini", 0, []string{`[{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}]`}, provider.ClassRegion},
	{"custom", 500, []string{"", "<html>Bad gateway</html>"}, provider.ClassUpstream},
	{"custom", 504, []string{""}, provider.ClassTimeout},
}

var statusOf = map[provider.Class]struct {
	status  int
	code    string
	noRetry bool
}{
	provider.ClassAuth:        {502, "upstream_auth", true},
	provider.ClassPermission:  {403, "upstream_permission", true},
	provider.ClassRegion:      {403, "unsupported_country_region_territory", true},
	provider.ClassBalance:     {429, "insufficient_quota", true},
	provider.ClassRateLimit:   {429, "rate_limit_exceeded", false},
	provider.ClassQuotaWindow: {429, "rate_limit_exceeded", true},
	provider.ClassSafety:      {400, "content_filter", true},
	provider.ClassContext:     {400, "context_length_exceeded", true},
	provider.ClassModel:       {404, "model_not_found", true},
	provider.ClassBadRequest:  {400, "*", true},
	provider.ClassOverload:    {503, "upstream_overload", false},
	provider.ClassUpstream:    {502, "upstream_error", false},
	provider.ClassTimeout:     {504, "upstream_timeout", false},
	provider.ClassSchema:      {502, "schema_not_met", true},
}

func TestErrorTable(t *testing.T) {
	for _, row := range errorTable {
		ids := []string{row.id}
		if stem, ok := strings.CutSuffix(row.id, "*"); ok {
			ids = nil
			for _, id := range provider.IDs() {
				if strings.HasPrefix(id, stem) {
					ids = append(ids, id)
				}
			}
			if len(ids) != 2 {
				t.Fatalf("%s: %v", row.id, ids)
			}
		}
		for _, id := range ids {
			rules := rulesOf(t, id)
			for _, body := range row.bodies {
				var e *openai.Error
				var class provider.Class
				if row.http != 0 {
					e, class = provider.ClassifyError(rules, row.http, http.Header{}, []byte(body))
				} else {
					// A failure in a 200: as a whole body, as the first event, by a look at its first bytes.
					a := provider.NewAnswer(nil, rules, provider.AnswerOptions{})
					_, e = a.Body([]byte(body))
					class = a.Class()
					s := provider.NewAnswer(nil, rules, provider.AnswerOptions{Stream: true})
					if _, _, _, err := s.Event("", []byte(body)); err == nil || s.Class() != class {
						t.Errorf("%s: event %s is %q, body %q", id, body, s.Class(), class)
					}
					p := provider.NewAnswer(nil, rules, provider.AnswerOptions{})
					if err := p.Peek([]byte(body)); err == nil || p.Class() != class {
						t.Errorf("%s: peek %s is %q, body %q", id, body, p.Class(), class)
					}
				}
				if class != row.class || e == nil {
					t.Errorf("%s: %d %s is %q, want %q", id, row.http, body, class, row.class)
					continue
				}
				want := statusOf[class]
				if e.Status != want.status || e.NoRetry != want.noRetry || want.code != "*" && e.Code != want.code {
					t.Errorf("%s: %s answers %d %q noretry=%v", id, class, e.Status, e.Code, e.NoRetry)
				}
				var doc struct {
					Error struct {
						Message, Type string
						Homeport      struct{ Upstream struct{ Class string } }
					}
				}
				if err := json.Unmarshal(e.AppendJSON(nil), &doc); err != nil || doc.Error.Message == "" || doc.Error.Type == "" || doc.Error.Homeport.Upstream.Class != string(class) {
					t.Errorf("%s: envelope %s: %v", id, e.AppendJSON(nil), err)
				}
			}
		}
	}
}

// Every row of every catalog entry has a class, and the table above reaches every provider that has rows.
func TestErrorRulesReached(t *testing.T) {
	for _, id := range provider.IDs() {
		reached := false
		for _, row := range errorTable {
			stem, wild := strings.CutSuffix(row.id, "*")
			reached = reached || row.id == id || wild && strings.HasPrefix(id, stem)
		}
		rules := rulesOf(t, id)
		for _, r := range rules {
			if !r.Class.Valid() {
				t.Errorf("%s: class %q", id, r.Class)
			}
		}
		if len(rules) > 0 && !reached {
			t.Errorf("%s has error rules and no test", id)
		}
	}
}

func TestClassRouting(t *testing.T) {
	for class := range statusOf {
		if class.Retryable() && !class.Fallback() {
			t.Errorf("%s: may be retried but not fall back", class)
		}
	}
	for _, c := range []provider.Class{provider.ClassSafety, provider.ClassContext, provider.ClassBadRequest, provider.ClassSchema} {
		if c.Fallback() || c.Retryable() {
			t.Errorf("%s must stay where it is", c)
		}
	}
	for _, c := range []provider.Class{provider.ClassAuth, provider.ClassBalance, provider.ClassQuotaWindow, provider.ClassModel} {
		if c.Retryable() || !c.Fallback() {
			t.Errorf("%s: another target, not the same", c)
		}
	}
	if provider.UpstreamFailure(provider.ClassTimeout).Status != 504 {
		t.Error("timeout")
	}
}

// What an upstream writes into its message reaches the client cut and redacted, and only where it helps; a log line never.
func TestUpstreamWords(t *testing.T) {
	long := strings.Repeat("长", 1000)
	body := fmt.Sprintf(`{"error":{"message":"bad value at http://10.0.0.8:9000/x with sk-abcdef0123456789 on node7.svc.cluster.local\n\u0007 key aB3dE6gH9jK2mN5pQ8sT1 %s","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}`, long)
	e, class := provider.ClassifyError(nil, 400, nil, []byte(body))
	if class != provider.ClassBadRequest || e.Param != "temperature" || e.Code != "invalid_value" {
		t.Errorf("%s %q %q", class, e.Param, e.Code)
	}
	for _, bad := range []string{"10.0.0.8", "sk-abc", "cluster", "aB3dE6gH9jK2mN5pQ8sT1", "\n", "\a"} {
		if strings.Contains(e.Message, bad) {
			t.Errorf("the message holds %q", bad)
		}
	}
	if n := len([]rune(e.Message)); n > 400 || !strings.Contains(e.Message, "bad value at") {
		t.Errorf("the message has %d characters", n)
	}
	if strings.Contains(e.Error(), "bad value") {
		t.Error("the log line quotes the upstream")
	}
	for _, status := range []int{401, 403, 404, 402, 429, 451, 500, 503} {
		e, class := provider.ClassifyError(nil, status, nil, []byte(body))
		if strings.Contains(e.Message, "bad value") {
			t.Errorf("%s tells the upstream's words", class)
		}
	}
	e, _ = provider.ClassifyError(nil, 400, nil, []byte(`{"error":{"message":"m","param":"messages[0].content: 'my secret'","code":"a b"}}`))
	if e.Param != "" || e.Code != "" {
		t.Errorf("param %q code %q are no machine words", e.Param, e.Code)
	}
}

// Azure's filter error keeps its annotations and nothing else of innererror.
func TestAzureInner(t *testing.T) {
	body := `{"error":{"code":"content_filter","message":"The response was filtered","param":"prompt","type":null,"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"violence":{"filtered":true,"severity":"medium"},"jailbreak":{"filtered":false,"detected":false}},"revised_prompt":"x"}}}`
	e, class := provider.ClassifyError(rulesOf(t, "azure-openai"), 400, nil, []byte(body))
	want := `{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"violence":{"filtered":true,"severity":"medium"},"jailbreak":{"filtered":false,"detected":false}}}`
	if class != provider.ClassSafety || e.Param != "prompt" || string(e.Inner) != want {
		t.Errorf("%s %q %s", class, e.Param, e.Inner)
	}
}

func TestRetryAfter(t *testing.T) {
	date := "Sun, 22 Nov 2026 04:00:00 GMT" // 12:00 in Beijing
	for _, c := range []struct {
		header  http.Header
		body    string
		want    time.Duration
		noRetry bool
	}{
		{http.Header{"Retry-After": {"7"}}, nested("1302", ""), 7 * time.Second, false},
		{http.Header{"Retry-After-Ms": {"1500"}, "Retry-After": {"7"}}, nested("1302", ""), 1500 * time.Millisecond, false},
		{http.Header{"Retry-After": {"Sun, 22 Nov 2026 04:00:30 GMT"}, "Date": {date}}, nested("1302", ""), 30 * time.Second, false},
		{http.Header{"Retry-After": {"-5"}}, nested("1302", ""), 0, false},
		{http.Header{"Retry-After": {"1e300"}}, nested("1302", ""), 24 * time.Hour, false},
		{http.Header{"Date": {date}}, `{"error":{"code":"1308","message":"已达到使用上限，将在 2026-11-22 15:00:00 重置"}}`, 3 * time.Hour, true},
		{http.Header{"Retry-After": {"20"}}, nested("1308", ""), 20 * time.Second, false},
		{nil, nested("1308", ""), 0, true},
		{http.Header{"Retry-After": {"7"}}, nested("1113", ""), 0, true},
	} {
		e, _ := provider.ClassifyError(rulesOf(t, "zhipu"), 429, c.header, []byte(c.body))
		if e.RetryAfter != c.want || e.NoRetry != c.noRetry {
			t.Errorf("%v %s: retry after %v, no retry %v", c.header, c.body, e.RetryAfter, e.NoRetry)
		}
	}
}
