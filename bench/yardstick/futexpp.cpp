// SPDX-License-Identifier: Apache-2.0
//
// The floor for a parked round trip: two processes hand one shared word to and fro and sleep on it. No
// payload, no ring, no check whether anybody sleeps.
#include <sys/mman.h>

#include <atomic>
#include <new>

#include "lane.hpp"

namespace {

struct Words {
	alignas(128) std::atomic<uint32_t> ping;
	alignas(128) std::atomic<uint32_t> pong;
};

void ring(std::atomic<uint32_t>& word, uint32_t value) {
	word.store(value, std::memory_order_release);
	lane::futexWake(word);
}

// await returns when the word has the value; it is set only once per round trip.
void await(std::atomic<uint32_t>& word, uint32_t value) {
	for (uint32_t seen; (seen = word.load(std::memory_order_acquire)) != value;) lane::futexWait(word, seen);
}

} // namespace

int main(int argc, char** argv) {
	peer::Options o = peer::parse(argc, argv);
	o.latency = true;
	o.wait = peer::Wait::park;
	uint64_t since = peer::now();
	void* m = mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m == MAP_FAILED) peer::die("mmap: %m");
	Words* words = new (m) Words{};
	peer::Child other(o, [&] {
		for (uint32_t n = 1;; n++) {
			await(words->ping, n);
			ring(words->pong, n);
		}
	});
	peer::pin(o, 0);
	peer::Histogram h;
	double rate = peer::pingPong(o, h, [&](uint64_t n) {
		ring(words->ping, uint32_t(n));
		await(words->pong, uint32_t(n));
	});
	other.stop();
	peer::print("futex", o, rate, h, since);
}
