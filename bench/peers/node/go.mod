// SPDX-License-Identifier: Apache-2.0

module github.com/skybus-io/skybus/bench/peers/node

go 1.26.0

require (
	github.com/skybus-io/skybus v0.0.0
	github.com/skybus-io/skybus/bench v0.0.0
)

require (
	github.com/fxamacker/cbor/v2 v2.10.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/skybus-io/skybus => ../../..
	github.com/skybus-io/skybus/bench => ../..
)
