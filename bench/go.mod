module github.com/skybus-io/skybus/bench

go 1.26
