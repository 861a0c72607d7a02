package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"sync"
)

// command is a line of stdin; its members are described in ../README.md.
type command struct {
	Do     string         `json:"do"`
	Client string         `json:"client"`
	URL    string         `json:"url"`
	Era    string         `json:"era"`
	Call   string         `json:"call"`
	Tool   string         `json:"tool"`
	Args   map[string]any `json:"args"`
}

type event map[string]any

var writing sync.Mutex

func tell(name string, more event) {
	more["event"] = name
	line, err := json.Marshal(more)
	if err != nil {
		panic(err)
	}
	writing.Lock()
	defer writing.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// actor is one connection. Its commands arrive in order; its calls run side by side.
type actor struct {
	name     string
	commands chan command
	// questions holds the open questions of the server, oldest first: closing one answers it.
	questions chan chan struct{}
}

// ask reports a question of the server and waits for the command that answers it.
func (c *actor) ask() {
	answered := make(chan struct{})
	c.questions <- answered
	tell("asked", event{"client": c.name})
	<-answered
}

// session is what an SDK's connection can do.
type session interface {
	version() string
	call(ctx context.Context, tool string, args map[string]any) (text string, isError bool, err error)
	close() error
}

func (c *actor) live(first command, connect func(*actor, command) (session, error)) {
	connection, err := connect(c, first)
	if err != nil {
		tell("refused", event{"client": c.name, "error": err.Error()})
		return
	}
	tell("connected", event{"client": c.name, "version": connection.version()})
	for next := range c.commands {
		if next.Do == "close" {
			connection.close()
			tell("closed", event{"client": c.name})
			return
		}
		go func() {
			text, isError, err := connection.call(context.Background(), next.Tool, next.Args)
			if err != nil {
				tell("failed", event{"client": c.name, "call": next.Call, "error": err.Error()})
			} else {
				tell("answered", event{"client": c.name, "call": next.Call, "text": text[:min(len(text), 200)], "length": len(text), "isError": isError})
			}
		}()
	}
}

// obey runs commands until stdin ends.
func obey(connect func(*actor, command) (session, error)) {
	clients := map[string]*actor{}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var next command
		if err := json.Unmarshal(line, &next); err != nil {
			panic(err)
		}
		switch next.Do {
		case "connect":
			c := &actor{next.Client, make(chan command, 1000), make(chan chan struct{}, 1000)}
			clients[next.Client] = c
			go c.live(next, connect)
		case "answer":
			close(<-clients[next.Client].questions)
		default:
			clients[next.Client].commands <- next
		}
	}
}
