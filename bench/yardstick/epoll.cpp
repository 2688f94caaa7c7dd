// SPDX-License-Identifier: Apache-2.0
//
// The gate's yardstick: a bare epoll loop in one thread that does nothing but what has to be done. It keeps no
// queue for anybody: where a client does not take what it gets, it waits.
//
//	epoll AS echo|fan DIR
//
// echo returns the bytes as they come. fan knows packets: one byte comes back, eight are an order (load/fan.hpp);
// all packets of an order leave in one write a client. See load/server.hpp for how it is run.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <unordered_map>

#include "../peers/common/peer.hpp"

namespace {

constexpr size_t head = 2;
constexpr size_t longest = head + 8; // packet that a client may send in fan

struct Client {
	char half[longest]; // a packet that is not whole, of fan
	size_t have = 0;
};

class Loop {
public:
	explicit Loop(bool fans) : fans(fans), buffer(64 << 10) {
		poll = epoll_create1(EPOLL_CLOEXEC);
		listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		sockaddr_in at{};
		at.sin_family = AF_INET;
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		socklen_t size = sizeof at;
		if (poll < 0 || listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
		    listen(listener, SOMAXCONN) != 0 || getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
			peer::die("listen: %m");
		add(listener);
		add(0);
		printf("ready 127.0.0.1:%u\n", unsigned(ntohs(at.sin_port)));
		fflush(stdout);
	}

	// run serves until the standard input ends.
	void run() {
		std::vector<epoll_event> events(512);
		for (;;) {
			int n = epoll_wait(poll, events.data(), int(events.size()), -1);
			if (n < 0 && errno != EINTR) peer::die("epoll_wait: %m");
			for (int i = 0; i < n; i++) {
				int fd = events[size_t(i)].data.fd;
				if (fd == listener) accept();
				else if (fd != 0) read(fd);
				else if (!command()) return;
			}
		}
	}

private:
	void add(int fd) {
		epoll_event e{};
		e.events = EPOLLIN, e.data.fd = fd;
		if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) != 0) peer::die("epoll_ctl: %m");
	}

	// accept takes all who wait.
	void accept() {
		for (;;) {
			int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
			if (fd < 0 && errno == ECONNABORTED) continue;
			if (fd < 0 && errno != EAGAIN) peer::die("accept: %m");
			if (fd < 0) return;
			accepted++;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
			if (fans) clients.try_emplace(fd);
			add(fd);
		}
	}

	// read reads once: what is left makes the next wait return at once, which is cheaper than a second read that
	// finds nothing.
	void read(int fd) {
		ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
		if (n < 0 && errno == EAGAIN) return;
		if (n <= 0) {
			close(fd);
			clients.erase(fd);
		} else if (fans) {
			packets(fd, buffer.data(), size_t(n));
		} else {
			write(fd, buffer.data(), size_t(n));
		}
	}

	// write waits where the socket has no room. A client that is gone is noticed by the next read.
	static void write(int fd, const char* b, size_t n) {
		while (n > 0) {
			ssize_t did = send(fd, b, n, MSG_NOSIGNAL);
			if (did < 0 && errno != EAGAIN) return;
			if (did < 0) {
				pollfd p{fd, POLLOUT, 0};
				::poll(&p, 1, -1);
				continue;
			}
			b += did, n -= size_t(did);
		}
	}

	void packets(int fd, const char* b, size_t n) {
		Client& c = clients[fd];
		for (; n > 0; b++, n--) {
			c.half[c.have++] = *b;
			if (c.have < head) continue;
			size_t size = size_t(uint8_t(c.half[0])) << 8 | uint8_t(c.half[1]);
			if (size > longest - head) peer::die("a packet of %zu bytes", size);
			if (c.have < head + size) continue;
			c.have = 0;
			if (size == 8) order(c.half + head);
			else write(fd, c.half, head + size);
		}
	}

	void order(const char* packet) {
		uint32_t count, size;
		memcpy(&count, packet, 4), memcpy(&size, packet + 4, 4);
		std::vector<char> all(count * (head + size), 'x');
		for (uint32_t i = 0; i < count; i++) {
			char* at = all.data() + i * (head + size);
			at[0] = char(size >> 8), at[1] = char(size);
			peer::stamp(at + head, ++number);
		}
		for (const auto& [fd, _] : clients) write(fd, all.data(), all.size());
	}

	// command answers a line. All have the same answer.
	bool command() {
		char text[64];
		if (::read(0, text, sizeof text) <= 0) return false;
		printf("accepted=%llu allocs=0\n", (unsigned long long)accepted);
		fflush(stdout);
		return true;
	}

	bool fans;
	std::vector<char> buffer;
	int poll, listener;
	std::unordered_map<int, Client> clients; // of fan
	uint64_t accepted = 0, number = 0;
};

} // namespace

int main(int argc, char** argv) {
	if (argc < 3) peer::die("usage: epoll AS echo|fan [DIR]");
	Loop(strcmp(argv[2], "fan") == 0).run();
}
