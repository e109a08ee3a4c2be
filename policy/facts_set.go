package policy

// AppendSetJSON appends the members, without braces, of the facts that were set on top of the base, in the schema's
// order: what one request adds to what is known of its app and target.
func (f *Facts) AppendSetJSON(dst []byte) []byte {
	first := true
	f.ascending(func(id ID, v *value) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendMember(dst, &f.base.schema.facts[id], *v)
	})
	return dst
}
