import io.modelcontextprotocol.client.McpAsyncClient;
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.spec.McpSchema;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import reactor.core.publisher.Mono;
import reactor.core.publisher.Sinks;

/** A client with the official Java SDK; the commands and events are those of ../README.md. */
public class Program {
    private static final McpJsonMapper JSON = McpJsonDefaults.getMapper();

    private final String name;
    private final Queue<Sinks.Empty<Void>> questions = new ConcurrentLinkedQueue<>();
    private McpAsyncClient sdk;

    private Program(String name) {
        this.name = name;
    }

    private static synchronized void tell(Map<String, Object> event) {
        try {
            System.out.println(JSON.writeValueAsString(event));
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String said(Throwable error) {
        return error.getClass().getSimpleName() + ": " + error.getMessage();
    }

    private Mono<McpSchema.ElicitResult> elicit(McpSchema.ElicitFormRequest request) {
        Sinks.Empty<Void> answered = Sinks.empty();
        questions.add(answered);
        tell(Map.of("event", "asked", "client", name));
        var accepted = new McpSchema.ElicitResult(McpSchema.ElicitResult.Action.ACCEPT, Map.of("colour", "blue"));
        return answered.asMono().thenReturn(accepted);
    }

    private void connect(String url) {
        URI uri = URI.create(url);
        var transport = HttpClientStreamableHttpTransport.builder(uri.resolve("/").toString())
                .endpoint(uri.getPath())
                .build();
        sdk = McpClient.async(transport)
                .clientInfo(new McpSchema.Implementation("java", "1.0.0"))
                .capabilities(McpSchema.ClientCapabilities.builder().elicitation().build())
                .elicitation(this::elicit)
                .toolsChangeConsumer(tools -> {
                    tell(Map.of("event", "notified", "client", name, "method", "notifications/tools/list_changed"));
                    return Mono.empty();
                })
                .build();
        sdk.initialize().subscribe(
                greeting -> tell(Map.of("event", "connected", "client", name, "version", greeting.protocolVersion())),
                error -> tell(Map.of("event", "refused", "client", name, "error", said(error))));
    }

    private void call(String call, String tool, Map<String, Object> args) {
        sdk.callTool(new McpSchema.CallToolRequest(tool, args)).subscribe(
                result -> {
                    String text = result.content().stream()
                            .map(block -> block instanceof McpSchema.TextContent each ? each.text() : "")
                            .collect(Collectors.joining(" "));
                    String start = text.substring(0, Math.min(text.length(), 200));
                    boolean isError = Boolean.TRUE.equals(result.isError());
                    tell(Map.of("event", "answered", "client", name, "call", call, "text", start,
                            "length", text.length(), "isError", isError));
                },
                error -> tell(Map.of("event", "failed", "client", name, "call", call, "error", said(error))));
    }

    private void close() {
        sdk.closeGracefully().onErrorComplete().subscribe(
                nothing -> {},
                error -> {},
                () -> tell(Map.of("event", "closed", "client", name)));
    }

    @SuppressWarnings("unchecked")
    public static void main(String[] args) throws IOException {
        Map<String, Program> clients = new ConcurrentHashMap<>();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, Object> command = JSON.readValue(line, Map.class);
            Program client = clients.computeIfAbsent((String) command.get("client"), Program::new);
            switch ((String) command.get("do")) {
                case "connect" -> client.connect((String) command.get("url"));
                case "call" -> client.call((String) command.get("call"), (String) command.get("tool"),
                        (Map<String, Object>) command.getOrDefault("args", Map.of()));
                case "answer" -> client.questions.remove().tryEmitEmpty();
                default -> client.close();
            }
        }
        // Open connections end with the process.
        System.exit(0);
    }
}
