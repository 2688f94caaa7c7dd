// SPDX-License-Identifier: Apache-2.0

// Package tbusxml reads the configuration files of a tbus installation as they
// are: tbusmgr.xml, which lists the channels of one host's bus, and
// trelaymgr.xml, which says behind which host an address lives.
//
//	<TbusGCIM>                              <RelayMnger>
//	  <AddrTemplet>8.8.8.8</AddrTemplet>      <AddrTemplet>8.8.8.8</AddrTemplet>
//	  <GCIMShmKey>1000</GCIMShmKey>           <RelayShmKey>2000</RelayShmKey>
//	  <Channels>                              <Relays>
//	    <Priority>0</Priority>                  <Addr>0.0.3.*</Addr>
//	    <Address>0.0.3.1</Address>              <MConn>tcp://10.0.0.7:9001</MConn>
//	    <Address>0.0.4.1</Address>              <Desc>zone 3</Desc>
//	    <SendSize>65536</SendSize>            </Relays>
//	    <RecvSize>65536</RecvSize>          </RelayMnger>
//	    <Desc>gate and game</Desc>
//	  </Channels>
//	</TbusGCIM>
//
// The sizes of a channel are in bytes, as its first address sees them. Numbers
// are decimal, or hexadecimal after 0x; a leading zero does not make them octal.
// Attributes and the order of elements mean nothing, except that the first
// Address of a channel is its first. Space around a value is dropped. Elements
// this package does not know are skipped with a [Warning]: old files carry them.
//
// A file may be in UTF-8, with or without a byte order mark, or declare GBK,
// GB2312 (read as GBK, which contains it), GB18030, ISO-8859-1 or US-ASCII (read
// as ISO-8859-1). A byte order mark is believed more than the declaration. In
// the Chinese encodings, bytes that are no character become U+FFFD, as they
// hardly ever stand outside a comment or a description; UTF-8 is checked.
//
// All that is wrong with a file is reported at once, as [*Error] values joined
// in the order of their lines. An error of the XML itself ends the reading.
//
// The package turns bytes into values and touches nothing else; its functions
// may be called from any goroutine.
package tbusxml
