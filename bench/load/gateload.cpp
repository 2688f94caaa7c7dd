// SPDX-License-Identifier: Apache-2.0
//
// The load of the area gate: clients in one thread, and the server that they measure.
//
//	gateload --server PROGRAM --as KIND --case echo|fan|slow|accept|exhausted [--clients N] [--batch N] ...
//
// All servers get the same clients. The clock is the clients', the processor time and what is allocated are the server's.
#include "accept.hpp"
#include "echo.hpp"
#include "slow.hpp"

namespace {

struct Plan {
	std::string program, as, what;
	unsigned clients = 100, stalled = 20, orders = 400, descriptors = 256;
	unsigned processors = 0; // that a server in Go uses at a time; 0: all
};

// parse takes the load's own flags out of the arguments and leaves the rest to peer::parse.
peer::Options parse(int argc, char** argv, Plan& p) {
	std::vector<char*> rest{argv[0]};
	for (int i = 1; i < argc; i++) {
		std::string flag = argv[i];
		auto number = [&](unsigned& n) { n = unsigned(atoi(argv[++i])); };
		auto text = [&](std::string& s) { s = argv[++i]; };
		bool last = i + 1 == argc;
		if (last) rest.push_back(argv[i]);
		else if (flag == "--server") text(p.program);
		else if (flag == "--as") text(p.as);
		else if (flag == "--case") text(p.what);
		else if (flag == "--clients") number(p.clients);
		else if (flag == "--stalled") number(p.stalled);
		else if (flag == "--orders") number(p.orders);
		else if (flag == "--descriptors") number(p.descriptors);
		else if (flag == "--processors") number(p.processors);
		else rest.push_back(argv[i]);
	}
	if (p.program.empty() || p.as.empty()) peer::die("--server and --as say what is measured");
	if (p.clients <= (p.what == "slow" ? p.stalled : 0) || p.descriptors < 32) peer::die("too few --clients or --descriptors");
	return peer::parse(int(rest.size()), rest.data());
}

load::Result measure(load::Server& server, const peer::Options& o, const Plan& p) {
	if (p.what == "echo") return load::Echo(server, o, p.clients).run();
	if (p.what == "fan") return load::fan(server, o, p.clients, o.batch);
	if (p.what == "slow") return load::slow(server, o, p.clients, p.stalled, p.orders);
	if (p.what == "accept") return load::accepts(server, o);
	if (p.what == "exhausted") return load::exhausted(server, o, p.descriptors);
	peer::die("--case wants echo, fan, slow, accept or exhausted");
}

// print writes the result line. The size is what the case is about, which the runner gives.
void print(const peer::Options& o, uint32_t size, const std::string& name, const load::Result& r, double cores) {
	printf("{\"name\":\"%s\",\"size\":%u,\"mode\":\"%s\",\"msgs_per_s\":%.1f,\"p50_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,"
	       "\"max_ns\":%llu,\"cpu\":%.2f,\"tls\":\"off\"",
	       name.c_str(), size, o.latency ? "latency" : "throughput", r.perSecond, (unsigned long long)r.times.quantile(.5),
	       (unsigned long long)r.times.quantile(.99), (unsigned long long)r.times.quantile(.999),
	       (unsigned long long)r.times.max(), cores);
	for (const auto& [field, value] : r.more) printf(",\"%s\":%.6g", field.c_str(), value);
	printf("}\n");
	fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
	Plan p;
	peer::Options o = parse(argc, argv, p);
	alarm(unsigned(2 * (o.duration + o.warmup) / 1'000'000'000) + 50); // connecting thousands takes its time
	uint64_t since = peer::now();
	load::raise(p.clients);
	if (p.processors != 0) setenv("GOMAXPROCS", std::to_string(p.processors).c_str(), 1);
	bool limited = p.what == "exhausted", echoes = p.what != "fan" && p.what != "slow";
	load::Server server({p.program, p.as, echoes ? "echo" : "fan", o.dir}, limited ? p.descriptors : 0);
	load::Result r = measure(server, o, p);
	server.stop();
	print(o, o.size, p.as, r, peer::cpuSeconds() / (double(peer::now() - since) / 1e9));
}
