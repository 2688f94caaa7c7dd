// SPDX-License-Identifier: Apache-2.0

// Package frame turns what clients of a gate send into values and back: how
// packets are cut out of a stream, WebSocket frames, the header of the PROXY
// protocol, and the packets of the gate's own protocol with resume.
// docs/format/gate.md is its page.
//
//	bytes --ParseProxy--> bytes --Framing.Split--> packets --ParseAuth, ...--> values
//	                            \-WSReader.Next--/
//
// All of it is arithmetic on bytes: no socket, no clock, no goroutine. Functions
// that read are given all bytes that are there and not taken yet; they say how
// many they take, where 0 means that more are needed, and what they return lies
// in those bytes. So a caller keeps what is left over and appends to it, and no
// memory is ever taken for a length that somebody merely claims.
//
// Nothing panics on any input. Errors wrap [ErrTooLarge] or [ErrMalformed],
// or one that is named at the function, and come as soon as the bytes that break
// the rule are there. Nothing allocates on the way, but for an error.
//
// Functions may be called by any goroutine; a [WSReader] belongs to one at a time.
package frame
