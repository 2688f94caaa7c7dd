// SPDX-License-Identifier: Apache-2.0
//
// The clients: connections of one process, which one thread serves. A packet is two bytes of length, big-endian,
// and the payload. The first packet of a client is one byte and comes back: then it is let in.
#pragma once

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "server.hpp"

namespace load {

constexpr uint32_t head = 2;

// A source address has so many clients: a gate lets in only so many from one, and the ports of one are soon used up.
constexpr unsigned perAddress = 200;

// Frame is one packet, ready to be sent.
inline std::vector<char> frame(uint32_t size) {
	std::vector<char> f(head + size, 'x');
	f[0] = char(size >> 8), f[1] = char(size);
	return f;
}

// raise lets this process, and the server that it starts, have all descriptors that they may.
inline void raise(unsigned clients) {
	rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) peer::die("getrlimit: %m");
	if (limit.rlim_max < clients + 64)
		peer::die("%u clients need %u descriptors a process, and the hard limit is %llu: raise it (ulimit -Hn)",
		          clients, clients + 64, (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) peer::die("setrlimit: %m");
}

// open makes a socket for the n-th client, which will be reset when it is closed: nothing stays behind in the kernel.
inline int open(unsigned n, int flags = 0) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0) peer::die("socket: %m");
	int on = 1;
	linger reset{1, 0};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	sockaddr_in source{};
	source.sin_family = AF_INET;
	source.sin_addr.s_addr = htonl(0x7f010001 + n / perAddress % 65'000);
	if (bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0) peer::die("bind: %m");
	return fd;
}

inline bool connected(int fd, const sockaddr_in& to) {
	return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

// enter connects the n-th client and waits until it is let in. -1: it was not.
inline int enter(const Server& server, unsigned n) {
	int fd = open(n);
	timeval patience{5, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	char hello[] = {0, 1, 'h'}, answer[sizeof hello];
	bool in = connected(fd, server.address) && send(fd, hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello &&
	          recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer && memcmp(hello, answer, sizeof hello) == 0;
	if (in) return fd;
	close(fd);
	return -1;
}

inline void unblock(int fd) {
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) peer::die("fcntl: %m");
}

// put sends all of a small packet: the socket has room for it.
inline void put(int fd, const std::vector<char>& packet) {
	if (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) != ssize_t(packet.size())) peer::die("send: %m");
}

// Stream checks what a client gets: packets of one size, numbered from 1.
class Stream {
public:
	// take looks at n bytes and returns how many packets have ended in them.
	unsigned take(const char* b, size_t n, uint32_t size) {
		unsigned ended = 0;
		while (n > 0) {
			size_t here = at < sizeof begin ? std::min(sizeof begin - at, n) : std::min(head + size - at, n);
			if (at < sizeof begin) memcpy(begin + at, b, here);
			at += here, b += here, n -= here;
			if (at == sizeof begin && here > 0) check(size);
			if (at == head + size) at = 0, ended++;
		}
		return ended;
	}

private:
	void check(uint32_t size) {
		uint32_t length = uint32_t(uint8_t(begin[0])) << 8 | uint8_t(begin[1]);
		if (length != size) peer::die("a packet of %u bytes came where one of %u was due", length, size);
		peer::check(begin + head, ++number);
	}

	char begin[head + 8]; // the length and the number
	size_t at = 0;        // bytes of the packet that have come
	uint64_t number = 0;
};

struct Client {
	int fd = -1;
	uint64_t sent = 0; // when its request was
	uint64_t number = 0;
	uint32_t due = 0; // packets that it waits for
	Stream stream;
};

// Poll waits for clients.
class Poll {
public:
	Poll() : fd(epoll_create1(EPOLL_CLOEXEC)), events(512) {
		if (fd < 0) peer::die("epoll_create1: %m");
	}
	Poll(const Poll&) = delete;
	~Poll() { close(fd); }

	void add(int which, unsigned index, uint32_t what) {
		epoll_event e{};
		e.events = what, e.data.u32 = index;
		if (epoll_ctl(fd, EPOLL_CTL_ADD, which, &e) != 0) peer::die("epoll_ctl: %m");
	}

	// each calls f(index, events) for every client that has something, after waiting so many ms at most.
	template <class F>
	int each(int ms, F f) {
		int n = epoll_wait(fd, events.data(), int(events.size()), ms);
		if (n < 0 && errno != EINTR) peer::die("epoll_wait: %m");
		for (int i = 0; i < n; i++) f(events[size_t(i)].data.u32, events[size_t(i)].events);
		return n;
	}

private:
	int fd;
	std::vector<epoll_event> events;
};

// Result is what a case has measured; print writes the result line.
struct Result {
	double perSecond = 0;  // of what was counted
	peer::Histogram times;
	std::map<std::string, double> more; // fields of the line besides
};

} // namespace load
