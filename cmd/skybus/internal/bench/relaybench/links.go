// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// link is what this package looks at of one object that `skybus links --json` prints.
type link struct {
	Peer  string `json:"peer"`
	State string `json:"state"`
}

// up is the state of a link that carries messages.
const up = "up"

// linksUp returns nil if the domain below root has a link and all are up. It
// asks as a user does, by this program's own command.
func (o *Options) linksUp(ctx context.Context, root string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("links: %w", err)
	}
	args := append(append([]string{}, o.Links...), "--root", root, "-k", strconv.Itoa(domainKey), "--json")
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0] = os.Args[0] // a program of several names goes by this one
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("links: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return judgeLinks(out.Bytes())
}

// judgeLinks reads what the command prints.
func judgeLinks(text []byte) error {
	var list []link
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("links: what was printed: %w", err)
	}
	if len(list) == 0 {
		return errors.New("links: there is none")
	}
	for _, l := range list {
		if l.State != up {
			return fmt.Errorf("links: the one to %q is %q, not %q", l.Peer, l.State, up)
		}
	}
	return nil
}
