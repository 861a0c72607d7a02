// A client with mcp-go; the commands and events are those of ../README.md.
package main

import (
	"context"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

type connection struct {
	*client.Client
	protocol string
}

func (s connection) version() string { return s.protocol }
func (s connection) close() error    { return s.Close() }

func (s connection) call(ctx context.Context, tool string, args map[string]any) (string, bool, error) {
	result, err := s.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: args}})
	if err != nil {
		return "", false, err
	}
	var texts []string
	for _, content := range result.Content {
		if text, ok := content.(mcp.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, " "), result.IsError, nil
}

type elicitation struct{ of *actor }

func (e elicitation) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	e.of.ask()
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action: mcp.ElicitationResponseActionAccept, Content: map[string]any{"colour": "blue"},
	}}, nil
}

func connect(c *actor, first command) (session, error) {
	var listening []transport.StreamableHTTPCOption
	if first.Era == "2025" {
		listening = append(listening, transport.WithContinuousListening())
	}
	over, err := transport.NewStreamableHTTP(first.URL, listening...)
	if err != nil {
		return nil, err
	}
	options := []client.ClientOption{client.WithElicitationHandler(elicitation{c})}
	if first.Era == "2025" {
		options = append(options, client.WithProtocolVersion("2025-11-25"))
	}
	sdk := client.NewClient(over, options...)
	sdk.OnNotification(func(notification mcp.JSONRPCNotification) {
		tell("notified", event{"client": c.name, "method": notification.Method})
	})
	sdk.OnConnectionLost(func(err error) {
		tell("dead", event{"client": c.name, "error": err.Error()})
	})
	if err := sdk.Start(context.Background()); err != nil {
		return nil, err
	}
	greeting, err := sdk.Initialize(context.Background(), mcp.InitializeRequest{Params: mcp.InitializeParams{
		ClientInfo: mcp.Implementation{Name: "mcp-go", Version: "1.0.0"},
	}})
	if err != nil {
		return nil, err
	}
	return connection{sdk, greeting.ProtocolVersion}, nil
}

func main() { obey(connect) }
