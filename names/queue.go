// SPDX-License-Identifier: Apache-2.0

package names

import "slices"

// MaxQueue is how many claims a name has at most, its owner's among them.
const MaxQueue = 256

// A Claim is one that has a name, or waits for it.
type Claim struct {
	Owner
	// Life tells processes apart that have had the address one after the other. The registry
	// gives it.
	Life  uint64
	Flags Flags
}

// Ask returns a name's queue after a request: the first claim has the name. list is what it was
// before, and is not changed. Of one owner there is one claim at most. With ErrTaken the queue may
// have changed as well: who does not want to wait loses the place it had.
func Ask(list []Claim, c Claim) ([]Claim, Standing, error) {
	at := find(list, c.Owner)
	others := slices.DeleteFunc(slices.Clone(list), func(o Claim) bool { return o.Owner == c.Owner })
	switch {
	case len(others) == 0 || at == 0:
		return slices.Insert(others, 0, c), Owns, nil
	case c.Flags&Replace != 0 && others[0].Flags&AllowReplacement != 0:
		if others[0].Flags&NoQueue != 0 {
			others = others[1:]
		}
		return slices.Insert(others, 0, c), Owns, nil
	case c.Flags&NoQueue != 0:
		return others, 0, ErrTaken
	case at > 0:
		return slices.Insert(others, at, c), Waits, nil
	}
	return append(others, c), Waits, nil
}

// GiveUp returns a name's queue without the claim of o. list is not changed. Errors: ErrNotOwner.
func GiveUp(list []Claim, o Owner) ([]Claim, error) {
	at := find(list, o)
	if at < 0 {
		return list, ErrNotOwner
	}
	return slices.Delete(slices.Clone(list), at, at+1), nil
}

func find(list []Claim, o Owner) int {
	return slices.IndexFunc(list, func(c Claim) bool { return c.Owner == o })
}
