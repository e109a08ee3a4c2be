package audit

// ReadStorage is Read on any storage.
var ReadStorage = readAll
