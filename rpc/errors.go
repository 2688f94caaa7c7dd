// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skybus-io/skybus/actor"
)

var (
	// ErrNoObject means that the service has no such object: it was released, or its leases
	// are over, or the service was restarted since.
	ErrNoObject = errors.New("no such object")
	// ErrNoMethod means that the object has no such method, or one that cannot be called from elsewhere.
	ErrNoMethod = errors.New("no such method")
	// ErrArgs means that arguments, or results, are not those of the method.
	ErrArgs = errors.New("wrong arguments")
	// ErrNilRef means that a call was made through the zero Ref.
	ErrNilRef = errors.New("nil reference")
	// ErrNoHost means that the service hosts no objects: its Spec.New was not made by Serve or Host.
	ErrNoHost = errors.New("the service is no host of objects")
	// ErrNoStream means that a stream is over, or is used twice.
	ErrNoStream = errors.New("no such stream")
	// ErrSlow means that a watcher has not taken changes for so long that some would be lost.
	ErrSlow = errors.New("too many changes wait")
)

// A CallError is a call that failed.
type CallError struct {
	Target Object
	Method string // with its interface, if that is known: Account.Deposit
	Err    error
}

func (e *CallError) Error() string {
	return fmt.Sprintf("call %s of %v: %v", e.Method, e.Target, e.Err)
}

// Unwrap returns Err.
func (e *CallError) Unwrap() error { return e.Err }

// RemoteError is an error of a method in another process.
type RemoteError struct {
	Text string
	errs []error
}

func (e *RemoteError) Error() string { return e.Text }

// Unwrap returns the registered errors that it was there: see RegisterError.
func (e *RemoteError) Unwrap() []error { return e.errs }

// sentinels are the errors that keep what they are between processes.
var sentinels = struct {
	sync.RWMutex
	names []string
	errs  []error
}{}

// RegisterError has err be err in other processes, too, for errors.Is. Both sides register it under one
// name. It is called from init; a name that is taken gets the error given last.
func RegisterError(name string, err error) {
	s := &sentinels
	s.Lock()
	defer s.Unlock()
	for i := range s.names {
		if s.names[i] == name {
			s.errs[i] = err
			return
		}
	}
	s.names, s.errs = append(s.names, name), append(s.errs, err)
}

func init() {
	for name, err := range map[string]error{
		"rpc.NoObject": ErrNoObject, "rpc.NoMethod": ErrNoMethod, "rpc.Args": ErrArgs, "rpc.NilRef": ErrNilRef,
		"rpc.NoHost": ErrNoHost, "rpc.NoStream": ErrNoStream, "rpc.Slow": ErrSlow,
		"actor.NoService": actor.ErrNoService, "actor.Stopped": actor.ErrStopped, "actor.MailboxFull": actor.ErrMailboxFull,
		"actor.Dropped": actor.ErrDropped, "actor.NoReply": actor.ErrNoReply, "actor.CallCycle": actor.ErrCallCycle,
		"actor.NameTaken": actor.ErrNameTaken, "actor.NoRemote": actor.ErrNoRemote, "actor.Killed": actor.ErrKilled,
		"actor.Type": actor.ErrType, "context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
	} {
		RegisterError(name, err)
	}
}

// mostText bounds the text of an error that goes to another process, in bytes.
const mostText = 4096

// failure is err as plain data.
func failure(err error) *Failure {
	f := &Failure{Text: err.Error()}
	f.Text = f.Text[:min(len(f.Text), mostText)]
	sentinels.RLock()
	defer sentinels.RUnlock()
	for i, s := range sentinels.errs {
		if errors.Is(err, s) {
			f.Is = append(f.Is, sentinels.names[i])
		}
	}
	return f
}

// err is what failure was made of, as far as this process knows it.
func (f *Failure) err() error {
	e := &RemoteError{Text: f.Text}
	sentinels.RLock()
	defer sentinels.RUnlock()
	for i, name := range sentinels.names {
		for _, is := range f.Is {
			if is == name {
				e.errs = append(e.errs, sentinels.errs[i])
			}
		}
	}
	return e
}
