// SPDX-License-Identifier: Apache-2.0

package workshop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

type recipe = func(context.Context, *Shop) (Program, error)

// loaded is the load of the area gate, for one server.
func loaded(server recipe) recipe {
	load := cpp("load", "gateload", "", "")
	return func(ctx context.Context, s *Shop) (Program, error) {
		p, err := server(ctx, s)
		if err != nil {
			return p, err
		}
		l, err := load(ctx, s)
		if err != nil {
			return p, err
		}
		p.Command = append(l.Command, "--server", p.Command[0])
		return p, nil
	}
}

// idle is the load that does nothing, for one server.
func idle(server recipe) recipe {
	return func(ctx context.Context, s *Shop) (Program, error) {
		p, err := server(ctx, s)
		if err != nil {
			return p, err
		}
		binary := s.out("bin", "idle")
		if _, err := s.run(ctx, s.Root, nil, "go", "build", "-o", binary, "./load/idle"); err != nil {
			return p, err
		}
		p.Command = []string{binary, p.Command[0]}
		return p, nil
	}
}

// skybusGate is package gate of this checkout, as skybusNode is package node.
func skybusGate(ctx context.Context, s *Shop) (p Program, err error) {
	if s.Skybus == "none" {
		return p, fmt.Errorf("-skybus none: %w", ErrNotWanted)
	}
	if p, err = s.goModule(ctx, "gate"); err != nil {
		return p, err
	}
	p.Version = "package gate of this checkout"
	return p, nil
}

// goLoop is a program of this module like gosock.
func goLoop(ctx context.Context, s *Shop) (p Program, err error) {
	binary := s.out("bin", "goloop")
	if _, err := s.run(ctx, s.Root, nil, "go", "build", "-o", binary, "./peers/goloop"); err != nil {
		return p, err
	}
	p.Command = []string{binary}
	p.Version, err = s.run(ctx, s.Root, nil, "go", "env", "GOVERSION")
	return p, err
}

func netpoll(ctx context.Context, s *Shop) (p Program, err error) {
	if p, err = s.goModule(ctx, "netpoll"); err != nil {
		return p, err
	}
	p.Version, err = find(s.source("peers", "netpoll", "go.mod"), `cloudwego/netpoll (v\S+)`)
	return p, err
}

// beside is a server that is no part of this project and that nothing here builds. The environment says where it is.
func beside(name string) recipe {
	return func(context.Context, *Shop) (Program, error) {
		variable := "BENCH_" + strings.ToUpper(name)
		path := os.Getenv(variable)
		if path == "" {
			return Program{}, fmt.Errorf("measured beside the runner: %s names a server (bench/README.md)", variable)
		}
		if _, err := exec.LookPath(path); err != nil {
			return Program{}, fmt.Errorf("run %s, which %s names: %w", path, variable, err)
		}
		return Program{Command: []string{path}, Version: "a given binary"}, nil
	}
}
