package registry_test

import (
	"testing"

	"homeport/registry"
)

func TestFamilyOf(t *testing.T) {
	r, err := registry.Load("ollama")
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]string{
		"qwen3:8b": "qwen", "Qwen/Qwen3-8B": "qwen", "deepseek-r1:32b": "deepseek", "deepseek-ai/DeepSeek-V4-Pro": "deepseek",
		"zai-org/GLM-5.2": "glm", "llama3.3:70b": "llama", "gpt-oss:20b": "gpt-oss", "mistralai/Mixtral-8x22B": "mistral",
		"my-model": "", "": "",
	} {
		if got := r.FamilyOf(model); got != want {
			t.Errorf("%q: family %q, want %q", model, got, want)
		}
	}
}
