-- SPDX-License-Identifier: Apache-2.0
-- A service that sends without end. A mailbox of skynet has no bound, so after each burst it waits until the
-- receiver has come to the end of it.

local skynet = require "skynet"

local BURST <const> = 1000

skynet.start(function()
	skynet.dispatch("lua", function(_, _, sink, from)
		local n = 0
		while true do
			for _ = 1, BURST do
				n = n + 1
				skynet.send(sink, "lua", "put", from, n)
			end
			skynet.call(sink, "lua", "count")
		end
	end)
end)
