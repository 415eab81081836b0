package fetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const canary = "ds_CANARY"
	secret := Secret(canary)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %v %q %#v %+v %x", secret, secret, secret, secret, struct{ K Secret }{secret}, secret)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", secret, "in", struct{ K Secret }{secret})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", secret, "in", map[string]any{"k": secret})
	if err := json.NewEncoder(&out).Encode(struct{ Key Secret }{secret}.Key); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret is in %s", out.String())
	}
	if secret.Reveal() != canary {
		t.Error("the secret is lost")
	}
}
