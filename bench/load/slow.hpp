// SPDX-License-Identifier: Apache-2.0
//
// Slow: broadcasts to clients that read, then the same with some more that never do. What the server and the
// kernel keep is looked at between two broadcasts, when all who read have read everything.
#pragma once

#include <poll.h>

#include "fan.hpp"

namespace load {

// Kept is the most that was kept between two broadcasts, in bytes.
struct Kept {
	double server = 0, kernel = 0;
};

class Slow {
public:
	Slow(Server& server, const peer::Options& o, unsigned readers) : server(server), o(o), fan(server, o.size, readers) {}
	~Slow() {
		for (int fd : stalled) close(fd);
	}

	// stall lets so many clients in that do not read any more.
	void stall(unsigned clients) {
		for (unsigned i = 0; i < clients; i++) {
			stalled.push_back(enter(server, i));
			if (stalled.back() < 0) peer::die("client %u was not let in", i);
		}
	}

	// broadcast makes so many, each as soon as all readers have the last one and a hundredth of the duration
	// has passed since it began.
	Kept broadcast(unsigned orders, peer::Histogram& times) {
		Kept most;
		uint64_t next = peer::now();
		for (unsigned i = 0; i < orders; i++) {
			fan.order(1, &times);
			most.server = std::max(most.server, server.anonymous());
			most.kernel = std::max(most.kernel, kernel());
			next = std::max(next + o.duration / 100, peer::now());
			timespec t{time_t(next / 1'000'000'000), long(next % 1'000'000'000)};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
		}
		return most;
	}

	// left is how many of those that do not read have still their connection.
	unsigned left() const {
		unsigned n = 0;
		for (int fd : stalled) {
			pollfd p{fd, 0, 0};
			if (poll(&p, 1, 0) < 0) peer::die("poll: %m");
			n += (p.revents & (POLLHUP | POLLERR)) == 0;
		}
		return n;
	}

private:
	// kernel is what all TCP sockets of the machine hold.
	static double kernel() {
		FILE* f = fopen("/proc/net/sockstat", "re");
		if (f == nullptr) peer::die("open /proc/net/sockstat: %m");
		char text[256];
		double pages = -1;
		while (fgets(text, sizeof text, f) != nullptr) {
			const char* at = strncmp(text, "TCP:", 4) == 0 ? strstr(text, " mem ") : nullptr;
			if (at != nullptr) pages = strtod(at + 5, nullptr);
		}
		fclose(f);
		if (pages < 0) peer::die("/proc/net/sockstat says nothing of TCP's memory");
		return pages * double(sysconf(_SC_PAGESIZE));
	}

	Server& server;
	const peer::Options& o;
	Fan fan;
	std::vector<int> stalled;
};

// slow measures without those that do not read, and with them. Warming up takes a quarter as many broadcasts.
inline Result slow(Server& server, const peer::Options& o, unsigned clients, unsigned stalled, unsigned orders) {
	Slow s(server, o, clients - stalled);
	Result r;
	peer::Histogram warm, calm;
	s.broadcast(orders / 4, warm);
	Kept before = s.broadcast(orders, calm);
	s.stall(stalled);
	uint64_t began = peer::now();
	Kept with = s.broadcast(orders, r.times);
	r.perSecond = double(orders) * (clients - stalled) * 1e9 / double(peer::now() - began);
	r.more["calm_p99_ns"] = double(calm.quantile(.99));
	// One that reads and is kicked ends the run, so these are all whose fate is wrong.
	r.more["misjudged"] = s.left();
	r.more["grown_bytes"] = std::max(0.0, with.server - before.server);
	r.more["kernel_grown_bytes"] = std::max(0.0, with.kernel - before.kernel);
	return r;
}

} // namespace load
