package main

import "homeport/internal/config"

// schemaCmd prints the JSON Schema of homeport.yaml, the same as docs/homeport.schema.json.
type schemaCmd struct{}

// Run writes the schema.
func (schemaCmd) Run(e *env) error {
	b, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(b)
	return err
}
