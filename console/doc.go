// SPDX-License-Identifier: Apache-2.0

// Package console lets people and programs look into a running process and tend its
// services, over a Unix socket or a loopback TCP port:
//
//	k, err := console.New(rt, console.Config{Name: "arena"})
//	ln, err := k.Listen(ctx, "")
//	go k.Serve(ctx, ln)
//
// Without an address the socket is in [Dir], where `skybus services` and `skybus call`
// find it. `skybus console ADDRESS`, or telnet and netcat at a TCP port, have the
// commands that help lists, and those that the program adds with [Console.Register].
// Programs use a [Client].
//
// # Who may
//
// Whoever reaches the console can do anything to the process's services. A
// Unix socket that Listen makes is for the user alone who runs the process. A loopback port
// is for everybody on the host. An address that others can reach is refused, unless
// [Config].Outside says that something else keeps strangers away: the
// console asks for no password and encrypts nothing.
//
// # Lines
//
// A command is a line of UTF-8 text, ended by \n, \r\n or \r. Telnet's
// negotiations (RFC 854) are skipped. Nothing happens for an empty line. Every other
// line has one answer:
//
//	the output, any number of lines
//	OK, or ERROR and what is wrong
//
// "call TARGET METHOD ARGS" calls a method of a service that is an object of package rpc.
// An ARG is a word, as the method's type is written, or a "text", [list] or {object} in JSON. Each result,
// or item of a stream, is a line: a text as it is, in quotes if it is empty or has several lines; all else
// as JSON.
//
// The greeting is such an answer, too. A line of output that looks like the
// last one, after any number of spaces, has one space more before it. What cannot be printed is written
// as in Go strings, but for tabs. The last line always comes, in the order of the commands;
// the output is cut off at [Config].MaxOutput, which is an error.
//
// A prompt follows the answer for those that are known to be people: telnet that
// negotiates, and whoever says "prompt on". Lines end with \r\n for those that end theirs
// with \r.
//
// # Limits
//
// Connections, the length of a line, the time between two, the size of an answer and
// the time that the other side may take to read it are bounded: [Config]. A connection
// runs one command at a time in a goroutine of its own, and holds up nobody else.
package console
