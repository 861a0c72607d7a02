// A client with the official Go SDK; the commands and events are those of ../README.md.
package main

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type connection struct{ *mcp.ClientSession }

func (s connection) version() string { return s.InitializeResult().ProtocolVersion }
func (s connection) close() error    { return s.Close() }

func (s connection) call(ctx context.Context, tool string, args map[string]any) (string, bool, error) {
	result, err := s.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", false, err
	}
	var texts []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, " "), result.IsError, nil
}

func connect(c *actor, first command) (session, error) {
	sdk := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1.0.0"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.ask()
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"colour": "blue"}}, nil
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			tell("notified", event{"client": c.name, "method": "notifications/tools/list_changed"})
		},
	})
	options := &mcp.ClientSessionOptions{}
	if first.Era == "2025" {
		options.ProtocolVersion = "2025-11-25"
	}
	opened, err := sdk.Connect(context.Background(), &mcp.StreamableClientTransport{Endpoint: first.URL}, options)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := opened.Wait(); err != nil {
			tell("dead", event{"client": c.name, "error": err.Error()})
		}
	}()
	return connection{opened}, nil
}

func main() { obey(connect) }
