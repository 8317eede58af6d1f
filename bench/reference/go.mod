module mosis/bench/reference

go 1.19
