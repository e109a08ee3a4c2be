// Package httpx holds what Homeport's two listeners share: request framing that cannot be read in two ways, certificates
// that are read again when their files change, and orderly shutdown. It knows nothing of models, policy or evidence.
package httpx
