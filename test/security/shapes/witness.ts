/** Another user, who calls all the time: on a session, and in 2026-07-28. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { envelope, mirrored } from '../../kit/modern.ts';

const PAUSE_MS = 10;
const ANSWER_MS = 30_000;

export interface Witnessed {
  readonly calls: number;
  readonly failed: readonly string[];
  readonly p99Ms: number;
  readonly longestMs: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly sessionId: string | undefined;
}

function poster(
  port: number,
  answerMs: number,
): (message: object, headers?: Record<string, string>) => Promise<Answer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return (message, headers = {}) =>
    new Promise((resolve) => {
      const failed = (why: string): void => resolve({ status: 0, text: why, sessionId: undefined });
      const given = {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'x-user': 'witness',
        ...headers,
      };
      const outgoing = request(
        { port, host: '127.0.0.1', path: '/mcp', method: 'POST', agent, headers: given },
        (res) => {
          let text = '';
          res.setEncoding('utf8').on('data', (part: string) => (text += part));
          res.on('error', ({ message: why }) => failed(why));
          res.on('end', () => {
            const id = res.headers['mcp-session-id'];
            resolve({ status: res.statusCode ?? 0, text, sessionId: typeof id === 'string' ? id : undefined });
          });
        },
      );
      outgoing.setTimeout(answerMs, () => outgoing.destroy(new Error('no answer')));
      outgoing.on('error', ({ message: why }) => failed(why));
      outgoing.end(JSON.stringify({ jsonrpc: '2.0', ...message }));
    });
}

function percentile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity;
}

export async function startWitness(port: number, answerMs = ANSWER_MS) {
  const [send, sendModern] = [poster(port, answerMs), poster(port, answerMs)];
  const clientInfo = { name: 'witness', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const { sessionId = '', text: refused } = await send({ id: 0, method: 'initialize', params });
  if (sessionId === '') throw new Error(`the witness has no session: ${refused}`);
  let times: number[] = [];
  /** When the calls began that wait for their answer. */
  const pending = new Set<number>();
  const failed: string[] = [];
  let stopped = false;

  async function calls(call: (text: string, id: number) => Promise<Answer>): Promise<void> {
    for (let id = 1; !stopped; id++) {
      const text = `call ${id}`;
      const started = performance.now();
      pending.add(started);
      const answer = await call(text, id);
      pending.delete(started);
      times.push(performance.now() - started);
      if (answer.status !== 200 || !answer.text.includes(text)) {
        failed.push(`${text}: ${answer.status} ${answer.text.slice(0, 200)}`);
      }
      await sleep(PAUSE_MS);
    }
  }
  const onSession = calls((text, id) =>
    send({ id, method: 'tools/call', params: { name: 'echo', arguments: { text } } }, { 'mcp-session-id': sessionId }),
  );
  const modern = calls((text, id) => {
    const given = { name: 'echo', arguments: { text }, _meta: envelope() };
    const headers = mirrored('tools/call', given) as Record<string, string>;
    return sendModern({ id, method: 'tools/call', params: given }, headers);
  });

  return {
    /** Calls before this one do not count. Returns their p99: what the machine allows without an attack. */
    begin(): number {
      const before = times;
      times = [];
      return percentile(before, 0.99);
    },
    /** Calls that wait still count with what they have waited. */
    seen(): Witnessed {
      const now = performance.now();
      const all = [...times, ...[...pending].map((started) => now - started)];
      return {
        calls: times.length,
        failed: [...failed],
        p99Ms: percentile(all, 0.99),
        longestMs: Math.max(0, ...all),
      };
    },
    /** Resolves with the calls that failed since `seen`. */
    async stop(): Promise<string[]> {
      const known = failed.length;
      stopped = true;
      await Promise.all([onSession, modern]);
      return failed.slice(known);
    },
  };
}
