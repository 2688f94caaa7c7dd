// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skybus-io/skybus/addr"
)

var laneAB = Pair{addrA, addrB}

// The two configured channels of the scenarios about them.
var (
	channelAC = Channel{A: addrA, B: addrC, SendSize: 8192, RecvSize: 4096, Desc: "a to c"}
	channelCD = Channel{A: addrC, B: addrD, SendSize: 4096, RecvSize: 16384, Priority: 3}
)

var scenarios = []scenario{
	{name: "open", run: func(w *world) { w.open() }},
	{name: "bind", run: func(w *world) { w.reader(); w.leaveB() }},
	{name: "first-send", setup: liveReader, run: firstSend},
	{name: "first-send-unread", setup: knownReader, run: firstSend},
	{name: "slot-reuse", setup: freedEntry, run: firstSend},
	{name: "grow", setup: knownReader, run: grow},
	{name: "grow-read", setup: liveReader, run: grow},
	{name: "stray", setup: strayGeneration, run: func(w *world) { w.send(20) }},
	{name: "follow", setup: grown, run: func(w *world) { w.receive() }},
	{name: "follow-lagging", setup: laggingEntry, run: func(w *world) { w.receive() }},
	{name: "follow-copying", setup: grown, run: func(w *world) { w.receiveCopies() }},
	{name: "take-live-sender", setup: liveSender, run: func(w *world) { w.receive() }},
	{name: "park", run: park},
	{name: "wait-for-room", run: waitForRoom},
	{name: "give-back", setup: idleWithReader, run: func(w *world) { w.giveBack() }},
	{name: "reopen-unretired", setup: closedLane, run: func(w *world) { w.send(20, 3000) }},
	{name: "retire", setup: closedLane, run: func(w *world) { w.receive() }},
	{name: "retire-live-sender", setup: closedLiveSender, run: func(w *world) { w.receive() }},
	{name: "reopen-retired", setup: idleLane, run: func(w *world) { w.send(20, 3000) }},
	{name: "reopen-read", setup: closedLaneReopened, run: func(w *world) { w.receive() }},
	{name: "configure", setup: configuredAC, run: configure, redo: configureAgain},
	{name: "delete", setup: configuredAC, run: deleteAC, redo: deleteAgain},
	{name: "delete-on-demand", setup: grown, run: deleteAB, redo: deleteAgain},
	{name: "clean", setup: grown, run: cleanAB, redo: cleanAgain},
	{name: "clean-bound", setup: grownLiveReader, run: cleanAB, redo: cleanAgain},
	{name: "remake", damaged: true, setup: quarantined, run: remakeAB, redo: remakeAgain},
	{name: "settings", setup: grown, run: settings},
	{name: "recover", setup: halfRemoved, run: func(w *world) { w.send(20) }},
	{name: "destroy", setup: destroyable, run: destroy, redo: destroyAgain},
	{name: "destroy-make-anew", setup: destroyable, run: destroy, redo: makeAnew},
	{name: "relay-out", setup: sentAB, run: relayOut},
	{name: "relay-in", setup: sentAB, run: relayIn},
	{name: "durable-relay-in", durable: true, setup: sentAB, run: relayIn},
	{name: "durable-first-send", durable: true, setup: knownReader, run: firstSend},
	{name: "durable-grow", durable: true, setup: knownReader, run: grow},
	{name: "durable-stray", durable: true, setup: strayGeneration, run: func(w *world) { w.send(20) }},
	{name: "durable-follow", durable: true, setup: grown, run: func(w *world) { w.receive() }},
	{name: "durable-delete", durable: true, setup: grown, run: deleteAB, redo: deleteAgain},
	{name: "durable-remake", durable: true, damaged: true, setup: quarantined, run: remakeAB, redo: remakeAgain},
	{name: "durable-destroy", durable: true, setup: destroyable, run: destroy, redo: destroyAgain},
	{name: "durable-destroy-make-anew", durable: true, setup: destroyable, run: destroy, redo: makeAnew},
	{name: "take-up", durable: true, setup: leftBehindWhole, run: func(w *world) { w.open() }, redo: takenUp},
	{name: "take-up-damaged", durable: true, setup: leftBehindDamaged, run: func(w *world) { w.open() }, redo: takenUp},
	{name: "take-up-by-sender", durable: true, setup: leftBehindWhole, run: func(w *world) { w.send(20, 3000) }, redo: takenUp},
	{name: "take-up-removed", durable: true, setup: leftBehindRemains, run: func(w *world) { w.open() }, redo: takenUp},
}

func liveReader(w *world) { w.reader() }

func knownReader(w *world) { w.reader(); w.leaveB() }

func firstSend(w *world) { w.send(20, 40); w.batch(12, 100, 200) }

// freedEntry leaves an entry of the table that was used before; the table that
// stays open has looked at it.
func freedEntry(w *world) {
	knownReader(w)
	w.bindA()
	for _, dst := range []addr.Addr{addrC, addrD} {
		b, err := w.t.Bind(dst)
		fatal(err)
		s, err := w.t.NewSender(Pair{addrA, dst})
		fatal(err)
		s.Close()
		b.Close()
	}
	w.leaveA()
	fatal(w.t.Delete(Channel{A: addrA, B: addrC}, false))
	w.t.find(laneAB)
}

// grow fills the lane until it has grown twice.
func grow(w *world) {
	for i := 0; w.sender().at.gen < 3 && i < 6; i++ {
		w.send(1500)
		if w.s.at.gen == 2 {
			w.send(9000)
		}
	}
}

func grown(w *world) { knownReader(w); grow(w); w.leaveA() }

// laggingEntry leaves what a consumer leaves that dies after it has unlinked a
// generation, and one more generation to be passed.
func laggingEntry(w *world) {
	liveReader(w)
	w.send(1500, 1500, 1500)
	w.receive()
	i, _ := w.t.find(laneAB)
	w.t.lane(i).gen.Store(1)
	w.send(9000, 20)
	w.leave()
}

func grownLiveReader(w *world) { liveReader(w); grow(w); w.leaveA() }

// strayGeneration leaves what a producer leaves that dies before MOVED.
func strayGeneration(w *world) {
	knownReader(w)
	w.send(20)
	fatal(w.t.change(func() error {
		next, err := w.s.make(16384, nil)
		w.t.pool.put(next.seg)
		return err
	}))
	w.leaveA()
}

func liveSender(w *world) { knownReader(w); firstSend(w) }

// park is one process that waits for its own messages.
func park(w *world) {
	w.reader()
	bell := w.b.Bell()
	w.sender()
	for episode := range uint32(2) {
		d := bell.Count()
		bell.Sleep(episode + 1)
		w.d.Look()
		w.send(20) // rings
		bell.Wait(d, time.Millisecond)
		bell.Awake(episode + 1)
		w.receive()
		w.d.Look()
	}
}

// waitForRoom is one process that reads while it waits for room.
func waitForRoom(w *world) {
	w.reader()
	w.send(20, 1000)
	w.s.WaitRoom(1)
	w.receive()
	w.s.GotRoom(1)
}

func idleWithReader(w *world) { liveReader(w); w.send(20, 20); w.receive(); w.leaveA() }

func closedLane(w *world) { closedLiveSender(w); w.leaveA() }

func closedLiveSender(w *world) { liveReader(w); w.send(20); w.receive(); w.giveBack(); w.leaveB() }

// closedLaneReopened is a lane whose reader has yet to see that it was closed
// and goes on.
func closedLaneReopened(w *world) { closedLiveSender(w); w.send(20, 3000); w.leaveA() }

func idleLane(w *world) { closedLiveSender(w); w.leaveA(); w.receive(); w.leaveB() }

func configuredAC(w *world) {
	knownReader(w)
	_, err := w.t.Configure([]Channel{channelAC}, false, false)
	fatal(err)
}

func configure(w *world) {
	_, err := w.open().Configure([]Channel{channelCD}, true, false)
	fatal(err)
}

func configureAgain(w *world) {
	configure(w)
	wantLanes(w, true, Pair{addrC, addrD}, Pair{addrD, addrC})
	if list := w.t.Channels(); len(list) != 1 || list[0].A != addrC || list[0].Priority != 3 {
		panic(fmt.Sprintf("channels: %+v", list))
	}
}

// wantLanes checks which lanes there are, of the configured ones or of all.
func wantLanes(w *world, configured bool, want ...Pair) {
	var have []Pair
	for _, l := range w.t.Lanes() {
		if l.Configured || !configured {
			have = append(have, Pair{l.Src, l.Dst})
		}
		if l.Err != nil {
			panic(l.Err)
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		panic(fmt.Sprintf("lanes: %v, want %v", have, want))
	}
}

func deleteAC(w *world) { fatal(w.open().Delete(channelAC, true)) }

func deleteAB(w *world) { fatal(w.open().Delete(Channel{A: addrA, B: addrB}, true)) }

// deleteAgain repeats whichever deletion it was.
func deleteAgain(w *world) {
	deleteAC(w)
	deleteAB(w)
	wantLanes(w, false)
	w.led.forget()
}

func cleanAB(w *world) {
	w.led.set(ledgerDiscarded, w.led.get(ledgerAttempted))
	_, _, err := w.open().Clean(laneAB)
	fatal(err)
}

func cleanAgain(w *world) {
	cleanAB(w)
	w.receive()
	if l, ok := w.t.Lane(laneAB); !ok || l.Messages != 0 {
		panic(fmt.Sprintf("the cleaned lane holds %d messages (%v)", l.Messages, l.Err))
	}
}

func quarantined(w *world) {
	grown(w)
	i, _ := w.t.find(laneAB)
	_ = w.t.quarantine(w.t.lane(i), ErrDamaged)
}

func remakeAB(w *world) {
	if _, _, err := w.open().Clean(laneAB); err != nil && !errors.Is(err, ErrNoRoute) {
		panic(err)
	}
}

func remakeAgain(w *world) { remakeAB(w); w.led.forget() }

func settings(w *world) {
	fatal(w.open().SetStrict(true))
	fatal(w.t.SetPriority(laneAB, 9))
	fatal(w.t.SetStrict(false))
}

// halfRemoved leaves what a process leaves that is killed deep in a change.
func halfRemoved(w *world) {
	freedEntry(w)
	w.t.st.mutation.Add(1)
	i, _ := w.t.find(Pair{addrA, addrD})
	w.t.lane(i).state.Store(laneRemoving)
	fatal(os.WriteFile(w.t.path(".tmp-left"), []byte("x"), 0o600))
}

func destroyable(w *world) { grown(w); w.leave() }

func destroy(w *world) {
	t, err := Open(w.root, testKey, Config{}, false)
	if err == nil { // not the second who tries
		fatal(t.Destroy(true))
	}
}

// destroyAgain does what an operator does who is told that there is still such a
// domain, and what one does who is told that there is none.
func destroyAgain(w *world) {
	w.led.forget()
	t, err := Open(w.root, testKey, Config{}, false)
	if err == nil {
		fatal(t.Destroy(true))
		t.Close()
	} else if !errors.Is(err, ErrNoDomain) {
		panic(err)
	}
	if _, err := os.Stat(Dir(w.root, testKey)); !errors.Is(err, os.ErrNotExist) {
		panic(fmt.Sprintf("the domain's folder after destroying it: %v", err))
	}
}

// makeAnew is a process that does not know of the destruction.
func makeAnew(w *world) {
	if _, ok := w.open().Lane(laneAB); !ok {
		w.led.forget()
	}
}
