// @module-tag matrix
/** Floods against a process with a heap of 256 MB: it survives, and another user is served throughout. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { Caller, deafConnection, rawPost, rawResume, startSmallHeap, times, underAttack } from './small-heap.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const MIB = 1024 * 1024;
/** Until there is room again: answers that are not read may last `writeTimeoutMs`, 60 s, and calls run before that. */
const ROOM_MS = 150_000;

/** A reader that is too slow for the memory left is cut, and resumes again, as clients do. */
async function resumed(caller: Caller, lastEventId: string): Promise<Awaited<ReturnType<Caller['resume']>>> {
  for (let tries = 1; ; tries++) {
    const answer = await caller.resume(lastEventId);
    if (answer.status !== 0 || tries === 10) return answer;
  }
}

describe.each(['memory', 'sqlite'])('a process with a small heap on %s', (store) => {
  /** The store has no part in these. */
  const onMemory = (name: string, options: { timeout: number }, work: () => Promise<void>): void => {
    if (store === 'memory') test(name, options, work);
  };
  const start = () => startSmallHeap({}, store === 'sqlite' ? join(temporaryFolder(), 'sessions.db') : undefined);

  test('survives handshakes of 4 MB', { timeout: 180_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      const attacker = new Caller(server.port, 'attacker', 32);
      await times(100, 16, (n) => attacker.initialize({ experimental: { big: { n, x: 'y'.repeat(4 * MIB - 500) } } }));
    });
  });

  onMemory('survives ordinary handshakes without end', { timeout: 180_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      const attacker = new Caller(server.port, 'attacker', 32);
      await times(6_000, 32, () => attacker.initialize());
    });
  });

  test('survives long subscription lists', { timeout: 180_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      await times(8, 8, async (n) => {
        const attacker = new Caller(server.port, 'attacker', 4);
        await attacker.open();
        await times(1_000, 4, (i) =>
          attacker.rpc('resources/subscribe', { uri: `x://${n}/${i}/${'u'.repeat(32_000)}` }),
        );
      });
    });
  });

  test('survives answers that are not read', { timeout: 300_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      const attacker = new Caller(server.port, 'attacker', 4);
      for (let n = 0; n < 120; n++) {
        if (n % 20 === 0) await attacker.open().catch(() => {});
        const body = JSON.stringify({
          jsonrpc: '2.0',
          id: n + 1_000,
          method: 'tools/call',
          params: { name: 'big', arguments: { bytes: 8 * MIB } },
        });
        await deafConnection(server.port, rawPost(body, attacker.sessionId ?? '', 'attacker'));
      }
      const late = new Caller(server.port, 'late', 1);
      await until(async () => (await late.initialize()).status === 200, { timeoutMs: ROOM_MS });
    });
  });

  /** A caller, and the first event of a stream of 7.5 MB. */
  const longStream = async (port: number, sockets: number, user = 'attacker') => {
    const caller = new Caller(port, user, sockets);
    const sessionId = await caller.open();
    const version = { 'mcp-protocol-version': '2025-11-25' };
    const { text } = await caller.rpc(
      'tools/call',
      { name: 'long', arguments: { events: 30, bytes: 250_000 } },
      version,
    );
    expect(text).toContain('the end');
    const [, lastEventId] = /^id: (\S+)$/m.exec(text) ?? [];
    if (lastEventId === undefined) throw new Error(text.slice(0, 200));
    return { caller, sessionId, lastEventId };
  };

  test('survives resumes of one long stream', { timeout: 300_000 }, async () => {
    const server = await start();
    const attack = async (): Promise<void> => {
      const { caller, lastEventId } = await longStream(server.port, 60);
      const answers = await times(60, 60, () => resumed(caller, lastEventId));
      const found = answers.map(({ status, text }) => [status, /^retry: \d+$/m.test(text), text.includes('the end')]);
      expect(found).toEqual(answers.map(() => [200, true, true]));
    };
    await underAttack(server, attack);
  });

  test('survives resumes of one long stream that are not read', { timeout: 300_000 }, async () => {
    const server = await start();
    const late = await longStream(server.port, 1, 'late');
    const attack = async (): Promise<void> => {
      const { sessionId, lastEventId } = await longStream(server.port, 4);
      // Thirty reach the server in one turn.
      const requests = rawResume(lastEventId, sessionId, 'attacker').repeat(30);
      await times(10, 10, () => deafConnection(server.port, requests));
      const { status, text } = await late.caller.resume(late.lastEventId);
      expect([status, text.includes('the end')]).toEqual([200, true]);
    };
    await underAttack(server, attack);
  });

  onMemory('survives bodies that are sent slowly', { timeout: 300_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      const attacker = new Caller(server.port, 'attacker', 4);
      const id = await attacker.open();
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { x: 'y'.repeat(4 * MIB - 200) } });
      const bytes = rawPost(body, id, 'attacker').slice(0, -10);
      await times(60, 20, () => deafConnection(server.port, bytes).catch(() => undefined));
      const late = new Caller(server.port, 'late', 1);
      await until(async () => (await late.initialize()).status === 200, { timeoutMs: ROOM_MS });
    });
  });

  onMemory('survives calls without end in 2026-07-28', { timeout: 180_000 }, async () => {
    const server = await start();
    await underAttack(server, async () => {
      const attacker = new Caller(server.port, 'attacker', 2_000);
      const version = '2026-07-28';
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientInfo': { name: 'flood', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      };
      await times(3_000, 2_000, () =>
        attacker.rpc(
          'tools/call',
          { name: 'wait', arguments: { ms: 4_000 }, _meta },
          { 'mcp-protocol-version': version, 'mcp-method': 'tools/call', 'mcp-name': 'wait' },
        ),
      );
    });
  });
});
