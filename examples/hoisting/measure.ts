/**
 * Measures the cost of a factory with its schemas and handlers created inside or outside. The factory runs once per
 * session (2025 era) and once per request (2026-07-28).
 *
 *     node --expose-gc --import tsx measure.ts
 */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

type Factory = () => McpServer;

const inside: Factory = () => {
  const server = new McpServer({ name: 'inside', version: '1.0.0' });
  const inputSchema = z.object({ city: z.string(), days: z.int().min(1).max(14), unit: z.enum(['C', 'F']) });
  server.registerTool('forecast', { inputSchema }, ({ city, days, unit }) => ({
    content: [{ type: 'text', text: `${city}: ${days} sunny days, 21 °${unit}` }],
  }));
  return server;
};

const forecast = {
  inputSchema: z.object({ city: z.string(), days: z.int().min(1).max(14), unit: z.enum(['C', 'F']) }),
};
const sayForecast = ({ city, days, unit }: z.infer<typeof forecast.inputSchema>) => ({
  content: [{ type: 'text' as const, text: `${city}: ${days} sunny days, 21 °${unit}` }],
});

const outside: Factory = () => {
  const server = new McpServer({ name: 'outside', version: '1.0.0' });
  server.registerTool('forecast', forecast, sayForecast);
  return server;
};

const SERVERS = 1_000;
const ROUNDS = 3;

function measure(factory: Factory): { microseconds: number; bytes: number } {
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed;
  const start = performance.now();
  const servers = Array.from({ length: SERVERS }, factory);
  const microseconds = ((performance.now() - start) * 1_000) / SERVERS;
  globalThis.gc?.();
  const bytes = (process.memoryUsage().heapUsed - heap) / servers.length;
  return { microseconds, bytes };
}

for (const [name, factory] of Object.entries({ inside, outside })) {
  measure(factory); // warms up
  const rounds = Array.from({ length: ROUNDS }, () => measure(factory));
  const microseconds = Math.min(...rounds.map((round) => round.microseconds));
  const bytes = Math.min(...rounds.map((round) => round.bytes));
  console.log(`${name.padEnd(8)} ${microseconds.toFixed(0)} µs  ${(bytes / 1024).toFixed(1)} KiB`);
}
