-- SPDX-License-Identifier: Apache-2.0
-- A service that answers calls and counts messages. It checks the number of each.

local skynet = require "skynet"

local received = 0
local last = {} -- by sender

local on = {}

function on.ask(n)
	skynet.retpack(n + 1)
end

function on.put(from, n)
	assert(n == (last[from] or 0) + 1, "a message is lost, doubled or swapped")
	last[from] = n
	received = received + 1
end

-- count is answered in its turn: all that was sent before it has been received.
function on.count()
	skynet.retpack(received)
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, what, ...)
		on[what](...)
	end)
end)
