/** Two endpoints of one process on one memory store: no marker there tells the next owner what has run. */
import { expect, test } from 'vitest';
import { serveFleet } from '../kit/fleet.ts';
import { bearer, userToken } from '../kit/issuer.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

test.each([{}, { eventRetention: false as const }, { responseMode: 'json' as const }])(
  'with %o an instance that has left runs no call once another one has claimed its session',
  async (options) => {
    const ran: string[] = [];
    const labOf = (at: string) =>
      createLab((server) =>
        server.registerTool('note', { description: 'Notes where it runs' }, () => {
          ran.push(at);
          return said(at);
        }),
      );
    const waiting = gate();
    let holds = false;
    const auth = {
      verify: userToken,
      authorize: async () => {
        if (holds) await waiting.hook();
        return true;
      },
    };
    const [a, b] = await serveFleet(
      2,
      { store: watchedStore(), auth, ...options },
      [],
      [labOf('a'), labOf('b')],
    );
    const onA = await a.openSession({}, bearer('ada'));
    const onB = b.join(onA, bearer('ada'));
    const note = async (client: RawClient) => textOf((await client.call(...tool('note'))).message);
    expect(await note(onA)).toBe('a');
    holds = true;
    const early = note(onA).catch(() => 'refused');
    await until(() => waiting.waiting > 0);
    holds = false;
    await a.endpoint.drain({ timeoutMs: 50 });
    expect(await note(onB)).toBe('b');
    waiting.open();
    await early;
    expect(await note(onB)).toBe('b');
    expect(ran.slice(1)).not.toContain('a');
  },
);
