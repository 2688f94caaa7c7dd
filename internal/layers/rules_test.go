// SPDX-License-Identifier: Apache-2.0

package layers

const module = "github.com/skybus-io/skybus"

// floors lists the packages of each floor by their directories. A package
// imports packages of lower floors only. "dir/..." stands for all packages
// below dir; those of one command or example (one directory below dir) may
// import each other. Packages that do not exist yet do no harm.
var floors = [][]string{
	0: {"addr", "internal/sys", "internal/invariant", "internal/wheel"},
	1: {"ring", "relay/wire", "gate/frame", "gate/queue", "gate/sock", "actor", "actor/internal/mailbench", "share", "node/envelope", "names"},
	2: {"shm", "relay/link", "actor/actortest", "cluster/namestest"},
	3: {"channel", "route", "names/host", "gate/vault"},
	4: {"."},
	5: {"gate/client", "relay", "cluster", "cluster/report", "internal/tbusxml", "internal/certs", "share/files", "node/codec"},
	6: {"gate/entry", "gate/dial", "node", "node/codec/protobuf", "relay/hosts", "cluster/clustertest", "cluster/internal/store", "cluster/etcd/etcdtest"},
	7: {"rpc", "node/nodetest", "cluster/local", "cluster/etcd"},
	8: {"conn", "gate", "console", "rpc/gen", "rpc/rpctest", "cluster/member", "cluster/engine"},
	9: {"cmd/...", "examples/..."},
}

// testSupport lists packages that tests of every floor may import, and nothing
// else may. They import no package of the module.
var testSupport = []string{"internal/testutil", "internal/killtest", "internal/layers", "internal/netlab"}

// leanFloor is the highest floor that depends on nothing but the standard
// library and golang.org/x/sys.
const leanFloor = 4

// mapsMemory lists the packages that may import unsafe, in files named
// *_unsafe.go or *_unsafe_test.go.
var mapsMemory = []string{"internal/sys", "shm", "ring", "channel"}

// callsSystem lists the packages that may import syscall and golang.org/x/sys.
// Commands need them for the names of signals, tests to kill.
var callsSystem = []string{"internal/sys", "internal/killtest", "internal/netlab", "cmd/..."}

// pure lists packages and what they must not import; "net/..." stands for net
// and all below it.
var pure = map[string][]string{
	"ring":             {"os/...", "time", "net/...", "syscall/..."},
	"relay/wire":       {"net/...", "os/...", "time"},
	"relay/link":       {"net/...", "os/...", "time"},
	"node/envelope":    {"net/...", "os/...", "time"},
	"gate/frame":       {"net/...", "os/...", "time"},
	"internal/tbusxml": {"net/...", "os/...", "time"},
}

// license is what the first line of a file says, after the mark of a comment.
const license = "SPDX-License-Identifier: Apache-2.0"

// licensed lists, by extension or by name, the files that begin with the
// license line; beside them scripts without an extension do. A script has it
// below its "#!" line.
var licensed = []string{
	".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".s", ".py", ".sh", ".bash", ".mk", ".yml", ".yaml", ".proto",
	"Makefile", "Dockerfile",
}
