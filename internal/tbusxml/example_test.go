// SPDX-License-Identifier: Apache-2.0

package tbusxml_test

import (
	"fmt"

	"github.com/skybus-io/skybus/internal/tbusxml"
)

func ExampleParseGCIM() {
	g, err := tbusxml.ParseGCIM("tbusmgr.xml", []byte(`<TbusGCIM>
  <AddrTemplet>8.8.8.8</AddrTemplet>
  <GCIMShmKey>1000</GCIMShmKey>
  <Channels>
    <Address>0.0.3.1</Address>
    <Address>0.0.4.1</Address>
    <SendSize>65536</SendSize>
    <RecvSize>32768</RecvSize>
  </Channels>
</TbusGCIM>`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range g.Channels {
		fmt.Println(c.A, "->", c.B, c.SendSize)
		fmt.Println(c.B, "->", c.A, c.RecvSize)
	}
	// Output:
	// 0.0.3.1 -> 0.0.4.1 65536
	// 0.0.4.1 -> 0.0.3.1 32768
}

func ExampleError() {
	_, err := tbusxml.ParseGCIM("tbusmgr.xml", []byte(`<TbusGCIM>
  <GCIMShmKey>1000</GCIMShmKey>
  <AddrTemplet>8.8.8.8</AddrTemplet>
  <Channels>
    <Address>0.0.3.1</Address>
    <Address>0.0.300.1</Address>
    <SendSize>abc</SendSize>
    <RecvSize>32768</RecvSize>
  </Channels>
</TbusGCIM>`))
	fmt.Println(err)
	// Output:
	// tbusmgr.xml:6: <Address>: address "0.0.300.1": segment 3 is 300, template 8.8.8.8 allows 0..255
	// tbusmgr.xml:7: <SendSize>: "abc" is not a number of bytes
}
