// SPDX-License-Identifier: Apache-2.0

module github.com/skybus-io/skybus

go 1.26.0

require (
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
