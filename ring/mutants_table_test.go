// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps && !race

package ring

// The tests that a mutant may be caught by.
const (
	bySimulator = "^TestCrashesAndInterleavingsLoseNothing$"
	byStream    = "^TestStreamBetweenTwoGoroutinesKeepsEveryByte$/^1KiB$"
)

// A mutant breaks a rule in one place.
type mutant struct {
	rule  string
	name  string
	file  string
	edits []edit
	run   string // the tests that must catch it
	race  bool   // under the race detector
}

// An edit replaces text that stands in the file exactly once.
type edit struct{ from, to string }

// elsewhere names the rules, or parts of rules, that other packages keep, and
// what looks after them there.
var elsewhere = map[string]string{
	"R10": "the files: package channel; here by the model of them in sim_producer_test.go and sim_consumer_test.go",
	"R11": "giving back and unlinking: package channel; here by the model",
	"R15": "unmapping: package shm, which counts the holders of a segment",
}

var mutants = []mutant{
	{"R1", "records are not aligned", "tx.go",
		[]edit{{"Claim(n int) ([]byte, error) {\n\trec := RecordSize(n)", "Claim(n int) ([]byte, error) {\n\trec := HeaderSize + uint64(n)"}}, bySimulator, false},
	{"R1", "records that are sent at once are not aligned", "tx.go",
		[]edit{{"Send(p []byte) error {\n\tn := len(p)\n\trec := RecordSize(n)", "Send(p []byte) error {\n\tn := len(p)\n\trec := HeaderSize + uint64(n)"}}, bySimulator, false},
	{"R1", "records that are added are not aligned", "tx.go",
		[]edit{{"Add(p []byte) error {\n\tn := len(p)\n\trec := RecordSize(n)", "Add(p []byte) error {\n\tn := len(p)\n\trec := HeaderSize + uint64(n)"}}, bySimulator, false},
	{"R1", "a claim may be larger than what is left of the region", "tx.go",
		[]edit{{", t.head|(size-1)+1)", ")"}}, bySimulator, false},
	{"R1", "a lap that was given up is still thought clear", "tx.go",
		[]edit{{"\tt.clear = 0 // it may", "\t// it may"}}, bySimulator, false},
	{"R1", "a record may take more than half the ring", "format.go",
		[]edit{{"return int(size/2 - HeaderSize) }", "return int(size / 2) }"}}, bySimulator, false},

	{"R2", "the length stands without its 1", "format.go",
		[]edit{{"| (n + 1)\n", "| n\n"}}, bySimulator, false},
	{"R2", "the tag is not looked at", "format.go",
		[]edit{{"w>>tagShift<<tagShift != lapTag(pos) || ", ""}}, "^TestWord", false},
	{"R2", "the quick check does not look at the tag", "format.go",
		[]edit{{"(w^lapTag(pos))>>flagShift == 0", "w>>flagShift&0xff == 0"}}, "^TestWord", false},
	{"R2", "the tag is the same in each lap", "format.go",
		[]edit{{"(pos/align&tagMask | tagBit)", "(pos&0 | tagBit)"}}, "^TestWord", false},

	{"R3", "no room is kept for the tail header", "tx.go",
		[]edit{{"t.limit = rel + t.r.Size() - HeaderSize", "t.limit = rel + t.r.Size()"}}, bySimulator, false},
	{"R3", "the new tail has no zero word", "tx.go",
		[]edit{{"*t.r.word(t.head) = 0 //", "_ = t.head //"}}, bySimulator, false},
	{"R3", "the new tail has no sequence", "tx.go",
		[]edit{{"*t.r.seq(t.head) = t.seq", "_ = t.seq"}}, bySimulator, false},

	{"R4", "no pad is written", "tx.go",
		[]edit{{"t.put(at, commitWord(at, flagPad, 0))\n", ""}}, bySimulator, false},
	{"R4", "a pad may stand alone", "format.go",
		[]edit{{"if word == 0 || h.adv == 0 {", "if false {"}}, "^TestPad", false},

	{"R5", "the new tail's zero comes after the commit", "tx.go",
		[]edit{{"*t.r.word(t.head) = 0 //", "defer func() { *t.r.word(t.tail) = 0 }() //"}}, bySimulator, false},
	{"R5", "the new tail's sequence comes after the commit", "tx.go",
		[]edit{{"*t.r.seq(t.head) = t.seq", "defer func() { *t.r.seq(t.tail) = t.seq }()"}}, bySimulator, false},
	{"R5", "the batch is visible before its commit", "tx.go",
		[]edit{{"t.first = word\n", "t.first = word\n\t\tatomic.StoreUint64(t.r.word(pos), word)\n"}}, bySimulator, false},
	{"R5", "inner headers are written after the commit", "tx.go",
		[]edit{{"*t.r.word(pos) = word\n}", "late = append(late, func() { *t.r.word(pos) = word })\n}\n\nvar late []func()"},
			{"\tt.tail, t.base = t.head, t.seq\n", "\tt.tail, t.base = t.head, t.seq\n\tdefer func() { for _, f := range late { f() }; late = nil }()\n"}}, bySimulator, false},

	{"R6", "released may go back", "rx.go",
		[]edit{{"rec.end <= x.released || rec.end > x.pos || ", "rec.end > x.pos || "}}, "^TestRelease", false},
	{"R6", "claimed may go back", "rx.go",
		[]edit{{"if x.pos > x.claimed {", "if x.pos != x.claimed {"}}, bySimulator, false},

	{"R7", "claimed is not stored", "rx.go",
		[]edit{{"sys.StoreRelease64(&x.r.marks.claimed, x.pos)", "sys.Pause(1)"}}, bySimulator, false},
	{"R7", "released is stored before the user has handled", "rx.go",
		[]edit{{"x.pos, x.seq = recs[n-1].end, seq\n", "x.pos, x.seq = recs[n-1].end, seq\n\tx.r.marks.released.Store(x.pos)\n\tx.released = x.pos\n"}}, bySimulator, false},
	{"R7", "released is put off for ever", "rx.go",
		[]edit{{"x.r.Size()/8", "x.r.Size()*8"}}, "^TestRelease", false},
	{"R7", "a record that was put back is released", "rx.go",
		[]edit{{" || rec.end > x.pos ||", " ||"}}, "^TestRelease", false},

	{"R7", "a rewind goes forward", "rx.go",
		[]edit{{"if rec.end <= x.pos && x.start", "if x.start"}}, "^TestRewind", false},

	{"R8", "nothing is flagged", "rx.go",
		[]edit{{"pos < x.redel || flags", "flags"}}, bySimulator, false},
	{"R8", "everything is flagged", "rx.go",
		[]edit{{"redel: taken}", "redel: taken + r.Size()}"}}, bySimulator, false},
	{"R8", "a record that was put back comes unflagged", "rx.go",
		[]edit{{"x.redel = max(x.redel, rec.end)", "_ = rec"}}, bySimulator, false},

	{"R9", "attaching initialises", "tx.go",
		[]edit{{"\tt.seen = r.marks.released.Load()\n", "\tr.Format(1)\n\tt.seen = r.marks.released.Load()\n"}}, bySimulator, false},
	{"R9", "attaching begins at claimed", "tx.go",
		[]edit{{"t.seen = r.marks.released.Load()", "t.seen = r.takenTo()"}}, bySimulator, false},
	{"R9", "attaching does not go on to the tail", "walk.go",
		[]edit{{"\t\tw.tail += h.adv\n", "\t\tif w.records > 2 {\n\t\t\treturn w, nil\n\t\t}\n\t\tw.tail += h.adv\n"}}, bySimulator, false},

	{"R10", "a new generation begins with another number", "ring_unsafe.go",
		[]edit{{"*r.seq(0) = seq\n", "*r.seq(0) = seq | 4\n"}}, bySimulator, false},
	{"R10", "MOVED before the new segment has its name", "sim_producer_test.go",
		[]edit{{"p.a.change(func() { next = p.create(p.g+1, size, p.tx.NextSeq()) })\n\tp.tx.Move()\n",
			"p.tx.Move()\n\tp.a.change(func() { next = p.create(p.g+1, size, p.tx.NextSeq()) })\n"}}, bySimulator, false},
	{"R10", "a stray generation stays", "sim_producer_test.go",
		[]edit{{"\t\tp.remove(p.g + 1)\n", ""}}, bySimulator, false},
	{"R10", "the table is left two generations behind", "sim_consumer_test.go",
		[]edit{{"\tc.w.gen = f.gen //", "\t_ = f.gen //"}}, bySimulator, false},
	{"R10", "the producer takes a passed generation for the last", "sim_producer_test.go",
		[]edit{{" && p.w.files[f.gen] == f {", " {"}}, bySimulator, false},

	{"R11", "the end takes the number away", "tx.go",
		[]edit{{"\tt.end, t.clear = end, 0\n", "\tt.end, t.clear = end, 0\n\t*t.r.seq(t.tail) = 0\n"}}, bySimulator, false},
	{"R11", "the generation is counted before the lane is idle", "sim_consumer_test.go",
		[]edit{{"c.w.lastSeq = c.rx.Seq() - 1\n", "c.w.lastSeq = c.rx.Seq() - 1\n\tc.w.gen = c.at.gen + 1\n"}}, bySimulator, false},

	{"R12", "a watcher does not look a second time", "watcher.go",
		[]edit{{"return w.r.marks.writing.Load() > w.pos+w.r.Size()", "return false"}}, bySimulator, false},
	{"R12", "the producer writes before it says so", "tx.go",
		[]edit{{"\t\tt.announce(end)\n", "\t\tt.mark = end + HeaderSize\n"}}, bySimulator, false},
	{"R12", "what is announced is forgotten by the quick claims", "tx.go",
		[]edit{{"min(t.limit, t.mark-HeaderSize, ", "min(t.limit, "}}, bySimulator, false},
	{"R12", "the first record of a batch is written before it is announced", "tx.go",
		[]edit{{"\tt.r.marks.writing.Store(t.mark)\n", "\tif t.seq > t.base {\n\t\tt.r.marks.writing.Store(t.mark)\n\t}\n"}}, bySimulator, false},
	{"R12", "a watcher that is always overtaken believes its copy", "watcher.go",
		[]edit{{"for range lookTries {\n\t\trec, h, err := w.copyNext(buf)", "for n := range lookTries {\n\t\trec, h, err := w.copyNext(buf)"},
			{"case w.overtaken():", "case n+1 < lookTries && w.overtaken():"}}, "^TestWatcher", false},
	{"R12", "a watcher looks at released too early", "watcher.go",
		[]edit{{"\tif invariant.Enabled {\n\t\tinvariant.Step(\"ring.watch.word\")", "\trel := w.r.marks.released.Load()\n\tif invariant.Enabled {\n\t\tinvariant.Step(\"ring.watch.word\")"},
			{"\t\trel := w.r.marks.released.Load() // after the word: the record had its room by then\n", ""}}, bySimulator, false},
	{"R12", "Look believes what was overwritten", "walk.go",
		[]edit{{"case now > w.tail, err != nil && now > rel:", "case false:"}}, "^TestLook", false},

	{"R13", "the consumer does not check sequences", "rx.go",
		[]edit{{"!ok || *r.seq(pos) != seq {", "!ok {"}}, "^TestSequence", false},
	{"R13", "attaching does not check sequences", "walk.go",
		[]edit{{"s != w.next {", "s != w.next && false {"}}, "^TestSequence", false},
	{"R13", "the end of the region is not checked", "format.go",
		[]edit{{"if h.adv > size/2 || off+h.adv > size {", "if false {"}}, "^TestWord|^TestRingThatIsChanged", false},
	{"R13", "the quick check does not look at the end of the region", "format.go",
		[]edit{{"pos&(size-1)+adv <= size && ", ""}}, "^TestWord", false},
	{"R13", "the quick check does not look at the limit", "format.go",
		[]edit{{" && pos+adv <= limit", ""}}, "^TestWord", false},
	{"R13", "what was not released may be overwritten", "format.go",
		[]edit{{"if pos+h.adv+HeaderSize > released+size {", "if false {"}}, "^TestWord", false},
	{"R13", "the producer believes any released", "tx.go",
		[]edit{{"if rel < t.seen || rel > t.tail || rel%align != 0 {", "if false {"}}, "^TestReleased", false},
	{"R13", "any released is a position", "format.go",
		[]edit{{"if rel%align != 0 || rel > maxPos {", "if false {"}}, "^TestAttachRefuses", false},

	{"R14", "the commit is a plain store", "tx.go",
		[]edit{{"atomic.StoreUint64(t.r.word(t.tail), word)", "*t.r.word(t.tail) = word"}}, byStream, true},
}
