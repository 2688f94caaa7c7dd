// SPDX-License-Identifier: Apache-2.0
//
// ZeroMQ over ipc:// or tcp://: PUSH to PULL one way, PAIR to PAIR there and back, library defaults (its
// own batching included), no message dropped: a PUSH with a full queue blocks.
//
//	zeromq ipc|tcp --mode throughput|latency --size 64
#include <zmq.h>

#include <vector>

#include "../common/peer.hpp"

namespace {

using peer::Options;

struct Socket {
	void* context = zmq_ctx_new();
	void* handle;
	explicit Socket(int type) : handle(zmq_socket(context, type)) {}
	void bind(const std::string& at) {
		if (zmq_bind(handle, at.c_str()) != 0) peer::die("bind %s: %s", at.c_str(), zmq_strerror(zmq_errno()));
	}
	void connect(const std::string& to) {
		if (zmq_connect(handle, to.c_str()) != 0) peer::die("connect %s: %s", to.c_str(), zmq_strerror(zmq_errno()));
	}
	void send(const std::vector<char>& message) {
		if (zmq_send(handle, message.data(), message.size(), 0) < 0) peer::die("send: %s", zmq_strerror(zmq_errno()));
	}
	void receive(std::vector<char>& message) {
		int n = zmq_recv(handle, message.data(), message.size(), 0);
		if (n != int(message.size())) peer::die("receive: %d bytes: %s", n, zmq_strerror(zmq_errno()));
	}
};

void produce(const std::string& address, const Options& o) {
	Socket out(ZMQ_PUSH);
	out.connect(address);
	std::vector<char> message(o.size, 'x');
	for (uint64_t n = 1;; n++) {
		peer::stamp(message.data(), n);
		out.send(message);
	}
}

void consume(const std::string& address, const Options& o, peer::Meter& meter) {
	Socket in(ZMQ_PULL);
	in.bind(address);
	std::vector<char> message(o.size);
	uint64_t want = 1;
	do {
		in.receive(message);
		peer::check(message.data(), want++);
	} while (meter.add());
}

void answer(const std::string& address, const Options& o) {
	Socket s(ZMQ_PAIR);
	s.connect(address);
	std::vector<char> message(o.size);
	for (;;) {
		s.receive(message);
		s.send(message);
	}
}

double ask(const std::string& address, const Options& o, peer::Histogram& h) {
	Socket s(ZMQ_PAIR);
	s.bind(address);
	std::vector<char> message(o.size, 'x');
	return peer::pingPong(o, h, [&](uint64_t n) {
		peer::stamp(message.data(), n);
		s.send(message);
		s.receive(message);
		peer::check(message.data(), n);
	});
}

} // namespace

int main(int argc, char** argv) {
	if (argc < 2) peer::die("usage: zeromq ipc|tcp [flags]");
	std::string transport = argv[1];
	Options o = peer::parse(argc - 1, argv + 1);
	o.wait = peer::Wait::park; // its threads sleep in poll
	std::string pid = std::to_string(getpid());
	// A port that follows from the pid, below the ephemeral range; a clash is an error of bind, not a wrong figure.
	std::string address = transport == "tcp" ? "tcp://127.0.0.1:" + std::to_string(20000 + getpid() % 10000)
	                                         : "ipc://" + o.dir + "/zeromq-" + pid + ".sock";
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
	peer::print(("zeromq-" + transport).c_str(), o, rate, h, since);
	_exit(0); // the context would wait for messages nobody reads any more
}
