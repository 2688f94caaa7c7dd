// SPDX-License-Identifier: Apache-2.0

package frame

import "fmt"

// ErrVersion means that a packet is of a version that this package does not
// read: it is refused with CodeVersion. It wraps ErrMalformed.
var ErrVersion = fmt.Errorf("%w: another version of the protocol", ErrMalformed)

// Sizes in bytes, and offsets, of the packets.
const (
	DataHead    = 1  // of a DATA or LOOSE, before the program's bytes
	AuthHead    = 4  // of an AUTH, before the program's bytes
	ResumeSize  = 60 // of a RESUME
	WelcomeSize = 60
	ResumedSize = 16
	PingSize    = 9
	PongSize    = 17
	EndHead     = 4 // of a REFUSED or KICKED, before its text
	KeySize     = 32
	ProofSize   = 32
	MaxText     = 512 // of a REFUSED or KICKED

	atVersion = 1
	atFlags   = 2
	atCode    = 2

	atHome  = 4 // of RESUME and WELCOME
	atID    = 8
	atEpoch = 16

	atReceived = 20 // of RESUME
	atProof    = 28

	atKey       = 20 // of WELCOME
	atMaxPacket = 52
	atSeconds   = 56

	atResumedEpoch = 4
	atAccepted     = 8
	atEcho         = 1
	atPongAccepted = 9
)

// An Auth begins a session: the first packet of a new client.
type Auth struct {
	User []byte // what the program's auth function gets
}

// A Resume goes on with a session: the first packet of a client that lost its
// connection.
type Resume struct {
	Home     uint32 // as in the Welcome, with ID
	ID       uint64
	Epoch    uint32 // above that of the Welcome and of every Resume that the client has sent
	Received uint64 // DATA packets of the gate that the client has had in this session
	Proof    [ProofSize]byte
}

// A Welcome answers an Auth.
type Welcome struct {
	Home      uint32 // bus address of the gate where the session is at home
	ID        uint64 // of the session there; not 0
	Epoch     uint32 // the client's first Resume has one above it
	Key       [KeySize]byte
	MaxPacket uint32 // bytes that a packet of the client may have, with its kind
	Seconds   uint32 // for which the session waits for a client that is away
}

// A Resumed answers a Resume. The gate sends DATA packets from Resume.Received+1
// on behind it.
type Resumed struct {
	Epoch    uint32 // that of the Resume
	Accepted uint64 // DATA packets of the client that need not be sent again
}

// A Pong answers a Ping.
type Pong struct {
	Echo     [8]byte // what the Ping had
	Accepted uint64  // as in a Resumed
}

// AppendAuth appends an AUTH.
func AppendAuth(dst []byte, a *Auth) []byte {
	return append(appendHead(dst, KindAuth), a.User...)
}

// ParseAuth reads an AUTH. User lies in b. Errors wrap ErrMalformed, and ErrVersion where
// that is the fault; so do those of the other functions here.
func ParseAuth(b []byte) (Auth, error) {
	if err := checkHead(b, KindAuth, AuthHead); err != nil {
		return Auth{}, err
	}
	return Auth{User: b[AuthHead:len(b):len(b)]}, nil
}

// AppendResume appends a RESUME with the proof that key gives; r.Proof is
// ignored. key is that of the Welcome.
func AppendResume(dst []byte, r *Resume, key []byte) []byte {
	at := len(dst)
	dst = appendHead(dst, KindResume)
	dst = be.AppendUint32(dst, r.Home)
	dst = be.AppendUint64(dst, r.ID)
	dst = be.AppendUint32(dst, r.Epoch)
	dst = be.AppendUint64(dst, r.Received)
	proof := Proof(key, dst[at:])
	return append(dst, proof[:]...)
}

// ParseResume reads a RESUME. CheckProof says whether its proof is right; until
// then nothing of it is to be believed.
func ParseResume(b []byte) (Resume, error) {
	if err := checkHead(b, KindResume, ResumeSize); err != nil {
		return Resume{}, err
	}
	if len(b) != ResumeSize {
		return Resume{}, wrongSize(b, KindResume, ResumeSize)
	}
	return Resume{
		Home: be.Uint32(b[atHome:]), ID: be.Uint64(b[atID:]), Epoch: be.Uint32(b[atEpoch:]),
		Received: be.Uint64(b[atReceived:]), Proof: [ProofSize]byte(b[atProof:]),
	}, nil
}

// AppendData appends a DATA.
func AppendData(dst, user []byte) []byte { return append(append(dst, byte(KindData)), user...) }

// AppendLoose appends a LOOSE.
func AppendLoose(dst, user []byte) []byte { return append(append(dst, byte(KindLoose)), user...) }

// User returns the program's bytes of a DATA or LOOSE. They lie in b.
func User(b []byte) ([]byte, error) {
	switch k, err := KindOf(b); {
	case err != nil:
		return nil, err
	case k != KindData && k != KindLoose:
		return nil, malformed("packet", k.String(), "%v or %v", KindData, KindLoose)
	}
	return b[DataHead:len(b):len(b)], nil
}

// AppendPing appends a PING.
func AppendPing(dst []byte, echo [8]byte) []byte {
	return append(append(dst, byte(KindPing)), echo[:]...)
}

// ParsePing reads a PING.
func ParsePing(b []byte) (echo [8]byte, err error) {
	if err := checkKind(b, KindPing); err != nil {
		return echo, err
	}
	if len(b) != PingSize {
		return echo, wrongSize(b, KindPing, PingSize)
	}
	return [8]byte(b[atEcho:]), nil
}

// AppendPong appends a PONG.
func AppendPong(dst []byte, p *Pong) []byte {
	dst = append(append(dst, byte(KindPong)), p.Echo[:]...)
	return be.AppendUint64(dst, p.Accepted)
}

// ParsePong reads a PONG. Bytes behind it are of later versions, and ignored; so
// they are in a WELCOME and a RESUMED.
func ParsePong(b []byte) (Pong, error) {
	if err := checkKind(b, KindPong); err != nil {
		return Pong{}, err
	}
	if len(b) < PongSize {
		return Pong{}, wrongSize(b, KindPong, PongSize)
	}
	return Pong{Echo: [8]byte(b[atEcho:]), Accepted: be.Uint64(b[atPongAccepted:])}, nil
}

// AppendBye appends a BYE.
func AppendBye(dst []byte) []byte { return append(dst, byte(KindBye)) }

// ParseBye checks a BYE: it is its kind alone.
func ParseBye(b []byte) error {
	if err := checkKind(b, KindBye); err != nil {
		return err
	}
	if len(b) != 1 {
		return wrongSize(b, KindBye, 1)
	}
	return nil
}

// AppendWelcome appends a WELCOME.
func AppendWelcome(dst []byte, w *Welcome) []byte {
	dst = appendHead(dst, KindWelcome)
	dst = be.AppendUint32(dst, w.Home)
	dst = be.AppendUint64(dst, w.ID)
	dst = be.AppendUint32(dst, w.Epoch)
	dst = append(dst, w.Key[:]...)
	dst = be.AppendUint32(dst, w.MaxPacket)
	return be.AppendUint32(dst, w.Seconds)
}

// ParseWelcome reads a WELCOME.
func ParseWelcome(b []byte) (Welcome, error) {
	if err := checkHead(b, KindWelcome, WelcomeSize); err != nil {
		return Welcome{}, err
	}
	return Welcome{
		Home: be.Uint32(b[atHome:]), ID: be.Uint64(b[atID:]), Epoch: be.Uint32(b[atEpoch:]), Key: [KeySize]byte(b[atKey:]),
		MaxPacket: be.Uint32(b[atMaxPacket:]), Seconds: be.Uint32(b[atSeconds:]),
	}, nil
}

// AppendResumed appends a RESUMED.
func AppendResumed(dst []byte, r *Resumed) []byte {
	dst = be.AppendUint32(appendHead(dst, KindResumed), r.Epoch)
	return be.AppendUint64(dst, r.Accepted)
}

// ParseResumed reads a RESUMED.
func ParseResumed(b []byte) (Resumed, error) {
	if err := checkHead(b, KindResumed, ResumedSize); err != nil {
		return Resumed{}, err
	}
	return Resumed{Epoch: be.Uint32(b[atResumedEpoch:]), Accepted: be.Uint64(b[atAccepted:])}, nil
}

// appendHead appends kind, version and flags.
func appendHead(dst []byte, k Kind) []byte { return append(dst, byte(k), Version, 0, 0) }

// checkHead looks at kind, version, the least size and flags.
func checkHead(b []byte, want Kind, size int) error {
	if err := checkKind(b, want); err != nil {
		return err
	}
	if len(b) > atVersion && b[atVersion] != Version {
		return fmt.Errorf("%w: %v of version %d, want %d", ErrVersion, want, b[atVersion], Version)
	}
	if len(b) < size {
		return wrongSize(b, want, size)
	}
	if flags := be.Uint16(b[atFlags:]); flags != 0 {
		return malformed(want.String(), fmt.Sprintf("flags %#x", flags), "0, all are reserved")
	}
	return nil
}

func checkKind(b []byte, want Kind) error {
	k, err := KindOf(b)
	if err == nil && k != want {
		err = malformed("packet", k.String(), "%v", want)
	}
	return err
}

func wrongSize(b []byte, k Kind, want int) error {
	least := "at least "
	switch {
	case len(b) > want && (k == KindRefused || k == KindKicked):
		least = "at most "
	case k == KindResume || k == KindPing || k == KindBye:
		least = ""
	}
	return malformed(k.String(), fmt.Sprintf("%d bytes", len(b)), "%s%d", least, want)
}
