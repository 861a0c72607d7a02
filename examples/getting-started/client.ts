/** A client for `server.ts`: `npx tsx client.ts http://127.0.0.1:3000/mcp`. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const transport = new StreamableHTTPClientTransport(new URL(process.argv[2] ?? 'http://127.0.0.1:3000/mcp'));
const client = new Client({ name: 'first-client', version: '1.0.0' });
await client.connect(transport);
console.log(`session of ${transport.sessionId?.length} characters`);

for (let call = 1; call <= 3; call++) {
  const { content } = await client.callTool({ name: 'count', arguments: {} });
  console.log(content[0]?.type === 'text' ? content[0].text : content);
}

await transport.terminateSession();
await client.close();
