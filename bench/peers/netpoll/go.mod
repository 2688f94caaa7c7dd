// SPDX-License-Identifier: Apache-2.0

module github.com/skybus-io/skybus/bench/peers/netpoll

go 1.26.0

require (
	github.com/cloudwego/netpoll v0.7.2
	github.com/skybus-io/skybus/bench v0.0.0
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
)

replace github.com/skybus-io/skybus/bench => ../..
