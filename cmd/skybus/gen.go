// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/rpc/gen"
)

func newGenCommand(a *app) *cobra.Command {
	var cfg gen.Config
	cmd := &cobra.Command{
		Use:   "gen [DIR]",
		Short: "Write stubs and dispatchers of interfaces for remote calls",
		Long: `gen reads the Go package in DIR, or here, and writes a file with a stub and a
dispatcher for each interface: for package rpc, which calls objects in other
services and processes. Below go generate it takes the interfaces of the file
that has the directive:

  //go:generate skybus gen --type Account

Methods are (ctx, args...) (results..., error); ctx may be left out. A method
without results is one-way; one that returns (iter.Seq2[T, error], error)
streams. One that cannot be called from elsewhere is an error at its line.

The file is written if it changes.`,
		Example: "  skybus gen --type Account,Bank --out bank_rpc.go ./bank",
		Args:    takes(0, 1, "[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				cfg.Dir = args[0]
			} else if len(cfg.Types) == 0 || cfg.Out == "" {
				cfg.File = os.Getenv("GOFILE")
			}
			return a.generate(cmd, &cfg)
		},
	}
	f := cmd.Flags()
	f.StringSliceVarP(&cfg.Types, "type", "t", nil, "`NAMES` of the interfaces (default all of the file, or of the package)")
	f.StringVarP(&cfg.Out, "out", "o", "", "`FILE` to write in DIR (default made of the file or the first type; - is the output)")
	return cmd
}

func (a *app) generate(cmd *cobra.Command, cfg *gen.Config) error {
	toOutput := cfg.Out == "-"
	if toOutput {
		cfg.Out = ""
	}
	src, err := gen.Generate(cmd.Context(), *cfg)
	if err != nil {
		return err
	}
	if toOutput {
		_, err := cmd.OutOrStdout().Write(src)
		return err
	}
	path := filepath.Join(cfg.Dir, cfg.Name())
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, src) {
		return nil
	}
	if err := os.WriteFile(path, src, 0o644); err != nil { //nolint:gosec // it is source
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
