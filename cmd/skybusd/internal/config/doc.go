// SPDX-License-Identifier: Apache-2.0

// Package config reads the configuration file of skybusd, which is YAML, into a
// [Config], and holds an example of it.
//
//	domain: 1000
//	relay_key: 2000
//	host: east
//	listen: 10.0.0.1:7100
//	peers:
//	  - name: west
//	    address: 10.0.0.2:7100
//	routes:
//	  - to: "0.0.3.*"
//	    host: west
//	tls: {ca: ca.pem, cert: east.pem, key: east-key.pem}
//
// Reading is strict: a key that is not known or comes twice, a value of another
// type, a number out of its bounds, and what does not go together are errors.
// All of them are reported at once, as [*Error] values joined in the order of
// their lines; an error of the YAML itself ends the reading. YAML's aliases and
// merge keys are not taken: a daemon's file is short, and what it says should
// stand where it is read.
//
// YAML takes some texts for something else. A prefix that begins with a star has
// to be in quotes ("*"), and so has an address that begins with a bracket
// ("[::1]:7100"). What can only be meant as text, such as the template 16.16 or
// the address 0.769, is read as written, though YAML calls it a number. A lone
// "*" is short for all addresses, whatever the template.
//
// The package turns bytes into values. It opens no file but the one that [Load]
// is given; whether the files that the configuration names are there is found
// out by whoever opens them. Its functions may be called from any goroutine.
package config
