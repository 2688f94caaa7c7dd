// SPDX-License-Identifier: Apache-2.0

package envelope

import "fmt"

// A Kind says what an envelope is. The numbers are those of the page.
type Kind uint8

// The kinds.
const (
	Send      Kind = iota + 1
	Call           // Session is what the answer will carry
	Reply          // the answer
	Error          // the answer is an error: the body is a Report
	Down           // who was monitored has ended: the body is a Report
	Bounce         // a message comes back: the body is a Report and the payload
	Monitor        // Session is what the Down will carry
	Demonitor      // ends the Monitor of that Session
	Ping
	Pong
	Group // one copy for all members of a group on the node
	kindEnd
)

// The kinds from Optional on are those that a reader may pass over, and does where it does
// not know them.
const (
	Optional Kind = 128
	Cancel        = Optional // nobody waits any more for the answer to the Call of that Session
)

// The user kinds of a Monitor and a Demonitor.
const (
	Watched uint8 = iota // who asks hears of the end
	Linked               // that, and who is asked hears of the other one's end, too: one ends with the other
)

var kindNames = [256]string{
	Send: "SEND", Call: "CALL", Reply: "REPLY", Error: "ERROR", Down: "DOWN", Bounce: "BOUNCE", Monitor: "MONITOR",
	Demonitor: "DEMONITOR", Ping: "PING", Pong: "PONG", Group: "GROUP", Cancel: "CANCEL",
}

// String returns the name that the page has.
func (k Kind) String() string {
	if k.known() {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// known reports whether this version has the kind.
func (k Kind) known() bool { return kindNames[k] != "" }

// What a kind demands of its envelope.
const (
	needsTo      = 1 << iota // a handle, or a name where mayName allows one
	mayName                  // the receiver may be given by name
	needsSession             // not 0
	hasPayload               // encoding and payload may be there
	hasReport                // the body begins with a Report
)

var rules = [256]uint8{
	Send:      needsTo | mayName | hasPayload,
	Call:      needsTo | mayName | needsSession | hasPayload,
	Reply:     needsTo | needsSession | hasPayload,
	Error:     needsTo | needsSession | hasReport,
	Down:      needsTo | needsSession | hasReport,
	Bounce:    needsTo | hasPayload | hasReport,
	Monitor:   needsTo | mayName | needsSession,
	Demonitor: needsTo | mayName | needsSession,
	Group:     needsTo | mayName | hasPayload,
	Cancel:    needsSession | mayName,
}

func (k Kind) is(rule uint8) bool { return rules[k]&rule != 0 }

// An Encoding says what a payload is written in.
type Encoding uint8

// The encodings.
const (
	EncodingNone  Encoding = iota // there is no payload
	EncodingRaw                   // bytes as they are
	EncodingText                  // a string
	EncodingCBOR                  // RFC 8949
	EncodingProto                 // a protobuf message
	encodingEnd
)

var encodingNames = [encodingEnd]string{"none", "raw", "text", "CBOR", "protobuf"}

// String returns the name that the page has.
func (e Encoding) String() string {
	if e < encodingEnd {
		return encodingNames[e]
	}
	return fmt.Sprintf("encoding %d", uint8(e))
}

// Typed reports whether a type's id goes with the encoding.
func (e Encoding) Typed() bool { return e == EncodingCBOR || e == EncodingProto }

// A Code says why something failed, so that the far side can make the error of
// it that errors.Is finds.
type Code uint16

// The codes of a Report. A reader takes one that it does not know for CodeUser.
const (
	CodeNone        Code = iota // of a Down alone: it ended as it wanted
	CodeNoService               // nobody has the handle or the name
	CodeStalePID                // the handle is of an earlier life of the process
	CodeMailboxFull             // and it rejects
	CodeNoReply                 // the handler ended without one
	CodeStopped                 // the service or its process ends
	CodePanic                   // of the handler: the text has the value and no stack
	CodeRefused                 // the receiver does not take it
	CodeUnknownType             // the payload cannot be decoded
	CodeTooLarge                // for the far side
	CodeDeadline                // has passed
	CodeKilled                  // the service was
	CodeDropped                 // from a full mailbox
	CodeGoexit                  // the handler ended its goroutine
	CodeCallCycle               // waiting would never end
	CodeUser                    // an error of the program's own: text alone
	CodeWrongType               // nobody there handles a value of that type
	CodeNameTaken               // another service has the name
	CodePeerDied                // a third process, that was asked for the answer, has ended
	CodeSilent                  // and such a node has not been heard of
	codeEnd
)

var codeNames = [codeEnd]string{
	"none", "no service", "stale PID", "mailbox full", "no reply", "stopped", "panic", "refused", "unknown type", "too large",
	"deadline", "killed", "dropped", "goexit", "call cycle", "user error",
	"wrong type", "name taken", "peer died", "silent",
}

// String returns the name that the page has.
func (c Code) String() string {
	if c < codeEnd {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Known returns c, or CodeUser if this version does not have it.
func (c Code) Known() Code {
	if c < codeEnd {
		return c
	}
	return CodeUser
}
