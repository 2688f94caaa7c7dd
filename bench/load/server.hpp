// SPDX-License-Identifier: Apache-2.0
//
// The server that is measured: a process of its own, which the load starts and ends. It is run as
//
//	PROGRAM AS MODE DIR
//
// prints "ready HOST:PORT" when it listens, and answers each line of its standard input with one line of
// numbers, "allocs=12 accepted=3 ..". It ends when its standard input does. Its processor time is read from
// outside. See internal/gateserver for the other end.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/resource.h>

#include <map>
#include <string>
#include <vector>

#include "../peers/common/peer.hpp"

namespace load {

// Stats are the numbers of one answer.
using Stats = std::map<std::string, double>;

class Server {
public:
	// The server may have so many descriptors at most; 0: as many as the load.
	Server(const std::vector<std::string>& command, rlim_t descriptors = 0) {
		int in[2], out[2];
		if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) peer::die("pipe: %m");
		fflush(stdout);
		pid = fork();
		if (pid < 0) peer::die("fork: %m");
		if (pid == 0) run(command, descriptors, in[0], out[1]);
		close(in[0]), close(out[1]);
		to = in[1];
		from = fdopen(out[0], "r");
		if (clock_getcpuclockid(pid, &clock) != 0) peer::die("no clock of the server's process");
		parseAddress(line());
	}
	Server(const Server&) = delete;
	~Server() { stop(); }

	// ask sends a command and returns the numbers that come back.
	Stats ask(const char* command) {
		std::string text = std::string(command) + "\n";
		if (write(to, text.data(), text.size()) != ssize_t(text.size())) peer::die("tell the server: %m");
		Stats found;
		std::string answer = line();
		for (size_t at = 0; at < answer.size();) {
			size_t end = answer.find(' ', at), equals = answer.find('=', at);
			if (end == std::string::npos) end = answer.size();
			if (equals >= end) peer::die("the server says %s", answer.c_str());
			found[answer.substr(at, equals - at)] = strtod(answer.c_str() + equals + 1, nullptr);
			at = end + 1;
		}
		return found;
	}

	// cpu is the processor time of all its threads, in ns.
	uint64_t cpu() const {
		timespec t;
		if (clock_gettime(clock, &t) != 0) peer::die("read the server's clock: %m");
		return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
	}

	// anonymous is what it keeps in memory for itself, in bytes.
	double anonymous() const { return 1024 * number("/proc/" + std::to_string(pid) + "/status", "RssAnon:"); }

	bool alive() const { return kill(pid, 0) == 0 && waitpid(pid, nullptr, WNOHANG) == 0; }

	void stop() {
		if (pid <= 0) return;
		close(to);
		for (int i = 0; i < 300; i++) {
			if (waitpid(pid, nullptr, WNOHANG) == pid) pid = 0;
			if (pid == 0) break;
			usleep(10'000);
		}
		if (pid > 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
		fclose(from);
		pid = 0;
	}

	// number is the first number behind a word of a file.
	static double number(const std::string& path, const char* word) {
		FILE* f = fopen(path.c_str(), "re");
		if (f == nullptr) peer::die("open %s: %m", path.c_str());
		char text[4096];
		size_t n = fread(text, 1, sizeof text - 1, f);
		fclose(f);
		text[n] = 0;
		const char* at = strstr(text, word);
		if (at == nullptr) peer::die("%s has no %s", path.c_str(), word);
		return strtod(at + strlen(word), nullptr);
	}

	sockaddr_in address{};

private:
	[[noreturn]] static void run(const std::vector<std::string>& command, rlim_t descriptors, int in, int out) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in, 0), dup2(out, 1);
		if (descriptors != 0) {
			rlimit limit{descriptors, descriptors};
			if (setrlimit(RLIMIT_NOFILE, &limit) != 0) peer::die("limit the server's descriptors: %m");
		}
		std::vector<char*> words;
		for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
		words.push_back(nullptr);
		execv(words[0], words.data());
		peer::die("run %s: %m", words[0]);
	}

	std::string line() {
		char text[1024];
		if (fgets(text, sizeof text, from) == nullptr) peer::die("the server has ended");
		text[strcspn(text, "\n")] = 0;
		return text;
	}

	void parseAddress(const std::string& ready) {
		char host[64];
		unsigned port;
		if (sscanf(ready.c_str(), "ready %63[^:]:%u", host, &port) != 2) peer::die("the server says %s", ready.c_str());
		address.sin_family = AF_INET;
		address.sin_port = htons(uint16_t(port));
		if (inet_pton(AF_INET, host, &address.sin_addr) != 1) peer::die("the server listens at %s", host);
	}

	pid_t pid = 0;
	int to = -1;
	FILE* from = nullptr;
	clockid_t clock = 0;
};

} // namespace load
