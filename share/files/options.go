// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
)

// Sizes of files that are allowed when [MaxSize] is not given, in bytes. They
// differ as the decoders do in the memory that they take for a byte.
const (
	DefaultMaxJSON = 64 << 20
	DefaultMaxCBOR = 16 << 20
	DefaultMaxYAML = 4 << 20
)

var defaultMax = [...]int64{formatJSON: DefaultMaxJSON, formatYAML: DefaultMaxYAML, formatCBOR: DefaultMaxCBOR}

// An Option is a setting of [Load].
type Option func(*options)

type options struct {
	name     string
	maxSize  int64
	validate any // func(T) error
	onError  func(error)
	open     func(path string) (handle, error) // tests put their own here
}

// Name sets the name of the table. The default is the file's name without its
// folder and extension.
func Name(name string) Option { return func(o *options) { o.name = name } }

// MaxSize sets how large the file may be, in bytes: at least 1. The default is
// [DefaultMaxJSON], [DefaultMaxCBOR] or [DefaultMaxYAML]. More lets larger tables
// in, and lets a bad file take more memory.
func MaxSize(bytes int64) Option { return func(o *options) { o.maxSize = bytes } }

// Validate sets a function that judges each value before it is published: an
// error keeps the version before. T is the type that the file is loaded as. The
// function must not change the value, and not call methods of the File. It is
// called by one goroutine at a time; when it panics, that is an error. A nil
// function accepts everything.
func Validate[T any](check func(value T) error) Option {
	return func(o *options) {
		if o.validate = check; check == nil {
			o.validate = nil
		}
	}
}

// OnError sets a function that [File.Watch] calls with what it cannot load, once
// for each content or state of the file: an error comes again only after
// something else was seen. The goroutine of Watch calls it and holds no lock.
func OnError(report func(error)) Option { return func(o *options) { o.onError = report } }

// newOptions returns the options for a file of type T.
func newOptions[T any](path string, format format, opts []Option) (*options, error) {
	base := filepath.Base(path)
	o := &options{name: strings.TrimSuffix(base, filepath.Ext(base)), maxSize: defaultMax[format], open: openFile}
	for _, opt := range opts {
		if opt != nil {
			opt(o)
		}
	}
	if o.maxSize < 1 {
		return nil, optionError(path, "MaxSize(%d), want at least 1", o.maxSize)
	}
	if _, ok := o.validate.(func(T) error); o.validate != nil && !ok {
		return nil, optionError(path, "Validate got a %T, want a func(%v) error", o.validate, reflect.TypeFor[T]())
	}
	return o, nil
}

func optionError(path, format string, args ...any) error {
	return &Error{Path: path, Reason: fmt.Sprintf(format, args...), Err: ErrOption}
}
