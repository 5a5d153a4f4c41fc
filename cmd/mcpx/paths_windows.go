package main

// longestSocket is zero: what guards a Unix socket, the mode of its folder, does not here.
const longestSocket = 0

func runtimeDir() string { return "" }
