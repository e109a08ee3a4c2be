package practice

// Instance is instance, for the test that feeds it many schemas.
var Instance = instance
