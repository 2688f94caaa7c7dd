// SPDX-License-Identifier: Apache-2.0
//
// nng over ipc:// or tcp://, PAIR in both directions with queues of 1,024 messages: PUSH has none in the
// versions that Debian carries and moves a third as much. A full queue blocks; nothing is dropped. Messages
// are copied in and read where the library has them.
//
//	nng ipc|tcp --mode throughput|latency --size 64
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include <vector>

#include "../common/peer.hpp"

namespace {

using peer::Options;

void must(int code, const char* verb) {
	if (code != 0) peer::die("%s: %s", verb, nng_strerror(code));
}

struct Socket {
	nng_socket handle;
	Socket() {
		must(nng_pair0_open(&handle), "open");
		must(nng_socket_set_int(handle, NNG_OPT_SENDBUF, 1024), "set send queue");
		must(nng_socket_set_int(handle, NNG_OPT_RECVBUF, 1024), "set receive queue");
	}
	void listen(const std::string& at) { must(nng_listen(handle, at.c_str(), nullptr, 0), "listen"); }
	// dial waits for the listener to appear: both processes start at once.
	void dial(const std::string& to) {
		for (int tries = 0; nng_dial(handle, to.c_str(), nullptr, 0) != 0; tries++) {
			if (tries == 1000) peer::die("dial %s: nobody listens", to.c_str());
			usleep(2000);
		}
	}
	void send(void* payload, size_t size) { must(nng_send(handle, payload, size, 0), "send"); }
	// receive returns a message in place; it is there until the next call.
	void* receive(size_t size) {
		if (message) nng_msg_free(message);
		must(nng_recvmsg(handle, &message, 0), "receive");
		if (nng_msg_len(message) != size) peer::die("receive: %zu bytes", nng_msg_len(message));
		return nng_msg_body(message);
	}

private:
	nng_msg* message = nullptr;
};

void produce(const std::string& address, const Options& o) {
	Socket out;
	out.dial(address);
	std::vector<char> message(o.size, 'x');
	for (uint64_t n = 1;; n++) {
		peer::stamp(message.data(), n);
		out.send(message.data(), message.size());
	}
}

void consume(const std::string& address, const Options& o, peer::Meter& meter) {
	Socket in;
	in.listen(address);
	uint64_t want = 1;
	do peer::check(in.receive(o.size), want++);
	while (meter.add());
}

void answer(const std::string& address, const Options& o) {
	Socket s;
	s.dial(address);
	for (;;) s.send(s.receive(o.size), o.size);
}

double ask(const std::string& address, const Options& o, peer::Histogram& h) {
	Socket s;
	s.listen(address);
	std::vector<char> message(o.size, 'x');
	return peer::pingPong(o, h, [&](uint64_t n) {
		peer::stamp(message.data(), n);
		s.send(message.data(), message.size());
		peer::check(s.receive(o.size), n);
	});
}

} // namespace

int main(int argc, char** argv) {
	if (argc < 2) peer::die("usage: nng ipc|tcp [flags]");
	std::string transport = argv[1];
	Options o = peer::parse(argc - 1, argv + 1);
	o.wait = peer::Wait::park; // its threads sleep in poll
	std::string pid = std::to_string(getpid());
	std::string address = transport == "tcp" ? "tcp://127.0.0.1:" + std::to_string(20000 + getpid() % 10000)
	                                         : "ipc://" + o.dir + "/nng-" + pid + ".sock";
	uint64_t since = peer::now();
	peer::Histogram h;
	double rate;
	peer::Child other(o, [&] { o.latency ? answer(address, o) : produce(address, o); });
	peer::pin(o, 0);
	if (o.latency) {
		rate = ask(address, o, h);
	} else {
		peer::Meter meter(o);
		consume(address, o, meter);
		rate = meter.perSecond();
	}
	other.stop();
	if (transport != "tcp") unlink(address.c_str() + strlen("ipc://"));
	peer::print(("nng-" + transport).c_str(), o, rate, h, since);
	_exit(0); // the library's threads need not be joined
}
