package embedpg

import (
	"os"
	"path/filepath"
)

// checkoutOf is the absolute path of the checkout that a Config means.
func checkoutOf(cfg Config) (string, error) {
	if cfg.Checkout != "" {
		return filepath.Abs(cfg.Checkout)
	}
	if dir := checkoutOfProgram(); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	return checkoutAround(dir), err
}

// checkoutOfProgram is the checkout in which this program stands as .sluice/bin/… or bin/…, "" if in none.
func checkoutOfProgram() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return checkoutOfBinary(path)
}

func checkoutOfBinary(path string) string {
	dir, in := filepath.Split(filepath.Dir(path))
	dir = filepath.Clean(dir)
	if in != "bin" {
		return ""
	}
	if filepath.Base(dir) == ".sluice" {
		return filepath.Dir(dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return dir
	}
	return ""
}

// checkoutAround is the nearest directory, from dir upwards, that has a .sluice or a go.mod, else dir itself.
func checkoutAround(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		for _, mark := range []string{".sluice", "go.mod"} {
			if _, err := os.Stat(filepath.Join(at, mark)); err == nil {
				return at
			}
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}
