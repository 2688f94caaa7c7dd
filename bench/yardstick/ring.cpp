// SPDX-License-Identifier: Apache-2.0
//
// The yardstick: the ring of lane.hpp between two processes, with nothing around it. The sender writes every
// byte of a message into the ring; the receiver checks its number there, or with --copyout in a copy.
// --plain takes the reader's rest away.
//
//	ring --mode throughput --size 64 --batch 32 --wait spin [--copyout] [--plain]
//	ring --mode latency --size 64 --wait spin|park|adaptive [--rate 1000]
#include <fcntl.h>
#include <sys/mman.h>

#include <new>
#include <vector>

#include "lane.hpp"

namespace {

using lane::Consumer;
using lane::Lane;
using lane::Producer;
using peer::Options;

struct Segment {
	Lane there, back;
};

// map makes the segment in a file that has no name any more: nothing is left however this process ends.
Segment* map(const Options& o) {
	std::string path = o.dir + "/skybus-yardstick-" + std::to_string(getpid());
	int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) peer::die("open %s: %m", path.c_str());
	unlink(path.c_str());
	if (ftruncate(fd, sizeof(Segment)) != 0) peer::die("ftruncate: %m");
	void* m = mmap(nullptr, sizeof(Segment), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (m == MAP_FAILED) peer::die("mmap: %m");
	close(fd);
	return new (m) Segment;
}

template <bool Wakes>
void produce(Lane& lane, const Options& o) {
	Producer<Wakes> out(lane, o.batch);
	std::vector<char> message(o.size, 'x');
	for (uint64_t n = 1;; n++) {
		peer::stamp(message.data(), n);
		memcpy(out.reserve(o.size), message.data(), o.size);
		out.commit(o.size);
	}
}

template <bool Copies>
void consume(Lane& lane, const Options& o, peer::Meter& meter) {
	Consumer in(lane, o.plain);
	std::vector<char> message(o.size);
	uint64_t want = 1;
	bool more = true;
	auto use = [&](const char* payload, uint32_t n) {
		if constexpr (Copies) {
			memcpy(message.data(), payload, n);
			payload = message.data();
		}
		peer::check(payload, want++);
		more = meter.add();
	};
	while (more)
		if (!in.take(use)) in.wait(o.wait);
}

template <bool Wakes>
void answer(Segment& s, const Options& o) {
	Consumer in(s.there);
	Producer<Wakes> out(s.back, 1);
	for (;;) {
		bool some = in.take([&](const char* payload, uint32_t n) {
			memcpy(out.reserve(n), payload, n);
			out.commit(n);
		});
		if (!some) in.wait(o.wait);
		else in.release();
	}
}

template <bool Wakes>
double ask(Segment& s, const Options& o, peer::Histogram& h) {
	Producer<Wakes> out(s.there, 1);
	Consumer in(s.back);
	std::vector<char> message(o.size, 'x');
	return peer::pingPong(o, h, [&](uint64_t n) {
		peer::stamp(message.data(), n);
		memcpy(out.reserve(o.size), message.data(), o.size);
		out.commit(o.size);
		while (!in.take([&](const char* payload, uint32_t) { peer::check(payload, n); })) in.wait(o.wait);
	});
}

} // namespace

int main(int argc, char** argv) {
	Options o = peer::parse(argc, argv);
	if (o.size > lane::capacity / 2 - lane::headerSize) peer::die("--size is more than half the ring");
	uint64_t since = peer::now();
	Segment* s = map(o);
	bool wakes = o.wait != peer::Wait::spin;
	peer::Histogram h;
	double rate;
	if (o.latency) {
		peer::Child other(o, [&] { wakes ? answer<true>(*s, o) : answer<false>(*s, o); });
		peer::pin(o, 0);
		rate = wakes ? ask<true>(*s, o, h) : ask<false>(*s, o, h);
	} else {
		peer::Meter meter(o);
		peer::Child other(o, [&] { wakes ? produce<true>(s->there, o) : produce<false>(s->there, o); });
		peer::pin(o, 0);
		o.copyout ? consume<true>(s->there, o, meter) : consume<false>(s->there, o, meter);
		rate = meter.perSecond();
	}
	peer::print("yardstick", o, rate, h, since);
}
