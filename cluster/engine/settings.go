// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.yaml.in/yaml/v4"

	"github.com/skybus-io/skybus/internal/certs"
)

const (
	quota       = 2 << 30 // bytes: four times what replicas keep of a cluster at most
	compaction  = "5m"
	maxLearners = 4 // two at a time from 1 to 3 and from 3 to 5
)

// alone is the list of a cluster that this host begins.
func (c *Config) alone() []string { return []string{c.Host + "=" + c.url(c.Peer)} }

// initial is the list of members as a server wants it that is in it and has no data yet. It compares addresses,
// and of the names only its own.
func (c *Config) initial(list []*etcdserverpb.Member) (all []string) {
	for _, m := range list {
		for _, at := range m.PeerURLs {
			name := fmt.Sprintf("member-%x", m.ID)
			if at == c.url(c.Peer) { // as it was added
				name = c.Host
			}
			all = append(all, name+"="+at)
		}
	}
	return all
}

// writeSettings writes what a server reads. Of a server with data only the addresses, the bounds and the
// certificates count.
func (c *Config) writeSettings(begins bool, token string, initial []string) (path string, err error) {
	state := "existing"
	if begins {
		state = "new"
	}
	doc := map[string]any{
		"name": c.Host, "data-dir": filepath.Join(c.State, dataDir),
		"listen-client-urls": c.url(listenOn(c.Client)), "advertise-client-urls": c.url(c.Client),
		"listen-peer-urls": c.url(listenOn(c.Peer)), "initial-advertise-peer-urls": c.url(c.Peer),
		"initial-cluster": strings.Join(initial, ","), "initial-cluster-token": token, "initial-cluster-state": state,
		"strict-reconfig-check": true, "max-learners": maxLearners, "enable-grpc-gateway": false,
		"auto-compaction-mode": "periodic", "auto-compaction-retention": compaction, "quota-backend-bytes": quota,
		"logger": "zap", "log-level": "warn", "log-outputs": []string{"stderr"},
	}
	if c.TLS != nil {
		secure := map[string]any{
			"cert-file": c.TLS.Cert, "key-file": c.TLS.Key, "trusted-ca-file": c.TLS.CA, "client-cert-auth": true,
			"allowed-hostname": []string{certs.EngineName}, "skip-client-san-verification": true, // the name is no address
		}
		doc["client-transport-security"], doc["peer-transport-security"], doc["tls-min-version"] = secure, secure, "TLS1.3"
	}
	data, err := yaml.Marshal(doc)
	if err != nil {
		return "", err
	}
	path = filepath.Join(c.State, configFile)
	return path, os.WriteFile(path, data, 0o600)
}

// listenOn is where a server listens that others reach at HOST:PORT: etcd wants an IP address there.
func listenOn(at string) string {
	host, port, err := net.SplitHostPort(at)
	if err == nil && net.ParseIP(host) == nil {
		return net.JoinHostPort("0.0.0.0", port)
	}
	return at
}
