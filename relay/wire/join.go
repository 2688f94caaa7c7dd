// SPDX-License-Identifier: Apache-2.0

package wire

// A Join is the first frame of a host that is in no cluster yet.
type Join struct {
	Lowest, Highest uint16 // versions that the sender speaks
	Host            string // who it is
}

// A Joined is the answer to a Join.
type Joined struct {
	Version uint16
	Cluster string   // its name
	Members []Member // of its engine, 1 to MaxMembers
}

// A Member is one server of the engine.
type Member struct {
	Name    string // its host; empty while it has not begun
	Client  string // HOST:PORT where clients reach it; empty while it has not begun
	Learner bool   // it serves no clients yet
}

const flagLearner = 1

// AppendJoin appends the frame.
func AppendJoin(b []byte, j *Join) []byte {
	at := len(b)
	b = Begin(b, TypeJoin, 0, 0)
	b = le.AppendUint16(b, j.Lowest)
	b = le.AppendUint16(b, j.Highest)
	b = appendText(b, j.Host)
	return End(b, at, 0)
}

// ParseJoin reads a body.
func ParseJoin(body []byte) (j Join, err error) {
	r := reader{b: body}
	j.Lowest, j.Highest, j.Host = r.u16(), r.u16(), r.text()
	if err = r.end(TypeJoin); err == nil && (j.Lowest > j.Highest || j.Host == "") {
		err = protocolf("JOIN of host %q with versions %d to %d", j.Host, j.Lowest, j.Highest)
	}
	return j, err
}

// AppendJoined appends the frame. Members beyond MaxMembers are left out.
func AppendJoined(b []byte, j *Joined) []byte {
	at := len(b)
	b = Begin(b, TypeJoined, 0, 0)
	b = le.AppendUint16(b, j.Version)
	b = appendText(b, j.Cluster)
	members := j.Members[:min(len(j.Members), MaxMembers)]
	b = append(b, byte(len(members)))
	for i := range members {
		flags := byte(0)
		if members[i].Learner {
			flags = flagLearner
		}
		b = append(b, flags)
		b = appendText(b, members[i].Name)
		b = appendText(b, members[i].Client)
	}
	return End(b, at, 0)
}

// ParseJoined reads a body.
func ParseJoined(body []byte) (j Joined, err error) {
	r := reader{b: body}
	j.Version, j.Cluster = r.u16(), r.text()
	n := int(r.u8())
	for range min(n, MaxMembers) {
		flags := r.u8()
		j.Members = append(j.Members, Member{Learner: flags == flagLearner, Name: r.text(), Client: r.text()})
		r.bad = r.bad || flags&^flagLearner != 0
	}
	if err = r.end(TypeJoined); err == nil && (j.Cluster == "" || n == 0 || n > MaxMembers) {
		err = protocolf("JOINED of cluster %q with %d members, want a name and 1 to %d", j.Cluster, n, MaxMembers)
	}
	return j, err
}
