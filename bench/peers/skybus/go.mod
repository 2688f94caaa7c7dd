// SPDX-License-Identifier: Apache-2.0

module github.com/skybus-io/skybus/bench/peers/skybus

go 1.26.0

require (
	github.com/skybus-io/skybus v0.0.0
	github.com/skybus-io/skybus/bench v0.0.0
)

require golang.org/x/sys v0.49.0 // indirect

replace (
	github.com/skybus-io/skybus => ../../..
	github.com/skybus-io/skybus/bench => ../..
)
