// SPDX-License-Identifier: Apache-2.0
//
// The yardstick's ring: what a lane of Skybus is, written in C++ with nothing else around it. One producer,
// one consumer, records of variable length in a power-of-two region. The commit is in the record:
//
//	 0               8               16                     16+length, rounded up to 16
//	+---------------+---------------+----------------------+----------------+
//	| commit word   | sequence      | payload              | next header .. |
//	+---------------+---------------+----------------------+----------------+
//	commit word: 0, or lap tag (bits 48-63) | flags (40-47) | length + 1 (0-31)
//
// The header at the tail is always {0, next sequence}. A batch is published by one release store of its
// first commit word, after the header behind its last record has been zeroed. The consumer writes only
// `claimed` and `released`, on a line of its own.
//
// A reader that finds the lane empty after a burst rests for 1.5 us before it looks again. While it polls,
// it takes the line that the writer is about to fill away from it, message after message; while it rests,
// the writer gets ahead. Measured at 64 B: one by one 21 -> 34 M/s, with a reader that may sleep 13 -> 25,
// in batches of 32 40 -> 47. A round trip never sees the rest: there a burst is one message.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstring>

#include "../peers/common/peer.hpp"

namespace lane {

constexpr uint64_t capacity = 1 << 20;
constexpr uint64_t headerSize = 16;
constexpr uint64_t flagPad = uint64_t(1) << 40;

struct Header {
	std::atomic<uint64_t> word; // producer writes, consumer reads
	uint64_t sequence;          // producer writes before the word
};
static_assert(sizeof(Header) == headerSize);

// Control is in front of the records. Lines of different writers are 128 bytes apart: the prefetcher
// fetches lines in pairs.
struct Control {
	alignas(128) std::atomic<uint64_t> claimed; // consumer: the user may have seen everything below
	std::atomic<uint64_t> released;             // consumer: the producer may overwrite everything below
	alignas(128) std::atomic<uint32_t> sleeping; // consumer: the number of its sleep, 0 awake
	alignas(128) std::atomic<uint32_t> bell;     // the futex word; the producer counts its rings
};

struct Lane {
	Control control;
	alignas(4096) char data[capacity];
};

// futexWait and futexWake work across processes: the word is not PRIVATE.
inline void futexWait(std::atomic<uint32_t>& word, uint32_t expected) {
	timespec limit{1, 0};
	syscall(SYS_futex, &word, FUTEX_WAIT, expected, &limit, nullptr, 0);
}
inline void futexWake(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

// pause tells the processor that this is a polling loop; own asks for a line to write it.
#if defined(__x86_64__)
inline void pause() { __builtin_ia32_pause(); }
inline void own(const char* line) { asm volatile("prefetchw %0" ::"m"(*line)); }
#else
inline void pause() {
#if defined(__aarch64__)
	asm volatile("yield");
#endif
}
inline void own(const char* line) { __builtin_prefetch(line, 1); }
#endif

constexpr uint64_t recordSize(uint32_t n) { return headerSize + ((uint64_t(n) + 15) & ~uint64_t(15)); }
constexpr uint64_t commitWord(uint64_t position, uint64_t flags, uint32_t n) {
	return (position / capacity) << 48 | flags | (uint64_t(n) + 1);
}

// Producer is the writing end. With Wakes it asks after each publication whether the reader sleeps.
template <bool Wakes>
class Producer {
public:
	Producer(Lane& lane, unsigned batch) : lane(lane), batch(batch) {
		header(0)->sequence = sequence;
		header(0)->word.store(0, std::memory_order_release);
	}

	// reserve returns room for n bytes at the tail; it waits while the lane is full.
	char* reserve(uint32_t n) {
		uint64_t size = recordSize(n), offset = tail & (capacity - 1);
		if (offset + size > capacity) [[unlikely]] {
			pad(capacity - offset, size);
			offset = 0;
		} else if (tail + size + headerSize - released > capacity) [[unlikely]] {
			waitForRoom(tail + size + headerSize);
		}
		own(lane.data + ((offset + ahead) & (capacity - 1)));
		return lane.data + offset + headerSize;
	}

	// commit ends the record begun by reserve(n); the batch's last commit publishes all.
	void commit(uint32_t n) {
		uint64_t next = tail + recordSize(n);
		Header* behind = header(next);
		behind->word.store(0, std::memory_order_relaxed);
		behind->sequence = ++sequence;
		put(commitWord(tail, 0, n));
		tail = next;
		if (++pending >= batch) flush();
	}

	// flush publishes what is committed and not yet visible.
	void flush() {
		if (!open) return;
		open = false;
		pending = 0;
		if constexpr (!Wakes) {
			header(first)->word.store(firstWord, std::memory_order_release);
			return;
		}
		header(first)->word.store(firstWord, std::memory_order_seq_cst); // XCHG: the commit and the full barrier
		uint32_t episode = lane.control.sleeping.load(std::memory_order_seq_cst);
		if (episode != 0 && episode != woken) [[unlikely]] {
			woken = episode;
			lane.control.bell.fetch_add(1);
			futexWake(lane.control.bell);
		}
	}

private:
	// reserve asks for the line so far ahead before the stores need it: the consumer has it from the last
	// lap. Measured: a sixth more in batches, a third more without.
	static constexpr uint64_t ahead = 1024;

	Header* header(uint64_t position) { return reinterpret_cast<Header*>(lane.data + (position & (capacity - 1))); }

	// put writes an inner word at once and keeps back the batch's first.
	void put(uint64_t word) {
		if (open) {
			header(tail)->word.store(word, std::memory_order_relaxed);
			return;
		}
		open = true;
		first = tail;
		firstWord = word;
	}

	[[gnu::noinline]] void pad(uint64_t rest, uint64_t size) {
		if (tail + rest + size + headerSize - released > capacity) waitForRoom(tail + rest + size + headerSize);
		Header* start = header(0);
		start->word.store(0, std::memory_order_relaxed);
		start->sequence = sequence;
		put(commitWord(tail, flagPad, uint32_t(rest - headerSize)));
		tail += rest;
	}

	[[gnu::noinline]] void waitForRoom(uint64_t end) {
		flush();
		while (end - (released = lane.control.released.load(std::memory_order_acquire)) > capacity) pause();
	}

	Lane& lane;
	unsigned batch, pending = 0;
	bool open = false;
	uint64_t tail = 0, sequence = 1;
	uint64_t released = 0; // the producer's copy, refreshed when the lane looks full
	uint64_t first = 0, firstWord = 0;
	uint32_t woken = 0;
};

// Consumer is the reading end.
class Consumer {
public:
	explicit Consumer(Lane& lane, bool plain = false) : lane(lane), plain(plain) {}

	// take hands the next record to use(payload, length) and says whether there was one.
	template <class Use>
	bool take(Use use) {
		Header* h = header();
		uint64_t word = h->word.load(std::memory_order_acquire);
		if (word == 0) return false;
		verify(h, word);
		if (word & flagPad) [[unlikely]] {
			head += capacity - (head & (capacity - 1));
			return take(use);
		}
		uint32_t n = uint32_t(word) - 1;
		uint64_t end = head + recordSize(n);
		lane.control.claimed.store(end, std::memory_order_release);
		use(reinterpret_cast<char*>(h) + headerSize, n);
		head = end;
		sequence++;
		if (head - released >= capacity / 8) [[unlikely]] release();
		return true;
	}

	// release gives the producer the room of everything taken.
	void release() {
		if (released == head) return;
		released = head;
		lane.control.released.store(head, std::memory_order_release);
	}

	// wait returns when there may be a record: at once if one is there, otherwise as the policy says.
	void wait(peer::Wait policy) {
		release();
		if (sequence - looked > 1 && !plain) rest();
		looked = sequence;
		if (policy == peer::Wait::spin) {
			while (empty()) pause();
			return;
		}
		if (policy == peer::Wait::adaptive && linger()) return;
		sleep();
	}

private:
	static constexpr uint64_t restTime = 1'500;    // ns
	static constexpr uint64_t lingerTime = 30'000; // ns: about two futex wake-ups

	Header* header() { return reinterpret_cast<Header*>(lane.data + (head & (capacity - 1))); }
	// empty is in the one order of commits and sleeps: either sleep sees the record, or the producer the sleeper.
	bool empty() { return header()->word.load(std::memory_order_seq_cst) == 0; }

	void verify(Header* h, uint64_t word) {
		bool good = word >> 48 == ((head / capacity) & 0xffff) && h->sequence == sequence;
		if (!good) [[unlikely]] peer::die("record at %llu is damaged: word %llx", (unsigned long long)head, (unsigned long long)word);
	}

	static void rest() {
		for (uint64_t end = peer::now() + restTime; peer::now() < end;) pause();
	}

	// linger polls for a while and says whether something came.
	bool linger() {
		uint64_t end = peer::now() + lingerTime;
		do {
			for (int i = 0; i < 16; i++) {
				if (!empty()) return true;
				pause();
			}
		} while (peer::now() < end);
		return false;
	}

	// sleep: take the bell's count, say that we sleep, look once more, then wait for the count to change.
	void sleep() {
		uint32_t count = lane.control.bell.load(std::memory_order_relaxed);
		if (++episode == 0) episode = 1;
		lane.control.sleeping.store(episode, std::memory_order_seq_cst);
		while (empty() && lane.control.bell.load(std::memory_order_relaxed) == count) futexWait(lane.control.bell, count);
		lane.control.sleeping.store(0, std::memory_order_relaxed);
	}

	Lane& lane;
	uint64_t head = 0, sequence = 1, released = 0;
	uint64_t looked = 1; // the sequence at the last wait
	uint32_t episode = 0;
	bool plain;
};

} // namespace lane
