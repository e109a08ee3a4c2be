package practice

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strconv"
)

// Bounds and default of /v1/embeddings, after the OpenAI API: 2,048 inputs; 1,536 dimensions unless asked otherwise.
const (
	maxInputs         = 2048
	defaultDimensions = 1536
	maxDimensions     = 4096
)

type embeddingRequest struct {
	Input          prompts `json:"input"`
	Dimensions     *int    `json:"dimensions"`
	EncodingFormat string  `json:"encoding_format"`
}

type embeddingShape struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or base64 of little-endian float32
}

// embeddings answers /v1/embeddings with unit vectors, by hashes of the input's pairs of characters.
func (u *upstream) embeddings(c *call) error {
	var req embeddingRequest
	if err := decode(c.body, &req); err != nil {
		return err
	}
	if len(req.Input) == 0 || len(req.Input) > maxInputs {
		return invalid("input", "input 应有 1 到 2048 项；input must have 1 to 2048 items")
	}
	dimensions := defaultDimensions
	if req.Dimensions != nil {
		dimensions = *req.Dimensions
	}
	if dimensions < 1 || dimensions > maxDimensions {
		return invalid("dimensions", "dimensions 应在 1 到 4096 之间；dimensions must be between 1 and 4096")
	}
	if f := req.EncodingFormat; f != "" && f != "float" && f != "base64" {
		return invalid("encoding_format", "应为 float 或 base64；must be float or base64")
	}
	cmd, err := parseCommands(req.Input[0].text)
	if err != nil {
		return err
	}
	if err := u.wait(c, cmd, false); err != nil {
		return err
	}
	data := make([]embeddingShape, len(req.Input))
	use := &usageShape{}
	for i, in := range req.Input {
		if in.empty() {
			return invalid("input["+strconv.Itoa(i)+"]", "输入不可为空；an input must not be empty")
		}
		use.PromptTokens += in.tokens()
		v := vector(in, dimensions)
		data[i] = embeddingShape{Object: "embedding", Index: i, Embedding: v}
		if req.EncodingFormat == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			data[i].Embedding = base64.StdEncoding.EncodeToString(raw)
		}
	}
	use.TotalTokens = use.PromptTokens
	return write(c, cmd, encode(struct {
		Object string           `json:"object"`
		Data   []embeddingShape `json:"data"`
		Model  string           `json:"model"`
		Usage  any              `json:"usage"`
	}{"list", data, Model, struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	}{use.PromptTokens, use.TotalTokens}}))
}

// vector is a unit vector of d dimensions: each pair of neighbouring characters (or token ids) adds 1 or -1 at a place given
// by its hash, so that texts that share words lie near each other and a retrieval demo finds what it should.
func vector(p prompt, d int) []float32 {
	units := p.ids
	for _, r := range p.text {
		units = append(units, uint64(r))
	}
	sum := make([]float64, d)
	before := uint64(0)
	for _, unit := range units {
		h := fnv.New64a()
		var pair [16]byte
		binary.LittleEndian.PutUint64(pair[:8], before)
		binary.LittleEndian.PutUint64(pair[8:], unit)
		h.Write(pair[:])
		x := h.Sum64()
		x ^= x >> 29 // the low bits of FNV alone are weak
		sum[x%uint64(d)] += 1 - 2*float64(x>>63)
		before = unit
	}
	norm := 0.0
	for _, x := range sum {
		norm += x * x
	}
	if norm == 0 { // every pair cancelled out, as may happen in few dimensions
		sum[0], norm = 1, 1
	}
	out := make([]float32, d)
	for i, x := range sum {
		out[i] = float32(x / math.Sqrt(norm))
	}
	return out
}
