// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

const benchSize = 1 << 20

// drop puts a ring back to empty without a consumer, at the cost of one attach.
func drop(b *testing.B, tx *Tx) {
	tx.r.marks.released.Store(tx.tail)
	if tx.tail != lookAt(b, tx.r).Tail {
		b.Fatal("the tail is not where the producer is")
	}
}

// BenchmarkTx commits messages one at a time and in batches, with nobody reading.
func BenchmarkTx(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		for _, batch := range []int{1, 32} {
			b.Run(fmt.Sprintf("%dB/batch%d", size, batch), func(b *testing.B) {
				tx := attachTx(b, region(b, benchSize, 1))
				b.SetBytes(int64(size))
				b.ResetTimer()
				for i := range b.N {
					buf, err := tx.Claim(size)
					if err != nil {
						tx.Commit()
						drop(b, tx)
						buf = claim(b, tx, size)
					}
					buf[0] = byte(i)
					if (i+1)%batch == 0 {
						tx.Commit()
					}
				}
			})
		}
	}
}

// BenchmarkRx takes messages that wait already; at the last one it begins anew.
func BenchmarkRx(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		for _, batch := range []int{1, 32} {
			b.Run(fmt.Sprintf("%dB/batch%d", size, batch), func(b *testing.B) {
				tx, rx := both(b, region(b, benchSize, 1))
				refill(b, tx, rx, size)
				recs := make([]Record, batch)
				b.SetBytes(int64(size))
				b.ResetTimer()
				for done := 0; done < b.N; {
					n, err := rx.Take(recs, benchSize)
					if err != nil {
						b.Fatal(err)
					}
					if n == 0 {
						rx.pos, rx.seq, rx.released, rx.claimed = 0, 1, 0, 0
						continue
					}
					rx.Release(&recs[n-1], false)
					done += n
				}
			})
		}
	}
}

// refill fills the ring.
func refill(b *testing.B, tx *Tx, rx *Rx, size int) {
	rx.ReleaseAll()
	for {
		if ok, err := tx.Room(size); !ok {
			if err != nil {
				b.Fatal(err)
			}
			return
		}
		claim(b, tx, size)
		tx.Commit()
	}
}

// BenchmarkRoundTrip sends a message to another goroutine, which sends it back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{8, 64, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			there, back := region(b, benchSize, 1), region(b, benchSize, 1)
			tx, rx := attachTx(b, there), attachRx(b, back)
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				echo(attachRx(b, there), attachTx(b, back), &stop)
			}()
			recs := make([]Record, 1)
			b.ResetTimer()
			for range b.N {
				claim(b, tx, size)
				tx.Commit()
				await(rx, recs, &stop)
			}
			stop.Store(true)
			<-done
		})
	}
}

func echo(rx *Rx, tx *Tx, stop *atomic.Bool) {
	recs := make([]Record, 1)
	for await(rx, recs, stop) {
		if b, err := tx.Claim(len(recs[0].Data)); err == nil {
			copy(b, recs[0].Data)
			tx.Commit()
		}
	}
}

// await takes and releases one record; it lets others run now and then.
func await(rx *Rx, recs []Record, stop *atomic.Bool) bool {
	for i := 1; !stop.Load(); i++ {
		if n, _ := rx.Take(recs, 0); n > 0 {
			rx.Release(&recs[0], true)
			return true
		}
		if i%256 == 0 {
			runtime.Gosched()
		}
	}
	return false
}

// BenchmarkStream carries messages from one goroutine to another in batches.
func BenchmarkStream(b *testing.B) {
	tx, rx := both(b, region(b, benchSize, 1))
	b.SetBytes(64)
	b.ResetTimer()
	go func() {
		for i := 0; i < b.N; {
			if _, err := tx.Claim(64); err != nil {
				tx.Commit()
				runtime.Gosched()
				continue
			}
			if i++; i%32 == 0 || i == b.N {
				tx.Commit()
			}
		}
	}()
	recs := make([]Record, 32)
	for done := 0; done < b.N; {
		n, err := rx.Take(recs, benchSize)
		if err != nil {
			b.Fatal(err)
		}
		if n == 0 {
			runtime.Gosched()
			continue
		}
		rx.Release(&recs[n-1], false)
		done += n
	}
}

// BenchmarkAttach walks over a full ring of small messages.
func BenchmarkAttach(b *testing.B) {
	tx, rx := both(b, region(b, benchSize, 1))
	refill(b, tx, rx, 64)
	records := lookAt(b, tx.r).Records
	b.ResetTimer()
	for range b.N {
		attachTx(b, tx.r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}
