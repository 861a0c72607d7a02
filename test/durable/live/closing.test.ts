/** Live objects that are dead, are closed by a handler, or whose handle ends while a call uses them. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { expect, test } from 'vitest';
import {
  live,
  type LiveObject,
  type LiveOptions,
  type McpEndpointOptions,
  openHandle,
} from '../../../src/index.ts';
import { type LabInstance, openLab } from '../../../src/testing/index.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { openEndpointStore } from '../../../src/endpoint/endpoint-store.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import '../../kit/stuck.ts';
import { said } from '../../kit/tool-server.ts';
import { watchedStore } from '../../kit/watched-store.ts';

const inputSchema = z.looseObject({ desk: z.string().optional() });
type Args = z.infer<typeof inputSchema>;

interface Desk {
  readonly no: number;
  isAlive: boolean;
}

const ADA = { authInfo: { token: 't', clientId: 'c', scopes: [], extra: { sub: 'ada' } } };

async function openDesks(
  size: number,
  changes: Partial<LiveOptions<Desk>> = {},
  options: McpEndpointOptions = {},
) {
  const seen: string[] = [];
  const desks: Desk[] = [];
  const aborted: number[] = [];
  const factory = (): McpServer => {
    const server = new McpServer({ name: 'desks', version: '1.0.0' });
    const settings: LiveOptions<Desk, { desk?: string | undefined }> = {
      kind: 'desk',
      id: ({ desk }) => desk,
      open: () => {
        const desk = { no: desks.length + 1, isAlive: true };
        desks.push(desk);
        seen.push(`open ${desk.no}`);
        return desk;
      },
      close: ({ no }) => void seen.push(`close ${no}`),
      closeAfterMs: 60_000,
      ...(changes as object),
    };
    const tool = (
      name: string,
      run: (given: LiveObject<Desk>, ctx: ServerContext) => Promise<string> | string,
    ): void => {
      const handler = live(settings, async (_: Args, ctx: ServerContext, given: LiveObject<Desk>) =>
        said(await run(given, ctx)),
      );
      server.registerTool(name, { inputSchema }, handler);
    };
    tool('make', ({ handle }) => handle.id);
    tool('count', async ({ object, handle }) => {
      const n = await handle.state.update('n', (before: number = 0) => before + 1);
      return `${n} at ${object.no}`;
    });
    tool('hold', async ({ object, handle }, { mcpReq: { signal } }) => {
      seen.push(`hold ${object.no}`);
      await new Promise((over) => signal.addEventListener('abort', over));
      aborted.push(object.no);
      await handle.state.set('n', 1_000);
      return 'never';
    });
    tool('wait', async () => {
      seen.push('wait');
      await lab.advance(20_000);
      return 'waited';
    });
    tool('leave', async ({ object, handle }) => {
      await handle.close();
      return `left ${object.no}`;
    });
    server.registerTool('plain', { inputSchema }, async ({ desk }) => {
      const handle = await openHandle('desk', desk, { idleTimeoutMs: 5_000 });
      if (desk !== undefined) await lab.advance(20_000);
      return said(handle.id);
    });
    return server;
  };
  const lab = await openLab(factory, options);
  const instances = await lab.start(size, factory);
  return { lab, seen, desks, aborted, instances: instances as [LabInstance, LabInstance] };
}

const say = async (at: LabInstance, name: string, desk?: string, caller = {}): Promise<string> => {
  const { content, isError } = await at.call(name, { ...(desk && { desk }) }, caller);
  if (isError === true) throw new Error(content[0]?.text);
  return content[0]?.text ?? '';
};

const isOpen = ({ isAlive }: Desk): boolean => isAlive;

test('a dead object is closed and opened again from its state, once for calls that arrive together', async () => {
  let asked = 0;
  const { lab, instances, seen, desks, aborted } = await openDesks(2, {
    isOpen: (desk) => ((asked += 1), isOpen(desk)),
  });
  await using _ = lab;
  const [a, b] = instances;
  const desk = await say(a, 'make');
  expect(await say(b, 'count', desk)).toBe('1 at 1');
  const held = [a, b].map((at) => say(at, 'hold', desk));
  for (const call of held) call.catch(() => {});
  await lab.until(() => seen.length === 3);
  (desks[0] as Desk).isAlive = false;
  asked = 0;
  const counted = await Promise.all([a, b, a, b].map((at) => say(at, 'count', desk)));
  expect(counted.toSorted()).toEqual(['2 at 2', '3 at 2', '4 at 2', '5 at 2']);
  for (const call of held) await expect(call).rejects.toThrow('may have run');
  expect(aborted).toEqual([1, 1]);
  expect(seen).toEqual(['open 1', 'hold 1', 'hold 1', 'close 1', 'open 2']);
  expect(asked).toBeLessThan(5);
  // What an aborted handler still writes is refused.
  expect(await say(b, 'count', desk)).toBe('6 at 2');
});

test('the call that finds its object dead opens another one, although another instance was about to', async () => {
  const store = watchedStore();
  const { lab, instances, desks } = await openDesks(2, { isOpen }, { store });
  await using _ = lab;
  const [a, b] = instances;
  const desk = await say(a, 'make');
  (desks[0] as Desk).isAlive = false;
  // A call comes elsewhere as soon as the object is closed, before the call here looks again.
  let isLate = false;
  store.after['handles.release'] = () => {
    isLate = true;
    say(b, 'count', desk).catch(() => {});
    return lab.advance(500);
  };
  const counted = await say(a, 'count', desk);
  delete store.after['handles.release'];
  expect(counted).toBe('1 at 2');
  expect([isLate, await say(b, 'count', desk)]).toEqual([false, '2 at 2']);
});

test.each([
  ['throws', () => Promise.reject(new Error('gone'))],
  ['does not answer in time', () => new Promise<boolean>(() => {})],
] as const)('an object whose isOpen %s is dead', async (_, asks) => {
  const { lab, instances, seen } = await openDesks(1, { isOpen: asks }, { hookTimeoutMs: 1_000 });
  await using _lab = lab;
  const [a] = instances;
  const desk = await say(a, 'make');
  const counted = say(a, 'count', desk);
  await lab.until(async () => (await lab.advance(100), seen.length === 3));
  expect(await counted).toBe('1 at 2');
  expect(seen).toEqual(['open 1', 'close 1', 'open 2']);
});

test('a handler closes its object, and the next call opens another one', async () => {
  const { lab, instances, seen, aborted } = await openDesks(2);
  await using _ = lab;
  const [a, b] = instances;
  const desk = await say(a, 'make');
  const held = say(b, 'hold', desk);
  held.catch(() => {});
  await lab.until(() => seen.includes('hold 1'));
  expect(await say(b, 'leave', desk)).toBe('left 1');
  await expect(held).rejects.toThrow('may have run');
  expect(aborted).toEqual([1]);
  expect(await say(b, 'count', desk)).toMatch(/^1 at 2/);
  expect(seen.toSorted()).toEqual(['close 1', 'hold 1', 'open 1', 'open 2']);
});

test.each(['handles.end()', 'forgetUser()'])(
  '%s at another instance closes the object within a second, and aborts the calls that use it',
  async (how) => {
    const { lab, instances, seen } = await openDesks(2);
    await using _ = lab;
    const [a, b] = instances;
    const desk = await say(a, 'make', undefined, ADA);
    const held = say(a, 'hold', desk, ADA);
    held.catch(() => {});
    await lab.until(() => seen.includes('hold 1'));
    const { userKey, hash } = (await b.endpoint.handles.list()).handles[0] ?? {};
    if (how === 'forgetUser()')
      expect(await b.endpoint.forgetUser(String(userKey))).toMatchObject({
        handles: 1,
        objects: 1,
      });
    else await b.endpoint.handles.end(String(hash));
    await lab.advance(1_000);
    await expect(held).rejects.toThrow('may have run');
    expect(seen).toEqual(['open 1', 'hold 1', 'close 1']);
  },
);

test('a handle that ends in the store without a word to its owner closes the object within a lease', async () => {
  const store = memory();
  const leaseMs = 5_000;
  const { lab, instances, seen } = await openDesks(1, {}, { store, leaseMs });
  await using _ = lab;
  const [a] = instances;
  const held = say(a, 'hold', await say(a, 'make'));
  held.catch(() => {});
  await lab.until(() => seen.includes('hold 1'));
  const { handles } = await openEndpointStore(store, resolveOptions({ leaseMs }));
  const { records } = await handles.list(1);
  for (const record of records) expect(await handles.end(record.id, record, '', 0)).toBe('ended');
  await lab.advance(leaseMs + 500);
  await expect(held).rejects.toThrow('may have run');
  expect(seen).toEqual(['open 1', 'hold 1', 'close 1']);
});

test('forgetUser() at another instance, which cannot reach the owner, closes the object within a lease', async () => {
  const store = watchedStore();
  const leaseMs = 5_000;
  const { lab, instances, seen } = await openDesks(2, {}, { store, leaseMs });
  await using _ = lab;
  const [a, b] = instances;
  await say(a, 'make', undefined, ADA);
  const { userKey } = (await b.endpoint.handles.list()).handles[0] ?? {};
  store.before['instances.send'] = () => {
    throw new Error('the link is out');
  };
  expect(await b.endpoint.forgetUser(String(userKey))).toMatchObject({ handles: 1, objects: 1 });
  await lab.advance(leaseMs + 500);
  expect(seen).toEqual(['open 1', 'close 1']);
});

test('the records of all open objects are read in one turn, once a lease', async () => {
  const store = watchedStore();
  const { lab, instances, seen } = await openDesks(1, {}, { store, leaseMs: 5_000 });
  await using _ = lab;
  const [a] = instances;
  for (let n = 0; n < 5; n++) {
    await say(a, 'make');
    await lab.advance(700);
  }
  let [turns, isNewTurn, reads] = [0, true, 0];
  store.before['handles.read'] = () => {
    reads += 1;
    if (isNewTurn) turns += 1;
    isNewTurn = false;
    queueMicrotask(() => (isNewTurn = true));
  };
  await lab.advance(15_200);
  expect(seen).toHaveLength(5);
  expect([turns, reads]).toEqual([3, 15]);
});

test.each(['wait', 'plain'])(
  'a handle does not expire while a call uses it that is longer than its time: %s',
  async (name) => {
    const { lab, instances } = await openDesks(1, { idleTimeoutMs: 5_000 });
    await using _ = lab;
    const [a] = instances;
    const desk = await say(a, name === 'plain' ? 'plain' : 'make');
    await say(a, name, desk);
    await say(a, 'count', desk);
  },
);
