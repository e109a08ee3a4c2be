package pii

import (
	"slices"
	"time"
)

const (
	maxDigits = 48 // of one look; what a longer run of pieces has left is looked at again from its next piece
	maxValue  = 19 // digits of the longest value
)

// run is a stretch of digits with single separators: digits with their places, and where each piece begins.
type run struct {
	digit  [maxDigits]byte
	from   [maxDigits]int // byte offset of each digit
	to     [maxDigits]int
	n      int
	pieces [maxDigits]int // index of the first digit of each piece
	np     int
	end    int  // byte offset after the run
	full   bool // the run goes on behind end
}

// read collects the run that begins at i. A final X is not part of it: resident numbers look for theirs themselves.
func (r *run) read(b []byte, i int) {
	r.pieces[0], r.np = 0, 1
	for i < len(b) {
		w := 0
		switch {
		case b[i] >= '0' && b[i] <= '9':
			w = 1
		case isWideDigit(b, i):
			w = 3
		}
		if w > 0 {
			if r.n == maxDigits {
				r.end, r.full = skipDigits(b, i), true
				return
			}
			if w == 1 {
				r.digit[r.n] = b[i] - '0'
			} else {
				r.digit[r.n] = b[i+2] - 0x90
			}
			r.from[r.n], r.to[r.n] = i, i+w
			r.n++
			i += w
			continue
		}
		s, real := separator(b, i)
		if s == 0 || i+s >= len(b) || !(b[i+s] >= '0' && b[i+s] <= '9' || isWideDigit(b, i+s)) {
			break
		}
		if real && r.n < maxDigits {
			r.pieces[r.np] = r.n
			r.np++
		}
		i += s
	}
	r.end = i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// separator returns the width of a separator at i that may stand between digits; real is false for characters nobody sees.
func separator(b []byte, i int) (width int, real bool) {
	switch b[i] {
	case ' ', '-', '.', '/':
		return 1, true
	case 0xE2: // U+200B..200D, U+2060; U+2010..2015 dashes
		if i+2 < len(b) && b[i+1] == 0x80 && b[i+2] >= 0x8B && b[i+2] <= 0x8D {
			return 3, false
		}
		if i+2 < len(b) && b[i+1] == 0x81 && b[i+2] == 0xA0 {
			return 3, false
		}
		if i+2 < len(b) && b[i+1] == 0x80 && b[i+2] >= 0x90 && b[i+2] <= 0x95 {
			return 3, true
		}
	case 0xEF: // U+FEFF, full-width hyphen U+FF0D
		if i+2 < len(b) && b[i+1] == 0xBB && b[i+2] == 0xBF {
			return 3, false
		}
		if i+2 < len(b) && b[i+1] == 0xBC && b[i+2] == 0x8D {
			return 3, true
		}
	case 0xC2: // soft hyphen, no-break space, middle dot
		if i+1 < len(b) && b[i+1] == 0xAD {
			return 2, false
		}
		if i+1 < len(b) && (b[i+1] == 0xA0 || b[i+1] == 0xB7) {
			return 2, true
		}
	}
	return 0, false
}

// numbers finds values in the run of digits at i and returns where to go on. Joins of pieces are tried longest first.
func numbers(dst []Finding, b []byte, i int) ([]Finding, int) {
	// Most digits in prose and code are short: look before collecting.
	j := i
	for j < len(b) && b[j] >= '0' && b[j] <= '9' {
		j++
	}
	if j-i < 11 && (j == len(b) || classes[b[j]] == skip && !maySeparate(b[j])) {
		return dst, max(j, i+1)
	}
	var r run
	r.read(b, i)
	if r.n < 11 {
		return dst, max(r.end, i+1)
	}
	for p := 0; p < r.np; {
		if r.full && p > 0 && r.n-r.pieces[p] < maxValue {
			return dst, r.from[r.pieces[p]] // a value that begins here may go on behind what was collected
		}
		took := 0
		for q := r.np; q > p; q-- {
			lo, hi := r.pieces[p], r.n
			if q < r.np {
				hi = r.pieces[q]
			}
			if f, ok := r.value(b, lo, hi); ok {
				dst = append(dst, f)
				took = q - p
				break
			}
		}
		p += max(took, 1)
	}
	return dst, max(r.end, i+1)
}

func maySeparate(c byte) bool {
	return c == ' ' || c == '.' || c == '/' || c == 0xE2 || c == 0xC2
}

// value judges the digits lo..hi as one number.
func (r *run) value(b []byte, lo, hi int) (Finding, bool) {
	n := hi - lo
	if n < 11 || n > maxValue {
		return Finding{}, false
	}
	start, end := r.from[lo], r.to[hi-1]
	if start > 0 && wordByte(b[start-1]) {
		return Finding{}, false
	}
	if lo > 0 && b[start-1] == '.' && r.digit[lo-1] == 0 && (lo == 1 || r.piece(lo-1)) && (r.from[lo-1] == 0 || b[r.from[lo-1]-1] != '.') {
		return Finding{}, false // the places behind 0. are a fraction
	}
	d := r.digit[lo:hi]
	if n == 17 && end < len(b) { // the check character may be X, plain or full-width, perhaps after a separator
		if w := checkX(b, end); w > 0 && (end+w == len(b) || !wordByte(b[end+w])) && residentID(d, 10) {
			return Finding{ResidentID, start, end + w}, true
		}
	}
	if end < len(b) && wordByte(b[end]) {
		return Finding{}, false
	}
	switch {
	case n == 18 && residentID(d[:17], d[17]):
		return Finding{ResidentID, start, end}, true
	case n == 11 && mobile(d):
		return Finding{MobileCN, start, end}, true
	case n == 13 && d[0] == 8 && d[1] == 6 && mobile(d[2:]):
		return Finding{MobileCN, start, end}, true
	case n == 15 && d[0] == 0 && d[1] == 0 && d[2] == 8 && d[3] == 6 && mobile(d[4:]):
		return Finding{MobileCN, start, end}, true
	case n >= 14 && bankCard(d):
		return Finding{BankCard, start, end}, true
	}
	return Finding{}, false
}

// piece reports whether the digit at index i begins a piece.
func (r *run) piece(i int) bool { return slices.Contains(r.pieces[:r.np], i) }

func checkX(b []byte, i int) int {
	if s, _ := separator(b, i); s > 0 {
		if i+s < len(b) && (b[i+s] == 'X' || b[i+s] == 'x') {
			return s + 1
		}
		return 0
	}
	if b[i] == 'X' || b[i] == 'x' {
		return 1
	}
	if i+2 < len(b) && b[i] == 0xEF && (b[i+1] == 0xBC && b[i+2] == 0xB8 || b[i+1] == 0xBD && b[i+2] == 0x98) {
		return 3
	}
	return 0
}

// residentID checks a resident identity number (GB 11643-1999): province, a real date since 1900, ISO 7064 MOD 11-2.
// check is 0-9, or 10 for X.
func residentID(d []byte, check byte) bool {
	sum := 0
	for i, w := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(d[i]) * w
	}
	if [11]byte{1, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2}[sum%11] != check {
		return false
	}
	switch p := int(d[0])*10 + int(d[1]); {
	case p >= 11 && p <= 15, p >= 21 && p <= 23, p >= 31 && p <= 37, p >= 41 && p <= 46, p >= 50 && p <= 54,
		p >= 61 && p <= 65, p == 71, p >= 81 && p <= 83:
	default:
		return false
	}
	y := int(d[6])*1000 + int(d[7])*100 + int(d[8])*10 + int(d[9])
	m := int(d[10])*10 + int(d[11])
	day := int(d[12])*10 + int(d[13])
	if y < 1900 || y > 2100 || m < 1 || m > 12 || day < 1 {
		return false
	}
	return day <= time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// mobile checks a mainland mobile number: eleven digits, 13 to 19 first.
func mobile(d []byte) bool { return d[0] == 1 && d[1] >= 3 && d[1] <= 9 }

// bankCard checks Luhn (ISO/IEC 7812) and an issuer prefix with a length that goes with it.
func bankCard(d []byte) bool {
	n := len(d)
	p2 := int(d[0])*10 + int(d[1])
	p4 := p2*100 + int(d[2])*10 + int(d[3])
	switch {
	case p2 == 62 && n >= 16:
	case d[0] == 4 && n == 16:
	case (p2 >= 51 && p2 <= 55 || p4 >= 2221 && p4 <= 2720) && n == 16:
	case (p2 == 34 || p2 == 37) && n == 15:
	case p2 == 35 && n == 16:
	case (p2 == 36 || p2 == 38) && n == 14:
	default:
		return false
	}
	sum, same := 0, true
	for i := range n {
		v := int(d[n-1-i])
		same = same && d[i] == d[0]
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0 && !same
}
