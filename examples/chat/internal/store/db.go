// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/skybus-io/skybus/examples/chat/internal/wire"

	_ "modernc.org/sqlite" // the driver: SQLite in Go, no C compiler needed
)

// WITHOUT ROWID keeps a room's messages together in the order of their numbers: a page of history is one run of the tree.
const schema = `
CREATE TABLE IF NOT EXISTS rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS messages (
	room INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, name TEXT NOT NULL,
	c TEXT NOT NULL, packet INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (room, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
	room INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, packet INTEGER NOT NULL, PRIMARY KEY (room, id)) WITHOUT ROWID;
`

// ErrTaken means that a message's number is that of another one in the file.
var ErrTaken = errors.New("the number is taken")

// A DB is the file. One goroutine may use it at a time.
type DB struct {
	sql   *sql.DB
	rooms map[string]int64 // the ids of those that were asked for
	stats Stats
}

// Stats count what a DB has done.
type Stats struct {
	Transactions uint64
	Rows         uint64 // written, without those that were there already
	Known        uint64 // rows that were there already
}

// Open opens the file at path, and makes it if it is not there.
//
// It is in WAL mode with synchronous=FULL: a transaction is one write to the end of the log and one fsync, and
// what was committed is there also after a loss of power. (With NORMAL it would survive the death of the
// process only.)
func Open(path string) (*DB, error) {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"}, "_txlock": {"immediate"}}
	s, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.SetMaxOpenConns(1)
	if _, err := s.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
	}
	return &DB{sql: s, rooms: map[string]int64{}}, nil
}

// Close closes the file.
func (d *DB) Close() error { return d.sql.Close() }

// Stats returns what was counted.
func (d *DB) Stats() Stats { return d.stats }

// Forget removes all members: no session of them exists any more. Messages stay.
func (d *DB) Forget() error {
	_, err := d.sql.Exec(`DELETE FROM members`)
	return err
}

// Write writes all of a batch, or nothing: one transaction. What is there already stays as it is.
func (d *DB) Write(batch []*Append) (err error) {
	tx, err := d.sql.Begin()
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	b, err := d.batch(tx)
	if err == nil {
		err = b.write(batch)
	}
	if err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		clear(d.rooms) // a room that was made in there is gone again
		return err
	}
	d.stats.Transactions++
	d.stats.Rows += b.rows
	d.stats.Known += b.known
	return nil
}

// A batch is a transaction with its statements.
type batch struct {
	db                *DB
	tx                *sql.Tx
	row, member, gone *sql.Stmt
	rows, known       uint64
}

func (d *DB) batch(tx *sql.Tx) (b *batch, err error) {
	b = &batch{db: d, tx: tx}
	prepare := func(text string) (s *sql.Stmt) {
		if err == nil {
			s, err = tx.Prepare(text)
		}
		return s
	}
	b.row = prepare(`INSERT OR IGNORE INTO messages (room, n, at, author, name, c, packet, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	b.member = prepare(`INSERT INTO members (room, id, name, packet) VALUES (?, ?, ?, ?)
		ON CONFLICT (room, id) DO UPDATE SET name = excluded.name, packet = max(packet, excluded.packet)`)
	b.gone = prepare(`DELETE FROM members WHERE room = ? AND id = ?`)
	return b, err
}

func (b *batch) write(batch []*Append) error {
	for _, a := range batch {
		room, err := b.db.room(b.tx, a.Room)
		if err != nil {
			return fmt.Errorf("room %s: %w", a.Room, err)
		}
		for i := range a.Rows {
			if err := b.writeRow(room, &a.Rows[i]); err != nil {
				return fmt.Errorf("message %d of room %s: %w", a.Rows[i].N, a.Room, err)
			}
		}
		for i := range a.Changes {
			if err := b.change(room, &a.Changes[i]); err != nil {
				return fmt.Errorf("member %s of room %s: %w", a.Changes[i].ID, a.Room, err)
			}
		}
	}
	return nil
}

func (b *batch) writeRow(room int64, r *Row) error {
	res, err := b.row.Exec(room, int64(r.N), r.At, r.From, r.Name, r.C, int64(r.Packet), r.Text)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if n == 1 || err != nil {
		b.rows++
		return err
	}
	b.known++
	var author, c string
	if err := b.tx.QueryRow(`SELECT author, c FROM messages WHERE room = ? AND n = ?`, room, int64(r.N)).Scan(&author, &c); err != nil {
		return err
	}
	if author != r.From || c != r.C {
		return fmt.Errorf("%w: it is %s's %q there, and not %s's %q: do two chats write to this file?", ErrTaken, author, c, r.From, r.C)
	}
	return nil
}

func (b *batch) change(room int64, m *Change) error {
	if m.Gone {
		_, err := b.gone.Exec(room, m.ID)
		return err
	}
	_, err := b.member.Exec(room, m.ID, m.Name, int64(m.Packet))
	return err
}

// queryer is a transaction or the file.
type queryer interface {
	QueryRow(query string, args ...any) *sql.Row
	Exec(query string, args ...any) (sql.Result, error)
}

// room returns the id of a room, which it makes if need be.
func (d *DB) room(q queryer, name string) (id int64, err error) {
	if id, ok := d.rooms[name]; ok {
		return id, nil
	}
	if _, err := q.Exec(`INSERT OR IGNORE INTO rooms (name) VALUES (?)`, name); err != nil {
		return 0, err
	}
	if err := q.QueryRow(`SELECT id FROM rooms WHERE name = ?`, name).Scan(&id); err != nil {
		return 0, err
	}
	d.rooms[name] = id
	return id, nil
}

// Heads returns at most limit rooms behind after, in the order of their names.
func (d *DB) Heads(after string, limit int) (heads []Head, err error) {
	rows, err := d.sql.Query(`SELECT name, coalesce((SELECT max(n) FROM messages WHERE room = rooms.id), 0)
		FROM rooms WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
	return collect(rows, err, func(h *Head) []any { return []any{&h.Room, &h.Last} })
}

// Members returns at most limit members of a room behind after, in the order of their IDs.
func (d *DB) Members(room, after string, limit int) ([]Change, error) {
	rows, err := d.sql.Query(`SELECT id, name, packet FROM members WHERE room = (SELECT id FROM rooms WHERE name = ?) AND id > ?
		ORDER BY id LIMIT ?`, room, after, limit)
	return collect(rows, err, func(m *Change) []any { return []any{&m.ID, &m.Name, &m.Packet} })
}

// Page returns messages as Page says.
func (d *DB) Page(p *Page) ([]Row, error) {
	before := p.Before
	if before == 0 || before > 1<<62 {
		before = 1 << 62
	}
	query := `SELECT * FROM (SELECT n, at, author, name, c, packet, text FROM messages
		WHERE room = (SELECT id FROM rooms WHERE name = ?) AND n < ? ORDER BY n DESC LIMIT ?) ORDER BY n`
	if p.Forward {
		query = `SELECT n, at, author, name, c, packet, text FROM messages
			WHERE room = (SELECT id FROM rooms WHERE name = ?) AND n >= ? ORDER BY n LIMIT ?`
	}
	rows, err := d.sql.QueryContext(context.Background(), query, p.Room, int64(before), min(max(p.Limit, 1), wire.MaxPage))
	return collect(rows, err, func(r *Row) []any { return []any{&r.N, &r.At, &r.From, &r.Name, &r.C, &r.Packet, &r.Text} })
}

// collect reads all rows of a query and closes it.
func collect[T any](rows *sql.Rows, err error, fields func(*T) []any) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t T
		if err := rows.Scan(fields(&t)...); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, rows.Err()
}
