// SPDX-License-Identifier: Apache-2.0

// Package shm holds what processes of one host share: named segments of
// memory, locks that die with their holder, and the doorbell that wakes a
// sleeping reader.
//
// A segment is a file that starts with a header of 128 bytes (magic, layout
// version, checksum, size; docs/format/segment.md). It gets its name only when it is complete,
// and its memory is allocated before that: a full file system is an error of
// Create and never a SIGBUS later.
package shm
