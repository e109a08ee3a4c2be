// Package limit holds the limits of one app: requests per minute, tokens per
// Beijing day, money per Beijing month.
//
// Start at [New]; [Limiter.Admit] answers whether a request may go on and
// reserves what it may cost at most, [Reservation.Settle] replaces that by what
// it did cost.
//
// What always holds:
//
//   - Of any number of parallel calls at one instant against N requests per
//     minute, exactly N pass; nothing is allowed twice and nothing lost.
//   - Used and reserved together never pass a day's or month's limit by an
//     admission; only a settlement above its own reservation can pass it.
//   - A reservation is settled once. It is never given back by itself: who does not
//     know the usage settles with the estimate.
//   - With a [Persist], what is set aside in the store for the day or month is never
//     below used + reserved when Admit returns, so before the call is made. It is
//     drawn ahead, in blocks, so that few requests pay for a write. A crash can
//     therefore count up to one block (1/64 of the limit) that was not used, and what
//     calls gave back since the last Flush; it can forget only what calls used above
//     their reservation since then.
//   - A refused request uses nothing up.
//
// The clock is given. If it goes back, a full minute is waited at most, and the
// figures of a day or month that comes again are still there.
package limit
