// Package audit is Homeport's evidence log: an append-only journal of events
// that are durable before anything they tell of happens, and the events
// themselves.
//
// Start at [Open] (one writer), [Journal.Append] (returns when the record is on
// disk), [Journal.Join] (a conclusion, which waits for nobody) and, without any
// lock, [Read] and [Verify]. The events are [Decision], [Attempt], [Conclusion]
// and [Admin]; AppendDecision and its siblings encode, [Parse] decodes strictly.
// The bytes of a record are never written again in another form: record i of
// the journal is leaf i of the transparency tree.
//
// What always holds:
//
//   - Append returned nil: the record is on stable storage, and every later Open
//     finds it, once, at the same index.
//   - Append returned an error: the caller must act as if the record did not
//     exist. It may exist all the same (a batch that became durable after the
//     wait ran out); a record of something that was then not done is harmless,
//     the reverse is not.
//   - After a failed write or sync nothing more is written to that file. The
//     journal refuses with [ErrStopped] until [Journal.Reopen] or the next Open.
//   - Indexes start at 0 and have no gap and no repetition over all segments.
//
// The package has no clock of its own beyond timers for its bounded waits, and
// knows nothing of HTTP, rules or configuration.
//
// # Format of the journal, version 1
//
// A journal is a folder. All integers are little endian; CRC is CRC-32C
// (Castagnoli, as in RFC 3720), stored as is.
//
//	lock                      an empty file, locked while a writer lives
//	settled                   optional hint, decimal index and a newline (see MarkSettled)
//	<first, 20 digits>.hpj    a segment; <first> is the index of its first record
//	<first, 20 digits>.hpj.tmp  a segment being made; not part of the journal
//
// Segments in the order of their names are the journal. A segment is a header,
// then frames, then zeros up to the end of the file (space taken in advance).
//
//	header, 32 bytes
//	  0  8  magic "HPJOURNL"
//	  8  4  version, 1
//	 12  4  zero
//	 16  8  index of the first record
//	 24  4  zero
//	 28  4  CRC of bytes 0 to 28
//
//	record frame, 8 + n bytes
//	  0  4  n, length of the payload, 1 to 65,535
//	  4  4  CRC of: the record's index (8 bytes), n (4 bytes), the payload
//	  8  n  payload
//
//	mark frame, 16 bytes
//	  0  4  bytes 48 50 4D F8
//	  4  4  CRC of: those 4 bytes, the index (8), the mark's offset in the file (8), the segment's first index (8)
//	  8  8  index of the next record
//
// A mark begins each batch. It is written only after everything before it has
// been synced, so it divides what was durable from what may be torn:
//
//   - The first frame that does not check, with no valid mark behind it in the
//     file, is a torn tail: the batch being written when the machine stopped.
//     Nothing in it was acknowledged unless it is whole.
//   - With a valid mark behind it, or in a segment that has a successor, it is
//     damage to durable data: an error that names segment and offset.
//
// Damage confined to the very last batch cannot be told from a torn tail by the
// journal alone; the signed checkpoints of the tree can.
//
// A segment ends where the next one begins. If the last batch of a segment is
// found without a mark behind it, the writer that opens the folder copies its
// whole records (same indexes, so same bytes) to the head of the next segment
// before it adds anything, because after a failed sync what is read back may be
// in memory only. Records of a segment with an index at or beyond the first
// index of its successor are therefore leftovers, not part of the journal.
package audit
