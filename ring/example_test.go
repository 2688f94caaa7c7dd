// SPDX-License-Identifier: Apache-2.0

package ring_test

import (
	"fmt"

	"github.com/skybus-io/skybus/ring"
)

// Two messages go out in one batch and are read in place.
func Example() {
	region, err := ring.NewRegion(make([]byte, ring.MarksSize), make([]byte, ring.MinSize))
	if err != nil {
		fmt.Println(err)
		return
	}
	region.Format(1)
	tx, _ := ring.AttachTx(region)
	rx, _ := ring.AttachRx(region)

	for _, text := range []string{"hello", "world"} {
		payload, err := tx.Claim(len(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		copy(payload, text)
	}
	fmt.Println("before the commit:", rx.Ready())
	tx.Commit()

	records := make([]ring.Record, 8)
	n, err := rx.Take(records, 4096)
	for _, rec := range records[:n] {
		fmt.Printf("%d %s\n", rec.Seq, rec.Data)
	}
	rx.ReleaseAll() // from here on the bytes are the producer's again
	fmt.Println(n, err, tx.Empty())
	// Output:
	// before the commit: false
	// 1 hello
	// 2 world
	// 2 <nil> true
}
