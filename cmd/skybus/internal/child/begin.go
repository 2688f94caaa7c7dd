// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Begin makes the process a part: it reads into spec what the parent wants. The
// context ends when the parent asks the part to end, or is gone.
func Begin(spec any) (context.Context, error) {
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	ctx, err := begin(os.Stdin, spec)
	if errors.Is(err, io.EOF) {
		err = errors.New("this command is not for users: its parent starts it")
	}
	return ctx, err
}

func begin(r io.Reader, spec any) (context.Context, error) {
	in := bufio.NewReader(r)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, spec); err != nil {
		return nil, fmt.Errorf("what the parent wants: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx, nil
}
