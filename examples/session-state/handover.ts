/**
 * One session on two endpoints, one after the other, as in a deploy. They share a store (here one memory store in one
 * process). The first endpoint is drained, and the client continues at the second.
 *
 *     npx tsx handover.ts
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createMcpEndpoint } from 'sojourn';
import { memory } from 'sojourn/memory';
import factory from './server.ts';

const store = memory();
const first = createMcpEndpoint(factory, { store });
const second = createMcpEndpoint(factory, { store });
const addresses = [await first.listen({ port: 0 }), await second.listen({ port: 0 })];

// The load balancer: the client knows one address, and the serving endpoint gets its requests.
let serving = 0;
const transport = new StreamableHTTPClientTransport(new URL('http://mcp.example/mcp'), {
  fetch: (_, init) => fetch(addresses[serving]?.url ?? '', init),
});
const client = new Client({ name: 'shopper', version: '1.0.0' });
await client.connect(transport);

const tools = async () => (await client.listTools()).tools.map(({ name }) => name).join(' ');
const call = async (name: string, args: Record<string, string> = {}) => {
  const { content } = await client.callTool({ name, arguments: args });
  return content[0]?.type === 'text' ? content[0].text : '';
};

console.log('tools:', await tools());
console.log(await call('add', { item: 'bread' }));
console.log(await call('show'));
console.log(await call('show'));

serving = 1;
const { released } = await first.drain();
console.log(`handed over: ${released} session`);

console.log(await call('show'));
console.log('tools:', await tools());
console.log(await call('checkout'));

await transport.terminateSession();
await client.close();
await Promise.all([first.close(), second.close()]);
