// SPDX-License-Identifier: Apache-2.0
//
// Accept: clients come and go as fast as the server takes them, and the server counts. Exhausted: more come than
// it has descriptors for.
#pragma once

#include <deque>

#include "clients.hpp"

namespace load {

// present is how many clients there are at once, in the server's backlog or accepted.
constexpr size_t present = 512;

// accepts connects, and resets the client that has been there longest. The server's own count is what counts.
inline Result accepts(Server& server, const peer::Options& o) {
	Result r;
	std::deque<int> all;
	unsigned n = 0;
	auto during = [&](uint64_t ns) {
		for (uint64_t until = peer::now() + ns; peer::now() < until;) {
			int fd = open(n++);
			if (!connected(fd, server.address)) peer::die("connect: %m");
			all.push_back(fd);
			if (all.size() > present) close(all.front()), all.pop_front();
		}
	};
	during(o.warmup);
	Stats before = server.ask("stats");
	uint64_t cpu = server.cpu(), began = peer::now();
	during(o.duration);
	Stats after = server.ask("stats");
	uint64_t took = peer::now() - began;
	double accepted = after["accepted"] - before["accepted"];
	r.perSecond = accepted * 1e9 / double(took);
	r.more["server_cpu_ns"] = double(server.cpu() - cpu) / accepted;
	for (int fd : all) close(fd);
	return r;
}

// exhausted lets clients in until the server has no descriptors, keeps it so for the duration, and then
// makes room. Those who came first have to be served all the time, and those who come last again.
inline Result exhausted(Server& server, const peer::Options& o, unsigned descriptors) {
	Result r;
	std::vector<int> in, late;
	std::vector<char> packet = frame(o.size), answer(packet.size());
	auto served = [&](int fd) {
		return send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) == ssize_t(packet.size()) &&
		       recv(fd, answer.data(), answer.size(), MSG_WAITALL) == ssize_t(answer.size()) && answer == packet;
	};
	unsigned n = 0, unserved = 0;
	while (in.size() < descriptors / 2) {
		in.push_back(enter(server, n++));
		if (in.back() < 0) peer::die("client %u was not let in, of %u descriptors", n - 1, descriptors);
	}
	uint64_t cpu = server.cpu(), began = peer::now();
	do {
		for (unsigned i = 0; i < descriptors && late.size() < 4 * descriptors; i++) {
			int fd = open(n++, SOCK_NONBLOCK); // it is not waited for: there is nobody who accepts
			connected(fd, server.address);
			late.push_back(fd);
		}
		usleep(1000);
	} while (peer::now() - began < o.duration);
	for (int fd : in) unserved += !served(fd);
	r.more["server_cores"] = double(server.cpu() - cpu) / double(peer::now() - began);
	for (int fd : late) close(fd);
	uint64_t room = began = peer::now();
	for (unsigned i = 0; i < descriptors / 4; i++) {
		int fd = -1; // one that comes before there is room may be turned away, and tries again
		for (uint64_t limit = peer::now() + 5'000'000'000; fd < 0 && peer::now() < limit; fd = enter(server, n++)) usleep(1000);
		r.times.add(peer::now() - began);
		unserved += fd < 0 || !served(fd);
		began = peer::now();
		if (fd >= 0) in.push_back(fd);
	}
	if (!server.alive()) unserved += unsigned(in.size());
	r.perSecond = double(descriptors / 4) * 1e9 / double(peer::now() - room);
	r.more["unserved"] = unserved;
	for (int fd : in) if (fd >= 0) close(fd);
	return r;
}

} // namespace load
