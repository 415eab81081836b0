package main

import "sluice/fetch/apisim"

// dataset is what a simulator serves, and what a table must hold when it was read.
type dataset struct {
	events int64
	skew   float64 // share of the events inside one hour
	truth  apisim.Sum
}

// know works out the truth of a data set.
func know(events int64, skew float64) (dataset, error) {
	config, err := apisim.Profile(apisim.Unlimited)
	if err != nil {
		return dataset{}, err
	}
	config.Events, config.SkewShare = events, skew
	data, err := apisim.NewData(config)
	if err != nil {
		return dataset{}, err
	}
	return dataset{events, skew, data.Truth(apisim.Past, apisim.Future)}, nil
}
