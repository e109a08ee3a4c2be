package registry

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Micro is a decimal number with six places, held as an integer: 1.25 is 1_250_000. Prices are micro-units of
// currency per million tokens.
type Micro int64

// ParseMicro reads a plain decimal number exactly: no sign, no exponent, six decimal places at most, no float on the
// way.
func ParseMicro(s string) (Micro, error) {
	whole, frac, dot := strings.Cut(s, ".")
	if len(frac) > 6 {
		return 0, fmt.Errorf("number %q has more than six decimal places", s)
	}
	n, err := strconv.ParseUint(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 62)
	if err != nil || whole == "" || dot && frac == "" {
		return 0, fmt.Errorf("%q is not a plain decimal number", s)
	}
	return Micro(n), nil
}

// UnmarshalYAML reads the number as it is written in the file.
func (m *Micro) UnmarshalYAML(node ast.Node) error {
	tok := node.GetToken()
	n, err := ParseMicro(tok.Value)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: tok}
	}
	*m = n
	return nil
}

// String prints the number without trailing zeros.
func (m Micro) String() string {
	s := fmt.Sprintf("%d.%06d", int64(m)/1e6, int64(m)%1e6)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON writes the number as a JSON number.
func (m Micro) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// Price is what a model costs per million tokens. A nil part is unknown, never free.
type Price struct {
	Currency    string       `yaml:"currency" json:"currency"` // ISO 4217
	Unit        string       `yaml:"unit" json:"unit"`         // per_1m_tokens, or unknown
	Input       *Micro       `yaml:"input" json:"input"`
	Output      *Micro       `yaml:"output" json:"output"`
	CachedInput *Micro       `yaml:"cached_input" json:"cached_input"`
	LowestTier  bool         `yaml:"lowest_tier" json:"lowest_tier,omitempty"` // the vendor prices by input length; longer input costs more than this
	LongContext *LongContext `yaml:"long_context" json:"long_context,omitempty"`
	Peak        *Peak        `yaml:"peak" json:"peak,omitempty"`

	rate    Micro // CNY per unit of Currency; 0 is unknown
	settled bool  // At was asked: peak below is the answer
	atPeak  bool
}

// LongContext is the price of a request whose input is longer than AboveInputTokens: factors on, or prices instead
// of, the normal ones.
type LongContext struct {
	AboveInputTokens int64  `yaml:"above_input_tokens" json:"above_input_tokens"`
	Scope            string `yaml:"scope" json:"scope,omitempty"` // whole request
	InputFactor      *Micro `yaml:"input_factor" json:"input_factor,omitempty"`
	OutputFactor     *Micro `yaml:"output_factor" json:"output_factor,omitempty"`
	Input            *Micro `yaml:"input" json:"input,omitempty"`
	Output           *Micro `yaml:"output" json:"output,omitempty"`
	CachedInput      *Micro `yaml:"cached_input" json:"cached_input,omitempty"`
}

// Peak is a factor on all parts in windows of the day (UTC, end exclusive), Monday to Friday.
type Peak struct {
	WindowsUTC []string `yaml:"windows_utc" json:"windows_utc"` // HH:MM-HH:MM
	Days       Text     `yaml:"days" json:"days"`
	Factor     Micro    `yaml:"factor" json:"factor"`
}

// At returns the price as it is at a moment. Chinese public holidays, which some vendors count as off-peak, are not
// in this data: they are counted like any other day, so the result is never too low.
func (p Price) At(t time.Time) Price {
	p.settled, p.atPeak = true, p.Peak != nil && p.Peak.covers(t)
	return p
}

// MicroCNY returns what a request costs in micro-CNY, rounded up once. in counts all input tokens, cachedIn those of
// them the provider read from its cache. ok is false when any part that is needed is unknown: a price, the unit, the
// exchange rate. Without [Price.At] a price with a peak is counted at the peak.
func (p Price) MicroCNY(in, out, cachedIn int64) (micro int64, ok bool) {
	if in < 0 || out < 0 || cachedIn < 0 || cachedIn > in || p.Unit != unitTokens || p.rate <= 0 {
		return 0, false
	}
	input, output, cached := p.Input, p.Output, p.CachedInput
	one := Micro(1_000_000)
	inF, outF, all := one, one, one
	if lc := p.LongContext; lc != nil && in > lc.AboveInputTokens {
		if lc.Input != nil || lc.Output != nil {
			input, output, cached = lc.Input, lc.Output, lc.CachedInput
		}
		if lc.InputFactor != nil {
			inF = *lc.InputFactor
		}
		if lc.OutputFactor != nil {
			outF = *lc.OutputFactor
		}
	}
	if p.Peak != nil && (p.atPeak || !p.settled) {
		all = p.Peak.Factor
	}
	var sum, term big.Int
	for _, part := range []struct {
		tokens int64
		price  *Micro
		factor Micro
	}{{in - cachedIn, input, inF}, {cachedIn, cached, inF}, {out, output, outF}} {
		if part.tokens == 0 {
			continue // a part that does not occur need not be known
		}
		if part.price == nil {
			return 0, false
		}
		term.SetInt64(part.tokens)
		term.Mul(&term, big.NewInt(int64(*part.price)))
		term.Mul(&term, big.NewInt(int64(part.factor)))
		sum.Add(&sum, &term)
	}
	sum.Mul(&sum, big.NewInt(int64(all)))
	sum.Mul(&sum, big.NewInt(int64(p.rate)))
	// Four scales of a million are in the product: per million tokens, factor, peak factor, rate.
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)
	rest := new(big.Int)
	sum.QuoRem(&sum, scale, rest)
	if rest.Sign() > 0 {
		sum.Add(&sum, big.NewInt(1))
	}
	if !sum.IsInt64() {
		return 0, false
	}
	return sum.Int64(), true
}

// MicroCNYAtMost is MicroCNY for a reservation, or where the cached price is unknown: nothing is taken as cached.
func (p Price) MicroCNYAtMost(in, out int64) (micro int64, ok bool) { return p.MicroCNY(in, out, 0) }

// InCNY reports whether a chat or completion on this price can be counted in CNY at all: input and output price,
// unit and exchange rate are known.
func (p Price) InCNY() bool {
	return p.Unit == unitTokens && p.rate > 0 && p.Input != nil && p.Output != nil
}

const unitTokens = "per_1m_tokens"

func (p *Price) check() string {
	switch {
	case p.Currency != "CNY" && p.Currency != "USD":
		return fmt.Sprintf("unknown currency %q", p.Currency)
	case p.Unit != unitTokens && p.Unit != "unknown":
		return fmt.Sprintf("unknown unit %q", p.Unit)
	}
	if lc := p.LongContext; lc != nil {
		absolute, factors := lc.Input != nil && lc.Output != nil, lc.InputFactor != nil && lc.OutputFactor != nil
		if lc.AboveInputTokens <= 0 || absolute == factors {
			return "long_context needs above_input_tokens and either prices or factors"
		}
	}
	if pk := p.Peak; pk != nil {
		if pk.Factor < 1_000_000 || len(pk.WindowsUTC) == 0 {
			return "peak needs windows and a factor of at least 1"
		}
		for _, w := range pk.WindowsUTC {
			if from, to, ok := window(w); !ok || from >= to {
				return fmt.Sprintf("peak window %q is not HH:MM-HH:MM", w)
			}
		}
	}
	return ""
}

func (p *Peak) covers(t time.Time) bool {
	t = t.UTC()
	if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		return false
	}
	now := t.Hour()*60 + t.Minute()
	for _, w := range p.WindowsUTC {
		if from, to, ok := window(w); ok && now >= from && now < to {
			return true
		}
	}
	return false
}

// window reads HH:MM-HH:MM into minutes of the day.
func window(s string) (from, to int, ok bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, false
	}
	ta, errA := time.Parse("15:04", a)
	tb, errB := time.Parse("15:04", b)
	return ta.Hour()*60 + ta.Minute(), tb.Hour()*60 + tb.Minute(), errA == nil && errB == nil
}

// Rate is an exchange rate with the day and the place it was read.
type Rate struct {
	Pair     string `yaml:"pair" json:"pair"` // USD/CNY: CNY per USD
	Rate     Micro  `yaml:"rate" json:"rate"`
	AsOf     string `yaml:"as_of" json:"as_of"`
	Source   string `yaml:"source" json:"source"`
	Verified bool   `yaml:"verified" json:"verified"`
}

const ratesFile = "data/rates.yaml"

func (r *Registry) loadRates() ([]Rate, error) {
	var doc struct {
		AsOf  string `yaml:"as_of"`
		Rates []Rate `yaml:"rates"`
	}
	data, err := decode(r.fsys, ratesFile, &doc)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, x := range doc.Rates {
		if seen[x.Pair] || x.Rate <= 0 || x.Source == "" || !days.MatchString(x.AsOf) {
			return nil, at(ratesFile, data, fmt.Sprintf("$.rates[%d].pair", i), "rate %q is listed twice or lacks rate, source or as_of", x.Pair)
		}
		seen[x.Pair] = true
	}
	return doc.Rates, nil
}

// Rates returns the exchange rates in the data. A currency without one has no CNY value.
func (r *Registry) Rates() []Rate {
	rates, _ := r.rates()
	return rates
}

// rate is the value of one unit of a currency in CNY; 0 is unknown.
func (r *Registry) rate(currency string) Micro {
	if currency == "CNY" {
		return 1_000_000
	}
	for _, x := range r.Rates() {
		if x.Pair == currency+"/CNY" {
			return x.Rate
		}
	}
	return 0
}
