// SPDX-License-Identifier: Apache-2.0
//
// What the C++ programs of this module share: options, clock, meter, histogram, the second process and
// the result line. A program measures one thing and prints one JSON object on one line:
//
//	{"name":..,"size":..,"mode":..,"wait":..,"msgs_per_s":..,"bytes_per_s":..,
//	 "p50_ns":..,"p99_ns":..,"p999_ns":..,"max_ns":..,"cpu":..,"tls":..}
//
// The clock belongs to the receiver (throughput) or to the side that asks (latency). cpu is the number of
// cores that both processes kept busy, from start to end.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace peer {

[[noreturn]] inline void die(const char* format, ...) {
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

inline uint64_t now() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
}

enum class Wait { spin, park, adaptive };

struct Options {
	uint32_t size = 64;           // payload bytes; the first 8 carry a number that the receiver checks
	bool latency = false;         // --mode latency: round trips; otherwise one way
	Wait wait = Wait::adaptive;   // only where the program has a choice
	uint64_t duration = 1'000'000'000;
	uint64_t warmup = 0;          // ns; 0: a fifth of the duration
	unsigned batch = 1;           // messages published together
	bool copyout = false;         // the receiver copies out; otherwise it reads in place, where the API lets it
	int cpu[2] = {-1, -1};        // where the first and the second process are pinned
	bool plain = false;           // the yardstick without its rest, see lane.hpp
	uint64_t rate = 0;            // round trips a second; 0: as fast as it goes
	std::string tls;              // for the result line: "off" where a network is used without
	std::string dir = "/dev/shm"; // where files and sockets of this run live
};

// parseDuration reads what Go's flag package reads, as far as this module writes it: 2s, 500ms, 250us.
inline uint64_t parseDuration(const char* text) {
	char* end;
	double value = strtod(text, &end);
	std::string unit = end;
	double scale = unit == "s" ? 1e9 : unit == "ms" ? 1e6 : unit == "us" ? 1e3 : unit == "ns" ? 1 : 0;
	if (value <= 0 || scale == 0) die("bad duration %s", text);
	return uint64_t(value * scale);
}

inline Options parse(int argc, char** argv) {
	Options o;
	for (int i = 1; i < argc; i++) {
		std::string flag = argv[i];
		auto value = [&] {
			if (++i >= argc) die("%s needs a value", flag.c_str());
			return argv[i];
		};
		if (flag == "--size") o.size = uint32_t(atoi(value()));
		else if (flag == "--mode") o.latency = std::string(value()) == "latency";
		else if (flag == "--wait") {
			std::string w = value();
			o.wait = w == "spin" ? Wait::spin : w == "park" ? Wait::park : Wait::adaptive;
		}
		else if (flag == "--duration") o.duration = parseDuration(value());
		else if (flag == "--warmup") o.warmup = parseDuration(value());
		else if (flag == "--batch") o.batch = unsigned(atoi(value()));
		else if (flag == "--claim") continue; // only for programs that know two ways to write
		else if (flag == "--copyout") o.copyout = true;
		else if (flag == "--plain") o.plain = true;
		else if (flag == "--pin") {
			if (sscanf(value(), "%d,%d", &o.cpu[0], &o.cpu[1]) != 2) die("--pin wants two CPUs, such as 0,1");
		}
		else if (flag == "--rate") o.rate = strtoull(value(), nullptr, 10);
		else if (flag == "--dir") o.dir = value();
		else if (flag != "--json") die("unknown flag %s", flag.c_str());
	}
	if (o.size < 8) die("--size must be at least 8");
	if (o.batch < 1) die("--batch must be at least 1");
	if (o.warmup == 0) o.warmup = o.duration / 5;
	// A bound for both processes (fork keeps no alarm, so Child sets its own): nothing here runs for ever.
	alarm(unsigned((o.duration + o.warmup) / 1'000'000'000) + 20);
	return o;
}

inline const char* name(Wait w) { return w == Wait::spin ? "spin" : w == Wait::park ? "park" : "adaptive"; }

// pin ties the calling thread to the CPU of the first process (0) or the second (1), if there is one.
inline void pin(const Options& o, int process) {
	if (o.cpu[process] < 0) return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(o.cpu[process], &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0) die("pin to cpu %d: %m", o.cpu[process]);
}

// Meter counts messages at the receiver: it skips the warm-up and stops after the duration.
class Meter {
public:
	explicit Meter(const Options& o) : warmup(o.warmup), duration(o.duration) {}

	// add counts one message and says whether to go on. The clock is read at every 256th.
	bool add() {
		if ((++count & 255) != 0) [[likely]] return true;
		return look();
	}
	double perSecond() const { return double(count - base) * 1e9 / double(stopped - started); }

private:
	bool look() {
		uint64_t t = now();
		if (first == 0) first = t;
		if (started == 0) {
			if (t - first >= warmup) started = t, base = count;
			return true;
		}
		stopped = t;
		return t - started < duration;
	}
	uint64_t warmup, duration;
	uint64_t count = 0, base = 0;
	uint64_t first = 0, started = 0, stopped = 0;
};

// Histogram is exact to 1 ns below 16,384 ns; above that 128 buckets an octave, under 1 % wide.
class Histogram {
public:
	Histogram() : fine(exact), coarse(128 * 40) {}

	void add(uint64_t ns) {
		if (ns > longest) longest = ns;
		total++;
		if (ns < exact) fine[ns]++;
		else coarse[bucket(ns)]++;
	}
	uint64_t quantile(double q) const {
		uint64_t want = uint64_t(double(total) * q), seen = 0;
		for (uint64_t i = 0; i < fine.size(); i++)
			if ((seen += fine[i]) > want) return i;
		for (uint64_t i = 0; i < coarse.size(); i++)
			if ((seen += coarse[i]) > want) return floorOf(i);
		return longest;
	}
	uint64_t max() const { return longest; }
	uint64_t samples() const { return total; }

private:
	static constexpr uint64_t exact = 1 << 14;
	static uint64_t bucket(uint64_t ns) {
		unsigned octave = 63 - unsigned(__builtin_clzll(ns)); // at least 14
		uint64_t i = uint64_t(octave - 14) * 128 + ((ns >> (octave - 7)) & 127);
		return i < 128 * 40 ? i : 128 * 40 - 1;
	}
	static uint64_t floorOf(uint64_t i) { return (128 + i % 128) << (i / 128 + 7); }

	std::vector<uint32_t> fine, coarse;
	uint64_t total = 0, longest = 0;
};

// pingPong times round trips of ask() until the duration is over, paced when there is a rate. The first
// trip, which may include connecting, is before everything.
template <class Ask>
double pingPong(const Options& o, Histogram& h, Ask ask) {
	ask(0);
	uint64_t begin = now(), started = begin + o.warmup, stop = started + o.duration, trips = 0;
	uint64_t gap = o.rate ? 1'000'000'000 / o.rate : 0, next = begin;
	for (uint64_t n = 1;; n++) {
		if (gap != 0) {
			next += gap;
			timespec t{time_t(next / 1'000'000'000), long(next % 1'000'000'000)};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
		}
		uint64_t t0 = now();
		ask(n);
		uint64_t t1 = now();
		if (t0 >= started) h.add(t1 - t0), trips++;
		if (t1 >= stop) return double(trips) * 1e9 / double(t1 - started);
	}
}

// Child is the second process: forked before any library has threads, dead at the latest with its parent.
class Child {
public:
	template <class Body>
	Child(const Options& o, Body body) {
		pid_t parent = getpid();
		fflush(stdout);
		pid = fork();
		if (pid < 0) die("fork: %m");
		if (pid > 0) return;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) _exit(1);
		alarm(unsigned((o.duration + o.warmup) / 1'000'000'000) + 20);
		peer::pin(o, 1);
		body();
		_exit(0);
	}
	void stop() {
		if (pid <= 0) return;
		kill(pid, SIGKILL);
		waitpid(pid, nullptr, 0);
		pid = 0;
	}
	~Child() { stop(); }

private:
	pid_t pid = 0;
};

inline double cpuSeconds() {
	double sum = 0;
	for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
		rusage u;
		getrusage(who, &u);
		for (timeval t : {u.ru_utime, u.ru_stime}) sum += double(t.tv_sec) + double(t.tv_usec) / 1e6;
	}
	return sum;
}

// print writes the result line; the child must have been stopped, or its CPU time is missing.
inline void print(const char* name, const Options& o, double perSecond, const Histogram& h, uint64_t since) {
	double wall = double(now() - since) / 1e9;
	printf("{\"name\":\"%s\",\"size\":%u,\"mode\":\"%s\",\"wait\":\"%s\",\"msgs_per_s\":%.1f,\"bytes_per_s\":%.1f,"
	       "\"p50_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu,\"cpu\":%.2f,\"tls\":\"%s\"}\n",
	       name, o.size, o.latency ? "latency" : "throughput", peer::name(o.wait), perSecond, perSecond * o.size,
	       (unsigned long long)h.quantile(.5), (unsigned long long)h.quantile(.99),
	       (unsigned long long)h.quantile(.999), (unsigned long long)h.max(), cpuSeconds() / wall, o.tls.c_str());
	fflush(stdout);
}

// stamp and check number the messages; a lost, doubled or swapped one ends the run.
inline void stamp(void* payload, uint64_t n) { memcpy(payload, &n, 8); }
inline void check(const void* payload, uint64_t want) {
	uint64_t got;
	memcpy(&got, payload, 8);
	if (got != want) [[unlikely]] die("message %llu arrived where %llu was due", (unsigned long long)got, (unsigned long long)want);
}

} // namespace peer
