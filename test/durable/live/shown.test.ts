/** Calls of `live()` in what operators see: at the instance that ran them, and at no other. */
import { expect, test } from 'vitest';
import { live, type McpEndpoint } from '../../../src/index.ts';
import type { FleetPage } from '../../../src/dashboard/wire.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { mount, valueOf } from '../../kit/dashboard.ts';
import { textOf, tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { said, type Tool, toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

const options = {
  kind: 'desk',
  id: ({ desk }: Record<string, unknown>) => desk as string | undefined,
  open: () => ({}),
};

/** Two instances. `use` of a handle waits until it is released, and `make` makes one. */
async function openDesks() {
  const held: (() => void)[] = [];
  const made = (run: () => unknown): Tool =>
    live<object, Record<string, unknown>, unknown, ReturnType<typeof said>>(
      options,
      async (_args, _ctx, { handle }) => said((await run()) ?? handle.id),
    );
  const make = made(() => undefined);
  const use = made(() => new Promise((resolve) => held.push(() => resolve('used'))));
  const fail = made(() => Promise.reject(new RangeError('no')));
  const store = memory();
  const start = () => serve(toolServer({ make, use, fail }), { store, metrics: true });
  const members = [await start(), await start()] as const;
  const ended = members.map(({ endpoint }) => endedAt(endpoint));
  const ports = [await mount(members[0].endpoint), await mount(members[1].endpoint)] as const;
  const figures = (at: 0 | 1) => async () => {
    const { instance, instances } = await valueOf<FleetPage>(ports[at], 'fleet');
    return instances.find(({ id }) => id === instance)?.figures;
  };
  return { members, held, ended, figures: [figures(0), figures(1)] as const };
}

function endedAt({ notices }: McpEndpoint): string[] {
  const ended: string[] = [];
  notices.on('callEnded', ({ method, target, outcome, client, sessionId }) => {
    const who = `${client?.name} ${sessionId === undefined ? 'alone' : 'in a session'}`;
    if (method === 'tools/call') ended.push(`${target} ${outcome} of ${who}`);
  });
  return ended;
}

test.each(['2025-11-25', '2026-07-28'])(
  'a call of a %s client at another instance is shown at the instance that runs it',
  async (era) => {
    const { members, held, ended, figures } = await openDesks();
    const [one, two] = members;
    const maker = await one.openSession();
    const desk = String(textOf((await maker.call(...tool('make'))).message));
    const [client, session] = [two.client(), await two.openSession()];
    const call = async (name: string) => {
      const params = { name, arguments: { desk } };
      const { message } =
        era === '2026-07-28'
          ? await callModern(client, 'tools/call', params)
          : await session.call('tools/call', params);
      return textOf(message);
    };
    // Once a server of the instance has the tool, a call is passed on without one.
    for (const round of [1, 2]) {
      const used = call('use');
      await until(() => held.length === round, { what: 'the handler runs' });
      const runs = await Promise.all(figures.map((read) => read()));
      expect(runs.map((now) => now?.runs.map(({ tool: name }) => name))).toEqual([['use'], []]);
      expect(runs.map((now) => now?.running)).toEqual([1, 0]);
      held.at(-1)?.();
      expect(await used).toBe('used');
      expect(await call('fail')).toContain('no');
    }
    const who = era === '2026-07-28' ? 'of modern-client alone' : 'of raw-client in a session';
    const once = [`use ok ${who}`, `fail tool_error ${who}`];
    expect(ended).toEqual([['make ok of raw-client in a session', ...once, ...once], []]);
    const failures = await Promise.all(figures.map((read) => read()));
    expect(failures.map((now) => now?.failures.length)).toEqual([1, 0]);
  },
);
