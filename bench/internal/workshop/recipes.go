// SPDX-License-Identifier: Apache-2.0

package workshop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrNotWanted means that the caller asked to go without.
var ErrNotWanted = errors.New("not wanted")

var recipes = map[string]func(context.Context, *Shop) (Program, error){
	"skybus":          skybus,
	"skybus-relay":    skybusRelay,
	"ring":            cpp("yardstick", "ring", "", ""),
	"futexpp":         cpp("yardstick", "futexpp", "", ""),
	"zeromq":          cpp("peers/zeromq", "zeromq", "zmq.h", "libzmq3-dev", "-lzmq"),
	"nng":             cpp("peers/nng", "nng", "nng/nng.h", "libnng-dev", "-lnng"),
	"gosock":          gosock,
	"services":        services,
	"skybus-services": skybusServices,
	"skybus-node":     skybusNode,
	"skybus-hosts":    skybusHosts,
	"grpc":            grpc,
	"shmipc":          shmipc,
	"nats":            nats,
	"aeron":           aeron,
	"iceoryx2":        iceoryx2,

	"gate-skybus":  loaded(skybusGate),
	"gate-epoll":   loaded(cpp("yardstick", "epoll", "", "")),
	"gate-go":      loaded(goLoop),
	"gate-netpoll": loaded(netpoll),
	"gate-gnet":    loaded(beside("gnet")),
	"idle-skybus":  idle(skybusGate),
	"idle-go":      idle(goLoop),
	"idle-netpoll": idle(netpoll),
	"idle-gnet":    idle(beside("gnet")),
}

// skybus is the product: built from the directory above, or where the caller has it.
func skybus(ctx context.Context, s *Shop) (Program, error) {
	p := Program{Ours: true, Version: "this checkout"}
	switch s.Skybus {
	case "none":
		return p, fmt.Errorf("-skybus none: %w", ErrNotWanted)
	case "":
		binary := s.out("bin", "skybus")
		s.say("building cmd/skybus")
		if _, err := s.run(ctx, filepath.Dir(s.Root), nil, "go", "build", "-o", binary, "./cmd/skybus"); err != nil {
			return p, err
		}
		p.Command = []string{binary}
	default:
		path, err := filepath.Abs(s.Skybus)
		if err != nil {
			return p, err
		}
		if _, err := exec.LookPath(path); err != nil {
			return p, fmt.Errorf("run the skybus binary: %w", err)
		}
		p.Command, p.Version = []string{path}, "a given binary"
	}
	return p, nil
}

// skybusRelay is the product with the daemon beside it, which is where it looks for one.
func skybusRelay(ctx context.Context, s *Shop) (Program, error) {
	p, err := skybus(ctx, s)
	if err != nil {
		return p, err
	}
	daemon := filepath.Join(filepath.Dir(p.Command[0]), "skybusd")
	if s.Skybus == "" {
		s.say("building cmd/skybusd")
		if _, err := s.run(ctx, filepath.Dir(s.Root), nil, "go", "build", "-o", daemon, "./cmd/skybusd"); err != nil {
			return p, err
		}
	}
	if _, err := exec.LookPath(daemon); err != nil {
		return p, fmt.Errorf("run the daemon, which belongs next to the skybus binary: %w", err)
	}
	return p, nil
}

// cpp builds one C++ file of this module. A header, if given, comes from a Debian package.
func cpp(dir, name, header, pkg string, libraries ...string) func(context.Context, *Shop) (Program, error) {
	return func(ctx context.Context, s *Shop) (p Program, err error) {
		if err := s.need(ctx, "g++", "g++"); err != nil {
			return p, err
		}
		if header != "" {
			if err := s.needHeader(ctx, header, pkg); err != nil {
				return p, err
			}
		}
		binary, source := s.out("bin", name), s.source(dir, name+".cpp")
		headers, err := filepath.Glob(s.source(dir, "*.hpp"))
		if err != nil {
			return p, err
		}
		headers = append(headers, s.source("peers/common/peer.hpp"), s.source("yardstick/lane.hpp"))
		if !fresh(binary, append(headers, source)...) {
			s.say("building %s", name)
			args := append([]string{"g++", "-std=c++20", "-O3", "-o", binary, source}, libraries...)
			if _, err := s.run(ctx, s.Root, nil, args...); err != nil {
				return p, err
			}
		}
		p.Command = []string{binary}
		p.Version, err = cppVersion(ctx, s, pkg)
		return p, err
	}
}

// cppVersion names the library, or the compiler where there is none.
func cppVersion(ctx context.Context, s *Shop, pkg string) (string, error) {
	if pkg == "" {
		v, err := s.run(ctx, s.Root, nil, "g++", "-dumpfullversion")
		return "g++ " + v + " -O3", err
	}
	v, err := s.run(ctx, s.Root, nil, "dpkg-query", "-W", "-f", "${Version}", pkg)
	if err != nil {
		return pkg, nil // not Debian: the library is there, its version is unknown
	}
	return pkg + " " + v, nil
}

func gosock(ctx context.Context, s *Shop) (p Program, err error) {
	binary := s.out("bin", "gosock")
	if _, err := s.run(ctx, s.Root, nil, "go", "build", "-o", binary, "./peers/gosock"); err != nil {
		return p, err
	}
	p.Command = []string{binary}
	p.Version, err = s.run(ctx, s.Root, nil, "go", "env", "GOVERSION")
	return p, err
}

// services is a program of this module like gosock, with the frameworks that it requires.
func services(ctx context.Context, s *Shop) (p Program, err error) {
	binary := s.out("bin", "services")
	s.say("building the services' program")
	if _, err := s.run(ctx, s.Root, nil, "go", "build", "-o", binary, "./peers/services"); err != nil {
		return p, err
	}
	p.Command = []string{binary}
	version, err := s.run(ctx, s.Root, nil, "go", "env", "GOVERSION")
	if err != nil {
		return p, err
	}
	protoActor, err := find(s.source("go.mod"), `protoactor-go (v\S+)`)
	p.Version = version + ", protoactor-go " + protoActor
	return p, err
}

// skybusServices is package actor below the cases of internal/services: a library of this checkout, whatever
// binary is given.
func skybusServices(ctx context.Context, s *Shop) (p Program, err error) {
	if s.Skybus == "none" {
		return p, fmt.Errorf("-skybus none: %w", ErrNotWanted)
	}
	if p, err = s.goModule(ctx, "skybus"); err != nil {
		return p, err
	}
	p.Version = "package actor of this checkout"
	return p, nil
}

// skybusNode is package node of this checkout, as skybusServices is package actor.
func skybusNode(ctx context.Context, s *Shop) (p Program, err error) {
	if s.Skybus == "none" {
		return p, fmt.Errorf("-skybus none: %w", ErrNotWanted)
	}
	if p, err = s.goModule(ctx, "node"); err != nil {
		return p, err
	}
	p.Version = "packages node and rpc of this checkout"
	return p, nil
}

// skybusHosts is skybusNode with the daemon that goes between its processes.
func skybusHosts(ctx context.Context, s *Shop) (Program, error) {
	daemon, err := skybusRelay(ctx, s)
	if err != nil {
		return Program{}, err
	}
	p, err := skybusNode(ctx, s)
	p.Command = append(p.Command, "hosts", filepath.Join(filepath.Dir(daemon.Command[0]), "skybusd"))
	p.Version += ", daemons of " + daemon.Version
	return p, err
}

func grpc(ctx context.Context, s *Shop) (p Program, err error) {
	if p, err = s.goModule(ctx, "grpc"); err != nil {
		return p, err
	}
	p.Version, err = find(s.source("peers", "grpc", "go.mod"), `google.golang.org/grpc (v\S+)`)
	return p, err
}

func shmipc(ctx context.Context, s *Shop) (p Program, err error) {
	if p, err = s.goModule(ctx, "shmipc"); err != nil {
		return p, err
	}
	p.Version, err = find(s.source("peers", "shmipc", "go.mod"), `shmipc-go (v\S+)`)
	return p, err
}

func nats(ctx context.Context, s *Shop) (p Program, err error) {
	if p, err = s.goModule(ctx, "nats"); err != nil {
		return p, err
	}
	mod := s.source("peers", "nats", "go.mod")
	server, err := find(mod, `nats-server/v2 (v\S+)`)
	if err != nil {
		return p, err
	}
	client, err := find(mod, `nats\.go (v\S+)`)
	p.Version = "nats-server " + server + ", nats.go " + client
	return p, err
}

// goModule builds a peer that is a module of its own.
func (s *Shop) goModule(ctx context.Context, name string) (p Program, err error) {
	binary := s.out("bin", name)
	s.say("building %s's program", name)
	if _, err := s.run(ctx, s.source("peers", name), nil, "go", "build", "-o", binary, "."); err != nil {
		return p, err
	}
	p.Command = []string{binary}
	return p, nil
}

func aeron(ctx context.Context, s *Shop) (p Program, err error) {
	if err := s.need(ctx, "javac", "default-jdk-headless"); err != nil {
		return p, err
	}
	dir := s.source("peers", "aeron")
	version, err := find(filepath.Join(dir, "pom.xml"), `<artifactId>aeron-all</artifactId>\s*<version>([^<]+)`)
	if err != nil {
		return p, err
	}
	lib, classes := s.out("aeron", "lib"), s.out("aeron", "classes")
	jar := filepath.Join(lib, "aeron-all-"+version+".jar")
	if !fresh(jar) {
		if err := s.need(ctx, "mvn", "maven"); err != nil {
			return p, err
		}
		s.say("fetching aeron-all %s", version)
		_, err := s.run(ctx, dir, nil, "mvn", "-q", "-B", "-f", filepath.Join(dir, "pom.xml"),
			"dependency:copy-dependencies", "-DoutputDirectory="+lib)
		if err != nil {
			return p, err
		}
	}
	sources, err := filepath.Glob(filepath.Join(dir, "src", "bench", "*.java"))
	if err != nil {
		return p, err
	}
	if !fresh(filepath.Join(classes, "bench", "Main.class"), sources...) {
		s.say("building Aeron's program")
		if _, err := s.run(ctx, dir, nil, append([]string{"javac", "-cp", jar, "-d", classes}, sources...)...); err != nil {
			return p, err
		}
	}
	p.Command = []string{"java", "--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED", "-XX:+UseParallelGC",
		"-Xmx256m", "-XX:-UsePerfData", "-Dagrona.disable.bounds.checks=true", "-cp", classes + ":" + jar, "bench.Main"}
	java, err := s.run(ctx, dir, nil, "javac", "-version")
	p.Version = "aeron-all " + version + " (Java), " + java
	return p, err
}

func iceoryx2(ctx context.Context, s *Shop) (p Program, err error) {
	// Debian's cargo is too old for this crate, so a missing one is not installed.
	if _, err := exec.LookPath("cargo"); err != nil {
		return p, errors.New("cargo is missing: install a Rust toolchain of 1.89 or later")
	}
	dir, target := s.source("peers", "iceoryx2"), s.out("iceoryx2")
	s.say("building iceoryx2's program (minutes at the first time)")
	env := []string{"CARGO_TARGET_DIR=" + target}
	if _, err := s.run(ctx, dir, env, "cargo", "build", "--release", "--quiet"); err != nil {
		return p, err
	}
	p.Command = []string{filepath.Join(target, "release", "bench-iceoryx2")}
	version, err := find(filepath.Join(dir, "Cargo.toml"), `iceoryx2 = "=([^"]+)"`)
	if err != nil {
		return p, err
	}
	rust, err := s.run(ctx, dir, nil, "rustc", "--version")
	p.Version = version + ", " + strings.Join(strings.Fields(rust)[:2], " ")
	return p, err
}

// find returns what the pattern's group matches in a file.
func find(path, pattern string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s does not match %s", path, pattern)
	}
	return string(m[1]), nil
}
