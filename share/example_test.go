// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"fmt"
	"maps"

	"github.com/skybus-io/skybus/share"
)

// A reader that holds a version is not disturbed by a newer one.
func Example() {
	prices := share.New("prices", map[string]int{"sword": 100, "shield": 60})
	before := prices.Load()

	_, err := prices.Update(func(old map[string]int) (map[string]int, error) {
		next := maps.Clone(old)
		next["sword"] = 120
		return next, nil
	})

	fmt.Println(prices.Load().Number(), prices.Get()["sword"], err)
	fmt.Println(before.Number(), before.Value()["sword"])
	// Output:
	// 2 120 <nil>
	// 1 100
}

func ExampleTable_Watch() {
	level := share.New("level", 1)
	told := make(chan string)
	stop := level.Watch(func(old, current *share.Version[int]) {
		told <- fmt.Sprintf("from %d to %d", old.Value(), current.Value())
	})
	defer stop()

	level.Replace(2)
	fmt.Println(<-told)
	// Output: from 1 to 2
}

func ExampleAt() {
	tree := share.New[any]("game", map[string]any{
		"monsters": map[string]any{"orc": map[string]any{"hp": int64(30)}},
	})
	hp, err := share.At[int64](tree, "monsters", "orc", "hp")
	fmt.Println(hp, err)

	_, err = share.At[string](tree, "monsters", "orc", "hp")
	fmt.Println(err)
	// Output:
	// 30 <nil>
	// table "game": "monsters.orc.hp": found int64, asked for string
}

func ExampleLookup() {
	var tables share.Registry
	if err := tables.Add(share.New("prices", map[string]int{"sword": 100})); err != nil {
		fmt.Println(err)
		return
	}
	prices, err := share.Lookup[map[string]int](&tables, "prices")
	fmt.Println(prices.Get()["sword"], err)

	_, err = share.Lookup[[]int](&tables, "prices")
	fmt.Println(err)
	// Output:
	// 100 <nil>
	// look up table "prices": it holds map[string]int, asked for []int: share: wrong type
}
