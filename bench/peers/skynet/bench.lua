-- SPDX-License-Identifier: Apache-2.0
-- Measures calls between two services, then one-way sends from four services to one, and ends the process.
-- Each measurement runs for ROUNDS rounds of SECONDS, after a warm-up of one second; a line tells each round.

local skynet = require "skynet"

local ROUNDS <const> = 5
local SECONDS <const> = 2
local SENDERS <const> = 4
local STEP <const> = 256 -- calls between two looks at the clock

local function now()
	return skynet.now() / 100 -- it counts hundredths of a second
end

-- calls asks the service at addr for so many seconds and returns calls a second.
local function calls(addr, seconds)
	local begin, n = now(), 0
	repeat
		for _ = 1, STEP do
			n = n + 1
			local reply = skynet.call(addr, "lua", "ask", n)
			assert(reply == n + 1, "a wrong reply")
		end
	until now() - begin >= seconds
	return n / (now() - begin)
end

-- sends counts what the sink gets in so many seconds and returns messages a second.
local function sends(sink, seconds)
	local begin, before = now(), skynet.call(sink, "lua", "count")
	skynet.sleep(seconds * 100)
	local after = skynet.call(sink, "lua", "count")
	return (after - before) / (now() - begin)
end

skynet.start(function()
	local peer = skynet.newservice("peer")
	calls(peer, 1)
	for _ = 1, ROUNDS do
		print(string.format("skynet calls_per_s %.0f", calls(peer, SECONDS)))
	end

	local sink = skynet.newservice("peer")
	for from = 1, SENDERS do
		skynet.send(skynet.newservice("sender"), "lua", sink, from)
	end
	sends(sink, 1)
	for _ = 1, ROUNDS do
		print(string.format("skynet sends_per_s %.0f", sends(sink, SECONDS)))
	end
	skynet.abort()
end)
