// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// A Client names a session of a client, for as long as that lasts: also while its client is away, and while the process of its gate is
// dead. It is comparable. No two sessions have the same one. The zero Client is nobody.
type Client struct {
	Home addr.Addr // of the gate where the session began
	ID   uint64    // there
}

// IsZero reports whether c is nobody.
func (c Client) IsZero() bool { return c == Client{} }

// String returns "0.0.1.1#1f", with the default template and the number in hexadecimal digits; "" for nobody.
func (c Client) String() string {
	if c.IsZero() {
		return ""
	}
	return c.Home.String() + "#" + strconv.FormatUint(c.ID, 16)
}

// ParseClient reads what String returns.
func ParseClient(s string) (Client, error) {
	if s == "" {
		return Client{}, nil
	}
	home, id, ok := strings.Cut(s, "#")
	if !ok {
		return Client{}, fmt.Errorf("client %q: want HOME#ID, as 0.0.1.1#1f", s)
	}
	a, err := addr.Parse(home)
	if err != nil {
		return Client{}, fmt.Errorf("client %q: %w", s, err)
	}
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || n == 0 {
		return Client{}, fmt.Errorf("client %q: id %q: want a hexadecimal number from 1", s, id)
	}
	return Client{Home: a, ID: n}, nil
}

// MarshalText is String.
func (c Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseClient.
func (c *Client) UnmarshalText(text []byte) (err error) {
	*c, err = ParseClient(string(text))
	return err
}

// clientSize is what a Client takes on the bus.
const clientSize = 12

// appendClient appends the form in which a Client goes over the bus.
func appendClient(dst []byte, c Client) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Home))
	return binary.BigEndian.AppendUint64(dst, c.ID)
}

// takeClient reads what appendClient has written at the beginning of b, which is long enough.
func takeClient(b []byte) Client {
	return Client{Home: addr.Addr(binary.BigEndian.Uint32(b)), ID: binary.BigEndian.Uint64(b[4:])}
}

// MarshalBinary is for the bus: 12 bytes.
func (c Client) MarshalBinary() ([]byte, error) { return appendClient(nil, c), nil }

// UnmarshalBinary reads what MarshalBinary returns.
func (c *Client) UnmarshalBinary(b []byte) error {
	if len(b) != clientSize {
		return fmt.Errorf("client: %d bytes, want %d", len(b), clientSize)
	}
	*c = takeClient(b)
	return nil
}

// Errors of the gate.
var (
	// ErrNoSession means that a Client's session is not there: it has ended.
	ErrNoSession = errors.New("no such session")
	// ErrRefused means that the one who decides has not let a client in.
	ErrRefused = errors.New("refused")
)
