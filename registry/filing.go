package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Filing is a number of the CAC's list that covers a provider's models, as we read it.
type Filing struct {
	Number   string   `yaml:"number" json:"number"`
	Covers   []string `yaml:"covers" json:"covers"` // globs over model ids; * is the only special character
	Hosts    []string `yaml:"hosts" json:"hosts,omitempty"`
	Note     Text     `yaml:"note" json:"note,omitzero"`
	Source   string   `yaml:"source" json:"source"`
	Verified bool     `yaml:"verified" json:"verified"` // false: one source only; check before display
}

// FilingRecord is a row of filings.csv: the national lists of filings and registrations, in part.
type FilingRecord struct {
	NameZh     string `json:"name_zh"`
	NameEn     string `json:"name_en,omitempty"`
	OperatorZh string `json:"operator_zh"`
	OperatorEn string `json:"operator_en,omitempty"`
	Province   string `json:"province"`
	Number     string `json:"filing_no"` // as the CAC prints it; empty: unreadable in the copy read
	FiledOn    string `json:"filed_on"`  // YYYY-MM-DD, as printed; not the date inside the number
	Announced  string `json:"announced"` // day or month
	Kind       string `json:"kind"`      // filing (a model) or registration (an application)
	ProviderID string `json:"provider_id,omitempty"`
	Source     string `json:"source"`
	Verified   bool   `json:"verified"`
}

// FilingFor returns the filing that covers a model at an entry's first endpoint, most specific glob first. False
// means that no number in this data clearly belongs to the model: unknown, never "not filed".
func (r *Registry) FilingFor(providerID, model string) (Filing, bool) {
	return r.FilingAt(providerID, "", model)
}

// FilingAt is FilingFor at an address: the filing of a domestic service does not carry over to the same brand's
// hosts abroad.
func (r *Registry) FilingAt(providerID, baseURL, model string) (Filing, bool) {
	t, _ := r.Target(providerID, baseURL, model, "")
	return t.Filing, t.FilingKnown
}

func (p *Provider) filingAt(e *Endpoint, model string) (Filing, bool) {
	best, literal := -1, -1
	for i, f := range p.Filings {
		if len(f.Hosts) > 0 && !slices.Contains(f.Hosts, e.Host) {
			continue
		}
		if n, ok := bestGlob(f.Covers, model); ok && n > literal {
			best, literal = i, n
		}
	}
	if best < 0 {
		return Filing{}, false
	}
	return p.Filings[best], true
}

// checkFilings returns the YAML path of the first fault and what it is; empty when there is none.
func (p *Provider) checkFilings() (path, msg string) {
	var numbers []string
	for i, f := range p.Filings {
		path := fmt.Sprintf("$.filings[%d].", i)
		switch {
		case f.Number == "":
			return path + "number", "a filing without a number is left out"
		case slices.Contains(numbers, f.Number):
			return path + "number", fmt.Sprintf("filing %s listed twice", f.Number)
		case len(f.Covers) == 0 || slices.Contains(f.Covers, ""):
			return path + "number", fmt.Sprintf("filing %s covers nothing", f.Number)
		case slices.Contains(f.Covers, "*"):
			return path + "covers", fmt.Sprintf("filing %s covers everything", f.Number)
		case f.Source == "":
			return path + "number", fmt.Sprintf("filing %s has no source", f.Number)
		}
		for _, h := range f.Hosts {
			if !slices.Contains(p.Hosts, h) {
				return path + "hosts", fmt.Sprintf("host %q is not an endpoint", h)
			}
		}
		numbers = append(numbers, f.Number)
	}
	return "", ""
}

type filingIndex struct {
	all      []FilingRecord
	byNumber map[string]int // lower-case number → index in all
}

// Filings returns every row of the filing data, in the order of the lists. The data are a part of the national
// lists: a name that is missing here may well be filed.
func (r *Registry) Filings() []FilingRecord {
	idx, err := r.filings()
	if err != nil {
		return nil
	}
	return slices.Clone(idx.all)
}

// FilingByNumber returns the row with this number; letter case does not count.
func (r *Registry) FilingByNumber(number string) (FilingRecord, bool) {
	idx, err := r.filings()
	if err != nil {
		return FilingRecord{}, false
	}
	i, ok := idx.byNumber[strings.ToLower(number)]
	if !ok {
		return FilingRecord{}, false
	}
	return idx.all[i], true
}

const filingsFile = "data/filings.csv"

var (
	filingColumns = []string{"name_zh", "name_en", "operator_zh", "operator_en", "province", "filing_no", "filed_on",
		"announced", "kind", "provider_id", "source", "verified"}
	filingNumber = regexp.MustCompile(`^[A-Za-z]+-.+-(\d{8}|\d{12}|\d{14}|\d{8}S\d{4})$`)
)

func (r *Registry) loadFilings() (*filingIndex, error) {
	data, err := fs.ReadFile(r.fsys, filingsFile)
	if err != nil {
		return nil, &DataError{File: filingsFile, Msg: err.Error()}
	}
	in := csv.NewReader(bytes.NewReader(data))
	in.FieldsPerRecord = len(filingColumns)
	head, err := in.Read()
	if err != nil {
		return nil, &DataError{File: filingsFile, Line: 1, Msg: err.Error()}
	}
	if !slices.Equal(head, filingColumns) {
		return nil, &DataError{File: filingsFile, Line: 1, Msg: "columns differ from " + strings.Join(filingColumns, ",")}
	}
	idx := &filingIndex{byNumber: map[string]int{}}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return idx, nil
		}
		if err != nil {
			var pe *csv.ParseError
			e := &DataError{File: filingsFile, Msg: err.Error()}
			if errors.As(err, &pe) {
				e.Line = pe.Line
			}
			return nil, e
		}
		line, _ := in.FieldPos(0)
		f := FilingRecord{NameZh: row[0], NameEn: row[1], OperatorZh: row[2], OperatorEn: row[3], Province: row[4],
			Number: row[5], FiledOn: row[6], Announced: row[7], Kind: row[8], ProviderID: row[9], Source: row[10]}
		if f.Verified, err = strconv.ParseBool(row[11]); err != nil {
			return nil, &DataError{File: filingsFile, Line: line, Msg: "verified is neither true nor false"}
		}
		switch key := strings.ToLower(f.Number); {
		case f.Kind != "filing" && f.Kind != "registration":
			return nil, &DataError{File: filingsFile, Line: line, Msg: fmt.Sprintf("unknown kind %q", f.Kind)}
		case f.NameZh == "" || f.OperatorZh == "" || f.Source == "":
			return nil, &DataError{File: filingsFile, Line: line, Msg: "name_zh, operator_zh and source are required"}
		case f.Number == "":
			if f.Verified {
				return nil, &DataError{File: filingsFile, Line: line, Msg: "verified without a number"}
			}
		case !filingNumber.MatchString(f.Number):
			return nil, &DataError{File: filingsFile, Line: line, Msg: fmt.Sprintf("number %q has another shape", f.Number)}
		default:
			if _, dup := idx.byNumber[key]; dup {
				return nil, &DataError{File: filingsFile, Line: line, Msg: fmt.Sprintf("number %q listed twice", f.Number)}
			}
			idx.byNumber[key] = len(idx.all)
		}
		idx.all = append(idx.all, f)
	}
}

// checkFilingReferences: every number an entry shows is a filing (not an application's registration) in the lists,
// and claims no more than the list's own row.
func (r *Registry) checkFilingReferences() error {
	idx, err := r.filings()
	if err != nil {
		return err
	}
	for _, id := range r.ids {
		p, ok := r.Provider(id)
		if !ok {
			continue
		}
		for i, f := range p.Filings {
			n, ok := idx.byNumber[strings.ToLower(f.Number)]
			msg := ""
			switch {
			case !ok:
				msg = fmt.Sprintf("filing %s is not in filings.csv", f.Number)
			case idx.all[n].Number != f.Number:
				msg = fmt.Sprintf("filing %s is written %s in filings.csv", f.Number, idx.all[n].Number)
			case idx.all[n].Kind != "filing":
				msg = fmt.Sprintf("%s is a registration of an application, not a model's filing", f.Number)
			case f.Verified && !idx.all[n].Verified:
				msg = fmt.Sprintf("filing %s is not verified in filings.csv", f.Number)
			}
			if msg != "" {
				file := "data/providers/" + id + ".yaml"
				data, _ := fs.ReadFile(r.fsys, file)
				return at(file, data, fmt.Sprintf("$.filings[%d].number", i), "%s", msg)
			}
		}
	}
	return nil
}
