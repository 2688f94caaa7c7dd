// SPDX-License-Identifier: Apache-2.0

// Package rpctest holds a suite that package rpc passes wherever the two sides are: in one runtime, in two that are joined,
// in two nodes, in two processes, on two hosts. The far side starts its services by name: see package nodetest.
//
// [Join] joins two runtimes of one process by a Remote that copies every message, as one between processes does: what is
// no plain data cannot pass.
package rpctest
