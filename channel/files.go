// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// NamesFile is the table of names in the domain's folder, of which package names/host knows more.
const NamesFile = "names"

// segmentPath returns the file of one generation of a lane. That of a durable lane
// is where the link leads that has the segment's name in the domain's folder.
func (t *Table) segmentPath(e *laneEntry, gen uint32) (string, error) {
	path := t.lanePath(e, gen)
	if !e.isDurable() {
		return path, nil
	}
	file, err := os.Readlink(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: the segment of a durable lane wants to be a link: %w", ErrDamaged, err)
		}
		return "", err
	}
	if !t.isOurs(file, filepath.Base(path)) {
		return "", fmt.Errorf("%w: %s leads to %s, want .../%s", ErrDamaged, path, file, filepath.Join(filepath.Base(t.dir), filepath.Base(path)))
	}
	return file, nil
}

// isOurs reports whether file can be the segment of that name.
func (t *Table) isOurs(file, name string) bool {
	return filepath.IsAbs(file) && filepath.Base(file) == name && filepath.Base(filepath.Dir(file)) == filepath.Base(t.dir)
}

// filesFolder is where the durable lanes of this domain are that dir is for.
func (t *Table) filesFolder(dir string) string { return filepath.Join(dir, filepath.Base(t.dir)) }

// folderOf returns where the files of a durable lane are that has some, gen or
// one before it among them.
func (t *Table) folderOf(e *laneEntry, gen uint32) (string, error) {
	for g := gen; g >= e.gen.Load() && g > 0; g-- {
		if file, err := t.segmentPath(e, g); err == nil {
			return filepath.Dir(file), nil
		}
	}
	p := pairOf(e)
	d, durable, err := t.durability(p)
	if err == nil && !durable {
		err = fmt.Errorf("lane %s: %w: it is durable, has no file, and no rule says where its files are", t.FormatPair(p), ErrDamaged)
	}
	return t.filesFolder(d.Dir), err
}

// makeFolder makes the folder of the durable lanes and brings it on disk.
func (t *Table) makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	dir := filepath.Dir(folder)
	for _, d := range []string{dir, folder} {
		if err := shm.MakeDir(d, t.cfg.Access); err != nil {
			return fmt.Errorf("folder for durable lanes: %w", err)
		}
	}
	return errors.Join(syncFolder(filepath.Dir(dir)), syncFolder(dir))
}

// createSegment makes the segment of generation gen. That of a durable lane is a
// file in folder, to which a link leads that is there first (D1), and it is on
// disk when this returns (D2). With replace set the file may exist.
func (t *Table) createSegment(e *laneEntry, gen uint32, l *life, spec shm.Spec) (*shm.Segment, error) {
	link := t.lanePath(e, gen)
	if !e.isDurable() {
		return shm.Create(link, spec)
	}
	folder, err := l.folder, error(nil)
	if folder == "" {
		if folder, err = t.folderOf(e, gen); err != nil {
			return nil, err
		}
	}
	if err := t.makeFolder(folder); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, filepath.Base(link))
	if l.replace {
		return t.replaceFile(file, link, spec)
	}
	if err := t.link(file, link); err != nil {
		return nil, err
	}
	seg, err := onDisk(shm.Create(file, spec))
	if err != nil {
		_ = removeLinked(link)
	}
	return seg, err
}

// replaceFile is createSegment for a file that may exist and counts until the new
// one is there.
func (t *Table) replaceFile(file, link string, spec shm.Spec) (*shm.Segment, error) {
	if err := relink(file, link); err != nil {
		return nil, err
	}
	return onDisk(shm.Replace(file, spec))
}

// onDisk brings a segment on disk that was just made: its bytes, and its name.
func onDisk(seg *shm.Segment, err error) (*shm.Segment, error) {
	if err != nil {
		return nil, err
	}
	if err = syncPath(seg.Path()); err == nil {
		err = syncFolder(filepath.Dir(seg.Path()))
	}
	if err != nil {
		seg.Close()
		return nil, err
	}
	return seg, nil
}

// link makes the link to file, in the place of one that is left over.
func (t *Table) link(file, link string) error {
	step("durable.link")
	err := os.Symlink(file, link)
	if errors.Is(err, fs.ErrExist) {
		if err = removeLinked(link); err == nil {
			err = os.Symlink(file, link)
		}
	}
	return err
}

// removeGeneration removes one generation of a lane: a durable one's file, then the
// link to it (D1).
func (t *Table) removeGeneration(e *laneEntry, gen uint32) error {
	path := t.lanePath(e, gen)
	if e.isDurable() {
		return removeLinked(path)
	}
	return os.Remove(path)
}

// removeLinked removes the file that link leads to, then the link.
func removeLinked(link string) error {
	if _, err := removeTarget(link); err != nil {
		return err
	}
	step("durable.unlink")
	return os.Remove(link)
}

// removeTarget removes the file that link leads to, with what was left of making
// it, and returns its folder.
func removeTarget(link string) (folder string, err error) {
	file, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	folder = filepath.Dir(file)
	if filepath.Base(file) != filepath.Base(link) {
		return folder, nil // no link of ours: it is not followed
	}
	step("durable.remove")
	err = os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(filepath.Join(folder, ".tmp-"+filepath.Base(file)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return folder, err
}

// removeForGood removes files and the links to them such that the files do not
// come back with the host: their names may be given to another life of the lane (D8).
func removeForGood(links []string) error {
	folders := map[string]bool{}
	for _, link := range links {
		folder, err := removeTarget(link)
		if err != nil {
			return err
		}
		folders[folder] = true
	}
	for folder := range folders {
		if err := syncFolder(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, link := range links {
		step("durable.unlink")
		if err := os.Remove(link); err != nil {
			return err
		}
	}
	return nil
}

// dropLinks removes the links below generation gen that lead nowhere: their
// consumer died after it had removed the file.
func (t *Table) dropLinks(e *laneEntry, gen uint32) {
	for g := e.gen.Load(); g < gen && e.isDurable(); g++ {
		if !t.exists(e, g) {
			_ = removeLinked(t.lanePath(e, g)) // Check knows it
		}
	}
}

// relink makes link lead to file, wherever it leads now.
func relink(file, link string) error {
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	step("durable.relink")
	return os.Symlink(file, link)
}

// syncPath brings the bytes of a file on disk.
func syncPath(file string) error {
	f, err := sys.Open(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	step("durable.persist")
	if err := syncFile(f); err != nil {
		return syncFailed(file, err)
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// removeDurable deletes the durable lanes of a domain that is to be destroyed: its
// table is what tells where their files are. Under the change lock; nobody has
// bound anything.
func (t *Table) removeDurable() error {
	for i := range t.laneCount() {
		if e := t.lane(i); e.isDurable() && (e.state.Load() == laneLive || e.state.Load() == laneIdle) {
			if err := t.removeLane(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// IsGateFile reports whether a name is that of a file which the gate of an address has in the domain's folder: its vault, of which
// package gate/vault knows more, or the socket at which other gates hand connections over.
func IsGateFile(name string) bool {
	rest, gate := strings.CutPrefix(name, "gate-")
	home, kind, _ := strings.Cut(rest, ".")
	_, err := strconv.ParseUint(home, 16, 32)
	return gate && len(home) == 8 && err == nil && (kind == "vault" || kind == "sock")
}
