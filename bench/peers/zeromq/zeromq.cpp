// SPDX-License-Identifier: Apache-2.0
//
// ZeroMQ over ipc:// or tcp://: PUSH to PULL one way, PAIR to PAIR there and back, library defaults (its
// own batching included), no message dropped: a PUSH with a full queue blocks. Messages are copied in and
// read where the library has them.
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
	explicit Socket(int type) : handle(zmq_socket(context, type)) { zmq_msg_init(&message); }
	void bind(const std::string& at) {
		if (zmq_bind(handle, at.c_str()) != 0) peer::die("bind %s: %s", at.c_str(), zmq_strerror(zmq_errno()));
	}
	void connect(const std::string& to) {
		int soon = 1; // ms: the other side may not be there yet
		zmq_setsockopt(handle, ZMQ_RECONNECT_IVL, &soon, sizeof soon);
		if (zmq_connect(handle, to.c_str()) != 0) peer::die("connect %s: %s", to.c_str(), zmq_strerror(zmq_errno()));
	}
	void send(const void* payload, size_t size) {
		if (zmq_send(handle, payload, size, 0) < 0) peer::die("send: %s", zmq_strerror(zmq_errno()));
	}
	// receive returns a message in place; it is there until the next call.
	const void* receive(size_t size) {
		int n = zmq_msg_recv(&message, handle, 0);
		if (n != int(size)) peer::die("receive: %d bytes: %s", n, zmq_strerror(zmq_errno()));
		return zmq_msg_data(&message);
	}

private:
	zmq_msg_t message{};
};

void produce(const std::string& address, const Options& o) {
	Socket out(ZMQ_PUSH);
	out.connect(address);
	std::vector<char> message(o.size, 'x');
	for (uint64_t n = 1;; n++) {
		peer::stamp(message.data(), n);
		out.send(message.data(), message.size());
	}
}

void consume(const std::string& address, const Options& o, peer::Meter& meter) {
	Socket in(ZMQ_PULL);
	in.bind(address);
	uint64_t want = 1;
	do peer::check(in.receive(o.size), want++);
	while (meter.add());
}

void answer(const std::string& address, const Options& o) {
	Socket s(ZMQ_PAIR);
	s.connect(address);
	for (;;) s.send(s.receive(o.size), o.size);
}

double ask(const std::string& address, const Options& o, peer::Histogram& h) {
	Socket s(ZMQ_PAIR);
	s.bind(address);
	std::vector<char> message(o.size, 'x');
	return peer::pingPong(o, h, [&](uint64_t n) {
		peer::stamp(message.data(), n);
		s.send(message.data(), message.size());
		peer::check(s.receive(o.size), n);
	});
}

} // namespace

int main(int argc, char** argv) {
	if (argc < 2) peer::die("usage: zeromq ipc|tcp [flags]");
	std::string transport = argv[1];
	Options o = peer::parse(argc - 1, argv + 1);
	o.wait = peer::Wait::park; // its threads sleep in poll
	if (transport == "tcp") o.tls = "off";
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
