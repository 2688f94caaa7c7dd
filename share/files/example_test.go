// SPDX-License-Identifier: Apache-2.0

package files_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skybus-io/skybus/share"
	"github.com/skybus-io/skybus/share/files"
)

type Monster struct {
	HP   int    `json:"hp" yaml:"hp"`
	Name string `json:"name" yaml:"name"`
}

// A bad file leaves the table as it is.
func Example() {
	dir, err := os.MkdirTemp("", "monsters")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "monsters.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			fmt.Println(err)
		}
	}

	write("orc: {hp: 30, name: Orc}\n")
	monsters, err := files.Load[map[string]Monster](path, files.Validate(func(all map[string]Monster) error {
		if all["orc"].HP < 1 {
			return errors.New("the orc needs hp")
		}
		return nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	table := monsters.Table()
	fmt.Println(table.Name(), table.Load().Number(), table.Get()["orc"].HP)

	write("orc:\n  hp: 30\n  nam: Orc\n")
	_, err = monsters.Reload()
	if bad, ok := errors.AsType[*files.Error](err); ok {
		fmt.Println("line", bad.Line, bad.Reason)
	}
	fmt.Println(table.Name(), table.Load().Number(), table.Get()["orc"].HP)

	write("orc: {hp: 35, name: Orc}\n")
	changed, err := monsters.Reload()
	fmt.Println(changed, err, table.Load().Number(), table.Get()["orc"].HP)
	// Output:
	// monsters 1 30
	// line 3 field nam not found in type files_test.Monster
	// monsters 1 30
	// true <nil> 2 35
}

// A tree has no Go type of its own.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "game")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "game.json")
	if err := os.WriteFile(path, []byte(`{"monsters": {"1001": {"hp": 30}}}`), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	file, err := files.Load[any](path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(share.At[int64](file.Table(), "monsters", "1001", "hp"))
	// Output: 30 <nil>
}
