// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/pflag"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
)

// TestDurableLanesComeToTheRouteTable from a configuration file; flags leave them
// as they are.
func TestDurableLanesComeToTheRouteTable(t *testing.T) {
	dir := testutil.Dir(t)
	file := filepath.Join(dir, "skybusd.yaml")
	text := "domain: 1000\nrelay_key: 1\nhost: east\nlisten: ':7'\ninsecure: true\npeers: [{name: west, address: 'h:1'}]\n" +
		"durable: [{from: '*', to: 0.0.3.9, dir: msgs}, {from: 0.0.1.1, to: 0.0.3.9, mode: async, dir: /d}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var table route.Table
	table.Key = 1
	for _, args := range [][]string{{"--config", file}, {"-k", "1000", "--relay-key", "1", "--host", "east", "--listen", ":7", "--peer", "west=h:1", "--insecure"}} {
		var f flags
		f.add(pflag.NewFlagSet("skybusd", pflag.ContinueOnError))
		if err := f.set.Parse(args); err != nil {
			t.Fatal(err)
		}
		s, err := f.settings()
		if err != nil {
			t.Fatal(err)
		}
		change, err := s.routes()
		if err == nil {
			err = change(&table)
		}
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		want := []route.Durable{
			{To: addr.Exact(0x309), Dir: filepath.Join(dir, "msgs")},
			{From: addr.Exact(0x101), To: addr.Exact(0x309), Mode: route.Async, Dir: "/d"},
		}
		if !slices.Equal(table.Durable, want) {
			t.Errorf("%q: %+v, want %+v", args, table.Durable, want)
		}
	}
}
