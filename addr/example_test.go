// SPDX-License-Identifier: Apache-2.0

package addr_test

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/addr"
)

func ExampleParse() {
	a, err := addr.Parse("0.0.3.1")
	fmt.Println(a, uint32(a), err)

	_, err = addr.Parse("0.0.300.1")
	fmt.Println(err)
	fmt.Println(errors.Is(err, addr.ErrRange))
	// Output:
	// 0.0.3.1 769 <nil>
	// address "0.0.300.1": segment 3 is 300, template 8.8.8.8 allows 0..255
	// true
}

func ExampleTemplate() {
	t := addr.MustTemplate("6.8.8.10")
	a, err := t.Parse("1.2.3.1000")
	fmt.Println(t.Format(a), err)
	fmt.Println(t.Segments(), "segments,", t.Bits(), "bits")
	// Output:
	// 1.2.3.1000 <nil>
	// 4 segments, 32 bits
}

func ExampleTemplate_Append() {
	line := []byte("to ")
	line = addr.Default.Append(line, 769)
	fmt.Println(string(line))
	// Output: to 0.0.3.1
}

func ExamplePrefix() {
	p, err := addr.Default.ParsePrefix("0.0.3.*")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"0.0.3.1", "0.0.3.200", "0.0.4.1"} {
		a, _ := addr.Parse(text)
		fmt.Println(p, "contains", a, p.Contains(a))
	}
	// Output:
	// 0.0.3.* contains 0.0.3.1 true
	// 0.0.3.* contains 0.0.3.200 true
	// 0.0.3.* contains 0.0.4.1 false
}
