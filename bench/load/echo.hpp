// SPDX-License-Identifier: Apache-2.0
//
// Echo: each client sends a packet and waits for it before it sends the next.
#pragma once

#include "clients.hpp"

namespace load {

class Echo {
public:
	Echo(Server& server, const peer::Options& o, unsigned clients)
	    : server(server), o(o), request(frame(o.size)), buffer(64 << 10), all(clients) {
		for (unsigned i = 0; i < clients; i++) {
			all[i].fd = enter(server, i);
			if (all[i].fd < 0) peer::die("client %u was not let in", i);
			unblock(all[i].fd);
			poll.add(all[i].fd, i, EPOLLIN);
		}
	}
	~Echo() {
		for (Client& c : all) close(c.fd);
	}

	// run asks for the duration. The server's numbers are read while nobody waits.
	Result run() {
		Result r;
		for (Client& c : all) ask(c, peer::now());
		during(o.warmup, nullptr);
		Stats before = server.ask("stats");
		uint64_t cpu = server.cpu(), began = peer::now();
		uint64_t answers = during(o.duration, &r.times);
		uint64_t took = peer::now() - began;
		cpu = server.cpu() - cpu;
		Stats after = server.ask("stats");
		r.perSecond = double(answers) * 1e9 / double(took);
		r.more["server_cpu_ns"] = double(cpu) / double(answers);
		r.more["allocs_per_op"] = (after["allocs"] - before["allocs"]) / double(answers);
		return r;
	}

private:
	// during serves all clients for so long, and returns how many answers have come.
	uint64_t during(uint64_t ns, peer::Histogram* times) {
		uint64_t answers = 0, until = peer::now() + ns;
		for (uint64_t t = 0; t < until; t = peer::now()) {
			int n = poll.each(1000, [&](unsigned i, uint32_t) {
				if (!answer(all[i])) return;
				uint64_t now = peer::now();
				answers++;
				if (times != nullptr) times->add(now - all[i].sent);
				ask(all[i], now);
			});
			if (n == 0) peer::die("no answer for 1 s");
		}
		return answers;
	}

	void ask(Client& c, uint64_t now) {
		peer::stamp(request.data() + head, ++c.number);
		c.sent = now;
		put(c.fd, request);
	}

	// answer reads what is there and says whether the answer is whole.
	bool answer(Client& c) {
		ssize_t n = recv(c.fd, buffer.data(), buffer.size(), 0);
		if (n <= 0) peer::die("the server has hung up on a client: %m");
		return c.stream.take(buffer.data(), size_t(n), o.size) > 0;
	}

	Server& server;
	const peer::Options& o;
	std::vector<char> request, buffer;
	std::vector<Client> all;
	Poll poll;
};

} // namespace load
