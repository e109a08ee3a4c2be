package main

import "errors"

type tourCmd struct{}

func (tourCmd) Run(e *env) error { return errors.New("tour") }
