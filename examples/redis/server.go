// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/conn"
)

// server is a service that speaks enough of Redis to be its own client's test.
type server struct {
	values map[string]string
	ln     *conn.Listener
	conns  int
}

// where asks a server for its address, conns how many connections it has had.
type (
	where struct{}
	conns struct{}
)

func newServer() actor.Handler {
	s := &server{values: map[string]string{}}
	m := new(actor.Mux)
	m.OnStart(func(c *actor.Context) (err error) {
		s.ln, err = conn.Listen(c, "127.0.0.1:0", s.serve)
		return err
	})
	actor.Serve(m, func(*actor.Context, where) (string, error) { return s.ln.Addr().String(), nil })
	actor.Serve(m, func(*actor.Context, conns) (int, error) { return s.conns, nil })
	return m
}

// serve answers one client. It is a handler of the service, so values need no lock.
func (s *server) serve(c *actor.Context, n *conn.Conn) {
	s.conns++
	for {
		v, err := parse(wire{c, n})
		if err != nil {
			return
		}
		args, err := words(v)
		if err != nil {
			_ = n.Write(c, appendValue(nil, Failure("ERR Protocol error: "+err.Error()))) // it is closed in any case
			return
		}
		if n.Put(c, appendValue(nil, s.do(args))) != nil {
			return
		}
	}
}

// words returns what a command consists of.
func words(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("want a list of strings")
	}
	args := make([]string, len(list))
	for i, item := range list {
		if args[i], ok = item.(string); !ok {
			return nil, fmt.Errorf("want a list of strings")
		}
	}
	return args, nil
}

// arity is how many words each command has at least, and at most; -1: any number.
var arity = map[string][2]int{
	"PING": {1, 1}, "ECHO": {2, 2}, "GET": {2, 2}, "SET": {3, 3}, "INCR": {2, 2}, "DEL": {2, -1}, "MGET": {2, -1},
}

// do runs a command.
func (s *server) do(args []string) any {
	name := strings.ToUpper(args[0])
	most, known := arity[name]
	switch {
	case !known:
		return Failure(fmt.Sprintf("ERR unknown command '%.40q'", args[0]))
	case len(args) < most[0] || most[1] >= 0 && len(args) > most[1]:
		return Failure(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(name)))
	}
	switch name {
	case "PING":
		return "PONG"
	case "ECHO":
		return args[1]
	case "GET":
		return s.get(args[1])
	case "SET":
		s.values[args[1]] = args[2]
		return "OK"
	case "INCR":
		return s.incr(args[1])
	case "DEL":
		return s.del(args[1:])
	}
	var list []any
	for _, key := range args[1:] {
		list = append(list, s.get(key))
	}
	return list
}

func (s *server) get(key string) any {
	if v, ok := s.values[key]; ok {
		return v
	}
	return nil
}

func (s *server) incr(key string) any {
	n, err := strconv.ParseInt(s.values[key], 10, 64)
	if err != nil && s.values[key] != "" {
		return Failure("ERR value is not an integer or out of range")
	}
	s.values[key] = strconv.FormatInt(n+1, 10)
	return n + 1
}

func (s *server) del(keys []string) any {
	gone := int64(0)
	for _, key := range keys {
		if _, ok := s.values[key]; ok {
			delete(s.values, key)
			gone++
		}
	}
	return gone
}
