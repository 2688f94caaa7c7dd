// SPDX-License-Identifier: Apache-2.0

module github.com/skybus-io/skybus/bench

go 1.26
