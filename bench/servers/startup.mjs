// A server from its start to its first answer. BENCH_SIDE names the side: its modules are imported here, and timed.
const begun = performance.now();
const { createServer } = await import('node:http');

const sides = {
  async 'ours.mjs'() {
    const { createMcpEndpoint } = await import(new URL('index.js', process.env.BENCH_DIST));
    const { buildEchoServer } = await import('./echo-server.mjs');
    return () => createMcpEndpoint(buildEchoServer).node;
  },
  async 'official-stateful.mjs'() {
    const { NodeStreamableHTTPServerTransport } = await import('@modelcontextprotocol/node');
    const { randomUUID } = await import('node:crypto');
    const { buildEchoServer } = await import('./echo-server.mjs');
    // Serves its first client only.
    return () => async (req, res) => {
      const transport = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
      });
      await buildEchoServer().connect(transport);
      return transport.handleRequest(req, res);
    };
  },
  async 'official-modern.mjs'() {
    const { toNodeHandler } = await import('@modelcontextprotocol/node');
    const { createMcpHandler } = await import('@modelcontextprotocol/server');
    const { buildEchoServer } = await import('./echo-server.mjs');
    return () => toNodeHandler(createMcpHandler(buildEchoServer));
  },
};

const makeHandler = await sides[process.env.BENCH_SIDE]();
const importMs = performance.now() - begun;

const server = createServer(makeHandler());
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send({ answer: { importMs, cpuMs: (user + system) / 1000 } });
});
process.on('disconnect', () => process.exit(0));
