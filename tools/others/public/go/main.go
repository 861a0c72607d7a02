// The same tools on the Go SDK, as its documentation sets a server up: one server for all sessions, a pool of
// connections to Redis, and net/http with keep-alive. Prints its port, and ends with its input. A line on its input
// collects garbage.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/redis/go-redis/v9"
)

func main() {
	options, err := redis.ParseURL(os.Getenv("PUBLIC_REDIS"))
	if err != nil {
		log.Fatal(err)
	}
	// The default transport keeps two idle connections per host, fewer than there are users.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100
	backends := &backends{
		redis:  redis.NewClient(options),
		client: &http.Client{Transport: transport},
		url:    os.Getenv("PUBLIC_API"),
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1.0.0"}, nil)
	addTools(server, backends)

	http.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		debug.FreeOSMemory()
		fmt.Println("collected")
	}
}
