// SPDX-License-Identifier: Apache-2.0

package entry

import "fmt"

// Reason is why a connection was refused, or ended from here before its time.
type Reason uint8

// The reasons. They are counted each (Stats.Refused).
const (
	Full           Reason = iota // Options.Connections are there
	FullAddress                  // Options.PerAddress of this address are there
	NoDescriptors                // the process or the system has no descriptor left
	Stopped                      // the server stops
	BadProxy                     // a trusted proxy sent a malformed header, or none
	BadProtocol                  // the first bytes are of a protocol that is not accepted
	BadTLS                       // the TLS handshake failed
	BadRequest                   // the upgrade is malformed, or too long
	BadOrigin                    // the page's origin may not connect
	NotFound                     // an HTTP request that nobody answers
	LateFirstByte                // over Options.FirstByte
	LateTLS                      // over Options.TLS
	LateUpgrade                  // over Options.Upgrade
	LateAuth                     // over Options.Auth
	LateHalfPacket               // over Options.HalfPacket
	Overdue                      // the client does not take what is sent to it
	GoneEarly                    // the client went away before it could be served
	NoTransport                  // the connection could not be prepared: a fault of the system
	reasons                      // how many there are
)

var reasonNames = [reasons]string{
	Full:           "full",
	FullAddress:    "full for this address",
	NoDescriptors:  "no descriptors",
	Stopped:        "stopped",
	BadProxy:       "bad PROXY header",
	BadProtocol:    "protocol not accepted",
	BadTLS:         "TLS handshake failed",
	BadRequest:     "bad upgrade request",
	BadOrigin:      "origin not allowed",
	NotFound:       "no such page",
	LateFirstByte:  "first byte too late",
	LateTLS:        "TLS handshake too late",
	LateUpgrade:    "upgrade request too late",
	LateAuth:       "authentication too late",
	LateHalfPacket: "rest of a packet too late",
	Overdue:        "does not read",
	GoneEarly:      "gone before it was served",
	NoTransport:    "connection could not be prepared",
}

// String returns the reason in words, as tables and logs show it.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Error makes a reason an error: what ends a connection's Serve.
func (r Reason) Error() string { return "gate: " + r.String() }

// Reasons returns all reasons, in their order.
func Reasons() []Reason {
	list := make([]Reason, reasons)
	for i := range list {
		list[i] = Reason(i)
	}
	return list
}
