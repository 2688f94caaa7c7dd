// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/skybus-io/skybus/actor"
)

// A Process is what a console tells programs of its process, with the command json: an
// object on a line, without Services, and a line for each of them.
type Process struct {
	Name     string    `json:"name,omitzero"`    // Config.Name
	Program  string    `json:"program,omitzero"` // the file that was started, without its folder
	PID      int       `json:"pid,omitzero"`     // as the process itself sees it
	Node     string    `json:"node,omitzero"`    // the address in its PIDs
	Total    int       `json:"total"`            // of services; not all may be listed
	Services []Service `json:"services"`
	Methods  []Method  `json:"methods,omitempty"` // of the service that is asked for, if that is an object
}

// A Service is an actor.ServiceInfo in JSON.
type Service struct {
	PID     string  `json:"pid"`
	Name    string  `json:"name,omitzero"`
	Kind    string  `json:"kind"`
	State   string  `json:"state"`
	Waiting int     `json:"waiting"` // messages
	Blocked int     `json:"blocked"` // senders
	Handled uint64  `json:"handled"`
	Dropped uint64  `json:"dropped"`
	Seconds float64 `json:"seconds"` // in handlers, while profile is on
}

// A Method is one that the command call calls, as rpc.MethodInfo has it.
type Method struct {
	Name    string   `json:"name"`
	Args    []string `json:"args,omitempty"` // their types
	Streams bool     `json:"streams,omitzero"`
}

// Has reports whether the service that is asked for is an object with a method of that name.
func (p *Process) Has(method string) bool {
	return slices.ContainsFunc(p.Methods, func(m Method) bool { return m.Name == method })
}

// Process asks for the process and its services: all of them, or the one that a PID
// or a name means. Of more than Config.MaxOutput holds, the first are listed. Errors: as for Do;
// *AnswerError also if the target is none of its services.
func (c *Client) Process(ctx context.Context, target string) (Process, error) {
	text, err := c.Do(ctx, "json "+target)
	if err != nil {
		return Process{}, err
	}
	p, err := parseProcess(text)
	if err != nil {
		return Process{}, fmt.Errorf("console: the answer to json: %w", err)
	}
	return p, nil
}

// parseProcess reads what the command json writes. Fields that it does not know are
// a later version's.
func parseProcess(text string) (Process, error) {
	d := json.NewDecoder(strings.NewReader(text))
	var p Process
	if err := d.Decode(&p); err != nil {
		return Process{}, err
	}
	p.Services = []Service{}
	for {
		var s Service
		err := d.Decode(&s)
		switch {
		case errors.Is(err, io.EOF):
			return p, nil
		case err != nil:
			return Process{}, err
		}
		p.Services = append(p.Services, s)
	}
}

// describe is the command json.
func describe(r *request) error {
	services := r.k.rt.Services
	var methods []Method
	if r.rest != "" {
		p, err := r.target()
		if err != nil {
			return err
		}
		s, err := r.info(p)
		if err != nil {
			return err
		}
		methods = methodsOf(r.k.rt, p)
		services = func() []actor.ServiceInfo { return []actor.ServiceInfo{s} }
	}
	list := services()
	line, err := asciiJSON(r.k.process(list, methods))
	if err != nil {
		return err
	}
	r.out.printf("%s\n", line)
	for i := range list {
		if line, err = asciiJSON(serviceOf(&list[i])); err != nil || !r.out.room(len(line)+1) {
			return err
		}
		r.out.printf("%s\n", line)
	}
	return nil
}

// process describes the process without its services.
func (k *Console) process(list []actor.ServiceInfo, methods []Method) any {
	p := Process{Name: k.cfg.Name, Program: filepath.Base(os.Args[0]), PID: os.Getpid(), Total: len(list), Methods: methods}
	if len(list) > 0 && !list[0].PID.Node.IsNone() {
		p.Node = list[0].PID.Node.String()
	}
	return struct { // the same, but for the services
		Process
		Services *int `json:"services,omitzero"`
	}{Process: p}
}

func serviceOf(s *actor.ServiceInfo) Service {
	return Service{
		PID: s.PID.String(), Name: s.Name, Kind: s.Kind, State: s.State, Waiting: s.Waiting, Blocked: s.Blocked,
		Handled: s.Handled, Dropped: s.Dropped, Seconds: s.Time.Seconds(),
	}
}

// asciiJSON is JSON that an answer leaves as it is: all of it can be printed.
func asciiJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r < 0x7f:
			b.WriteByte(byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes(), nil
}
