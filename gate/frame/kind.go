// SPDX-License-Identifier: Apache-2.0

package frame

import "fmt"

// Version is the version of the gate's protocol with resume that this package
// writes, and the only one that it reads.
const Version = 1

// A Kind is the first byte of a packet of the protocol with resume. The numbers
// are those of docs/format/gate.md.
type Kind uint8

// The kinds.
const (
	KindAuth    Kind = iota + 1 // client: begins a session
	KindResume                  // client: goes on with one
	KindData                    // both: a packet of the program, numbered by counting
	KindPing                    // client
	KindBye                     // client: ends the session
	KindWelcome                 // gate: answers an Auth
	KindResumed                 // gate: answers a Resume
	KindLoose                   // gate: a packet of the program that is not numbered and never sent again
	KindPong                    // gate: answers a Ping
	KindRefused                 // gate: answers an Auth or Resume; the connection ends
	KindKicked                  // gate: the connection ends
	kindEnd
)

var kindNames = [kindEnd]string{
	KindAuth: "AUTH", KindResume: "RESUME", KindData: "DATA", KindPing: "PING", KindBye: "BYE", KindWelcome: "WELCOME",
	KindResumed: "RESUMED", KindLoose: "LOOSE", KindPong: "PONG", KindRefused: "REFUSED", KindKicked: "KICKED",
}

// String returns the name that the page has.
func (k Kind) String() string {
	if k.known() {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) known() bool { return k > 0 && k < kindEnd }

// FromClient reports whether clients send packets of the kind.
func (k Kind) FromClient() bool { return k >= KindAuth && k <= KindBye }

// FromGate reports whether gates do.
func (k Kind) FromGate() bool { return k == KindData || k >= KindWelcome && k < kindEnd }

// KindOf returns the kind of a packet. Errors wrap ErrMalformed: a packet of no
// bytes, and a kind that this version does not know.
func KindOf(packet []byte) (Kind, error) {
	if len(packet) == 0 {
		return 0, malformed("packet", "no bytes", "a kind")
	}
	k := Kind(packet[0])
	if !k.known() {
		return k, malformed("packet", k.String(), "1 to %d", kindEnd-1)
	}
	return k, nil
}

// A Code says why a gate refuses a client or ends its connection. The numbers are
// those of docs/format/gate.md; those from CodeProgram on are the program's own.
type Code uint16

// The codes.
const (
	CodeVersion      Code = iota + 1 // the gate does not speak the client's version
	CodeMalformed                    // a packet breaks a rule
	CodeTooLarge                     // a packet is above its limit
	CodeTimeout                      // the client was too slow with its first packet, or with the rest of one
	CodeUnauthorized                 // whoever decides has said no
	CodeBusy                         // the gate takes no more clients for now
	CodeNoSession                    // the session is unknown, or has ended
	CodeProof                        // the proof of a Resume is wrong
	CodeEpoch                        // the epoch of a Resume is not above that of the last one
	CodeGap                          // what the client has missed is not there any more
	CodeAhead                        // the client has counted more than was sent
	CodeElsewhere                    // the session goes on at another connection
	CodeSlow                         // the client does not take what is sent to it
	CodeMemory                       // the gate ran out of memory for queues, and this client's was the longest
	CodeRate                         // the client sends too much
	CodeService                      // the service that had the session has ended
	CodeClosing                      // the gate stops
	CodeMoved                        // another process takes the session over
	CodeKicked                       // a service, or somebody at the console, has ended the session
	codeEnd

	CodeProgram Code = 1024
)

var codeNames = [codeEnd]string{
	CodeVersion: "version", CodeMalformed: "malformed", CodeTooLarge: "too large", CodeTimeout: "timeout",
	CodeUnauthorized: "unauthorized", CodeBusy: "busy", CodeNoSession: "no session", CodeProof: "proof", CodeEpoch: "epoch",
	CodeGap: "gap", CodeAhead: "ahead", CodeElsewhere: "elsewhere", CodeSlow: "slow", CodeMemory: "memory", CodeRate: "rate",
	CodeService: "service", CodeClosing: "closing", CodeMoved: "moved",
	CodeKicked: "kicked",
}

// String returns the name that the page has.
func (c Code) String() string {
	switch {
	case c > 0 && c < codeEnd:
		return codeNames[c]
	case c >= CodeProgram:
		return fmt.Sprintf("program %d", uint16(c))
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// An Advice says what a client does that was refused or kicked with a Code.
type Advice uint8

// The pieces of advice.
const (
	GiveUp  Advice = iota // trying again does not help
	Begin                 // begins a session anew, with an Auth
	Come                  // comes again after a while: with a Resume if it has a session
	ComeNow               // comes again at once, with a Resume
)

var adviceNames = [...]string{GiveUp: "gives up", Begin: "begins anew", Come: "comes again", ComeNow: "comes again at once"}

// String returns what the page has.
func (a Advice) String() string {
	if int(a) < len(adviceNames) {
		return adviceNames[a]
	}
	return fmt.Sprintf("advice %d", uint8(a))
}

var advice = [codeEnd]Advice{
	CodeNoSession: Begin, CodeProof: Begin, CodeGap: Begin, CodeAhead: Begin, CodeService: Begin,
	CodeTimeout: Come, CodeBusy: Come, CodeEpoch: Come, CodeSlow: Come, CodeMemory: Come, CodeClosing: Come, CodeRate: Come,
	CodeMoved: ComeNow,
}

// Advice returns what the page says that a client does. For codes that this
// version does not know, and the program's own, that is GiveUp.
func (c Code) Advice() Advice {
	if c < codeEnd {
		return advice[c]
	}
	return GiveUp
}
