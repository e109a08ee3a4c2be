package guard

import "net/netip"

// Range is the kind of address range an address lies in.
type Range uint8

// The kinds. Only Global may be dialled without the operator's word; see never and private for the rest.
const (
	Invalid       Range = iota // not an address, or one with a zone
	Global                     // global unicast
	Unspecified                // 0.0.0.0/8, ::
	Loopback                   // 127/8, ::1
	PrivateUse                 // RFC 1918, fc00::/7
	Shared                     // 100.64/10, RFC 6598
	LinkLocal                  // 169.254/16, fe80::/10
	Metadata                   // a cloud platform's own service address
	Multicast                  // 224/4, ff00::/8
	Reserved                   // 240/4 and IPv6 space that is not allotted for global unicast
	Special                    // documentation, benchmarking, protocol assignments
	Translated                 // NAT64, 6to4, Teredo and the like: an IPv4 address in disguise
	numberOfRange              // keep last
)

var rangeNames = [numberOfRange]string{
	"invalid", "global", "unspecified", "loopback", "private", "shared", "link_local", "metadata",
	"multicast", "reserved", "special", "translated",
}

// String gives the kind's name, for example "link_local".
func (r Range) String() string {
	if r >= numberOfRange {
		return "invalid"
	}
	return rangeNames[r]
}

// never reports the kinds no configuration can permit: no provider is reached there, and the metadata
// services of cloud platforms, which hand out credentials, are.
func (r Range) never() bool {
	switch r {
	case Invalid, Unspecified, LinkLocal, Metadata, Multicast:
		return true
	}
	return false
}

// private reports the kinds that Private permits.
func (r Range) private() bool {
	return r == Loopback || r == PrivateUse || r == Shared
}

type rangeRow struct {
	prefix netip.Prefix
	kind   Range
}

func row(prefix string, kind Range) rangeRow { return rangeRow{netip.MustParsePrefix(prefix), kind} }

// rows4 and rows6 are read from top to bottom; the first prefix that holds the address names it.
// Sources: the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890 and its updates); metadata
// addresses from the platforms' own documentation.
var rows4 = []rangeRow{
	row("169.254.0.0/16", LinkLocal),    // AWS, Azure, GCP 169.254.169.254; Tencent Cloud 169.254.0.23; Volcengine 169.254.*
	row("100.100.100.200/32", Metadata), // Alibaba Cloud; lies inside 100.64/10
	row("168.63.129.16/32", Metadata),   // Azure's platform address (WireServer); publicly numbered
	row("192.0.0.192/32", Metadata),     // Oracle Cloud, older form
	row("0.0.0.0/8", Unspecified),
	row("127.0.0.0/8", Loopback),
	row("10.0.0.0/8", PrivateUse),
	row("172.16.0.0/12", PrivateUse),
	row("192.168.0.0/16", PrivateUse),
	row("100.64.0.0/10", Shared),
	row("192.0.0.0/24", Special),
	row("192.0.2.0/24", Special),
	row("198.18.0.0/15", Special), // benchmarking; also the fake addresses of local proxies
	row("198.51.100.0/24", Special),
	row("203.0.113.0/24", Special),
	row("192.88.99.0/24", Translated), // 6to4 relays, RFC 7526
	row("224.0.0.0/4", Multicast),
	row("240.0.0.0/4", Reserved), // with 255.255.255.255
}

var rows6 = []rangeRow{
	row("::/128", Unspecified),
	row("::1/128", Loopback),
	row("fe80::/10", LinkLocal),
	row("fec0::/10", LinkLocal),             // site-local, RFC 3879
	row("fd00:ec2::254/128", Metadata),      // AWS
	row("fd20:ce::254/128", Metadata),       // GCP
	row("fd00:c1::a9fe:a9fe/128", Metadata), // Oracle Cloud
	row("fc00::/7", PrivateUse),
	row("ff00::/8", Multicast),
	row("::/96", Translated),           // IPv4-compatible, RFC 4291
	row("::ffff:0:0/96", Translated),   // IPv4-mapped; unmapped before we come here
	row("::ffff:0:0:0/96", Translated), // IPv4-translated, RFC 2765
	row("64:ff9b::/96", Translated),
	row("64:ff9b:1::/48", Translated),
	row("2002::/16", Translated),
	row("2001::/32", Translated), // Teredo
	row("2001::/23", Special),
	row("2001:db8::/32", Special),
	row("3fff::/20", Special),
	row("2000::/3", Global), // the only IPv6 space allotted for global unicast
	row("::/0", Reserved),
}

// Classify names the kind of range an address lies in. IPv4-mapped addresses are judged as IPv4. An
// address with a zone is Invalid: zones belong to link-local scope.
func Classify(a netip.Addr) Range {
	if !a.IsValid() || a.Zone() != "" {
		return Invalid
	}
	a = a.Unmap()
	rows := rows6
	if a.Is4() {
		rows = rows4
	}
	for _, r := range rows {
		if r.prefix.Contains(a) {
			return r.kind
		}
	}
	return Global
}
