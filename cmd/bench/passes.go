package main

import "context"

// measurePasses measures all sections, and all of them again, so that whatever slows the machine for some minutes is in one
// sample of each figure only. A pass that fails leaves the figures that the others have.
func (s *stand) measurePasses(ctx context.Context) (figures []Figure, failed error) {
	var all []Figure
	for n := range s.passes {
		if s.passes > 1 {
			s.say("pass %d of %d", n+1, s.passes)
		}
		measured, err := s.measureAll(ctx)
		all = append(all, measured...)
		if err != nil {
			return medians(all), err
		}
	}
	return medians(all), nil
}

// sameFigure is what the passes have in common.
type sameFigure struct{ section, name, unit, beside string }

// medians makes one figure of those that measure the same, in the order of the first of each. A figure that was measured once
// stays as it is, with the spread that it had within its pass.
func medians(all []Figure) []Figure {
	var order []sameFigure
	passes := map[sameFigure][]Figure{}
	for _, f := range all {
		same := sameFigure{f.Section, f.Name, f.Unit, f.Beside}
		if passes[same] == nil {
			order = append(order, same)
		}
		passes[same] = append(passes[same], f)
	}
	figures := make([]Figure, len(order))
	for i, same := range order {
		figures[i] = medianOf(passes[same])
	}
	return figures
}

func medianOf(passes []Figure) Figure {
	f := passes[0]
	if len(passes) == 1 {
		return f
	}
	var values, ratios Sample
	for _, one := range passes {
		values, ratios = append(values, one.Value), append(ratios, one.Ratio)
	}
	f.Value, f.Spread, f.Ratio = values.median(), values.spread(), ratios.median()
	return f
}
