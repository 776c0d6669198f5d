module tongban/bench/stub

go 1.21
