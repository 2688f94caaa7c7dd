// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

// A Config says what to generate. The zero Config takes all interfaces of the package in the current folder.
type Config struct {
	Dir   string   // of the package; empty: the current one
	File  string   // whose interfaces are taken where Types is empty, as $GOFILE; empty: all of the package
	Out   string   // file to be written, in Dir; empty: see Name
	Types []string // names of interfaces, in the order that the output has
}

// rpcPath is the package that generated code uses.
const rpcPath = "github.com/skybus-io/skybus/rpc"

// Name returns the file that the output belongs in: Out, or made of File, or of the first type.
func (cfg *Config) Name() string {
	if cfg.Out != "" {
		return cfg.Out
	}
	name := strings.TrimSuffix(cfg.File, ".go")
	if name == "" {
		name = "rpc"
		if len(cfg.Types) > 0 {
			name = strings.ToLower(cfg.Types[0])
		}
	}
	if base, ok := strings.CutSuffix(name, "_test"); ok {
		return base + "_rpc_test.go"
	}
	return name + "_rpc.go"
}

// Generate returns the source of the stubs and dispatchers. The error joins all that is wrong with the interfaces, each as
// file:line:column: what.
func Generate(ctx context.Context, cfg Config) ([]byte, error) {
	cfg.Dir = cmp.Or(cfg.Dir, ".")
	p, err := load(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	list, err := p.interfaces(&cfg)
	if err != nil {
		return nil, err
	}
	var errs []error
	var all []*iface
	for _, obj := range list {
		i, err := p.describe(obj)
		errs = append(errs, err)
		all = append(all, i)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p.write(all)
}

// interfaces returns those that are asked for.
func (p *pkg) interfaces(cfg *Config) ([]*types.TypeName, error) {
	scope := p.types.Scope()
	var list []*types.TypeName
	for _, name := range cfg.Types {
		obj, ok := scope.Lookup(name).(*types.TypeName)
		if !ok {
			return nil, fmt.Errorf("package %s has no type %s", p.types.Name(), name)
		}
		if !types.IsInterface(obj.Type()) {
			return nil, fmt.Errorf("%s: %s is no interface", p.at(obj), name)
		}
		if !slices.Contains(list, obj) {
			list = append(list, obj)
		}
	}
	if len(cfg.Types) > 0 {
		return list, nil
	}
	for _, name := range scope.Names() {
		obj, ok := scope.Lookup(name).(*types.TypeName)
		if ok && types.IsInterface(obj.Type()) && (cfg.File == "" || filepath.Base(p.fset.Position(obj.Pos()).Filename) == cfg.File) {
			list = append(list, obj)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no interface", cmp.Or(cfg.File, "package "+p.types.Name()))
	}
	return list, nil
}
