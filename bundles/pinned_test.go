package bundles

import "testing"

func TestEitherOfTwoPinnedKeysIsTrustedUnasked(t *testing.T) {
	var keys [3]PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = GenerateKey(nil); err != nil {
			t.Fatal(err)
		}
	}
	was := pinned
	t.Cleanup(func() { pinned = was })
	pinned = [2]string{keys[0].Public().String(), keys[1].Public().String()}
	trusted, err := TrustedKeys(nil)
	if err != nil || len(trusted) != 2 {
		t.Fatal(trusted, err)
	}
	m := sampleManifest(t)
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		sig, err := Sign(raw, key, Claim{Release: m.Release, File: ManifestName})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(raw, sig, trusted, Want{})
		if (err == nil) != (i < 2) || (got != nil) != (i < 2) {
			t.Errorf("key %d: %v", i, err)
		}
	}
	given, err := TrustedKeys([]string{keys[2].Public().String()})
	if err != nil || len(given) != 3 {
		t.Error("a given key does not stand beside the pinned ones: ", given, err)
	}
}
